"""From names to a report: load the models, measure, ask a fresh process for its peak memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from pocketr1 import measure
from pocketr1.bench import BenchOptions, peak_memory
from pocketr1.engine import Engine, inspect, load, locate
from pocketr1.evaluate.evaluation import Progress, evaluate
from pocketr1.evaluate.options import EvaluateOptions
from pocketr1.evaluate.report import EvaluationReport, ModelFacts

__all__ = ["evaluate_models", "find_task"]

# What a process that answers one prompt has to hold: this many tokens of prompt, and some behind.
_PROMPT, _TOKENS = 512, 16
_TINY_TASK = "held-out.jsonl"


def find_task(name: str | os.PathLike[str]) -> measure.JsonLinesTask:
    """Return the task of a JSON-lines file; ``"tiny"`` is Tiny R1's held-out problems."""
    if name == "tiny":
        return measure.JsonLinesTask(locate("tiny").path / _TINY_TASK)
    return measure.JsonLinesTask(Path(name))


def evaluate_models(
    model: str | os.PathLike[str],
    reference: str | os.PathLike[str] | None = None,
    *,
    text: str | os.PathLike[str] | None = None,
    tasks: Sequence[str | os.PathLike[str]] = (),
    calibration: str | os.PathLike[str] | None = None,
    options: EvaluateOptions | None = None,
    threads: int | None = None,
    cpus: str | None = None,
    max_context: int | None = None,
    kv_format: str = "f16",
    reference_kv_format: str = "f16",
    progress: Progress | None = None,
    watch: Callable[..., AbstractContextManager[None]] | None = None,
) -> EvaluationReport:
    """Load a model and its reference, measure both, and judge.

    model, reference: bundles, checkpoint directories, or ``"tiny"``. text, tasks, calibration,
    options: as for :func:`pocketr1.evaluate.evaluate`, by path. threads, cpus, max_context,
    kv_format: as for :func:`pocketr1.load`; the context is the shorter one of both models.
    kv_format is the model's, the reference has its own: a model beside itself shows what the K/V
    cache's format costs. watch: a context that the work is done in, called with the engines.

    Raises what ``load`` and ``evaluate`` raise.
    """
    report = inspect(model)
    reference_report = None if reference is None else inspect(reference)
    with ExitStack() as stack:
        engines: list[Engine] = []
        for path, kv in ((model, kv_format), (reference, reference_kv_format)):
            if path is not None:
                opened = load(
                    path, threads=threads, cpus=cpus, max_context=max_context, kv_format=kv
                )
                engines.append(stack.enter_context(opened))
        if watch is not None:
            stack.enter_context(watch(*engines))
        found = evaluate(
            engines[0],
            engines[1] if reference is not None else None,
            report=report,
            reference_report=reference_report,
            text=None if text is None else Path(text),
            tasks=[find_task(task) for task in tasks],
            calibration=None if calibration is None else Path(calibration),
            options=options,
            progress=progress,
        )
        limit = min(engine.max_context for engine in engines)
        paths = [engine.path for engine in engines]
    prompt = max(1, min(_PROMPT, limit - _TOKENS - 1))
    asked = BenchOptions(prompt_tokens=prompt, gen_tokens=_TOKENS, threads=threads)
    peaks = [peak_memory(path, asked) for path in paths]
    other = found.reference
    return replace(
        found,
        model=ModelFacts(found.model.report, peaks[0]),
        reference=None if other is None else ModelFacts(other.report, peaks[1]),
    )
