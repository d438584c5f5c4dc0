"""The steps of compression: what each costs in memory, speed and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketr1.bench.apart import apart
from pocketr1.bench.bench import run_bench
from pocketr1.bench.prompts import PROMPTS
from pocketr1.bench.report import BenchOptions
from pocketr1.errors import UsageError

__all__ = ["Step", "measure_quality", "measure_step"]

_PROMPT, _TOKENS = 128, 32  # of the measurement of speed
_LONGEST = 1 << 20  # bytes of a text that are read


@dataclass(frozen=True)
class Step:
    """One version of a model.

    format: of most of its weights. perplexity: of the text. kld_mean, top1_agreement: from the
    reference, nats per token and the share of tokens where both hold the same token likeliest;
    ``None`` for the reference itself. accuracy: share of the task's problems, with its 95%
    interval; ``None`` without a task.
    """

    model: str
    format: str
    bits_per_weight: float
    weights_mb: float
    peak_rss_mb: float
    prefill_tok_s: float
    decode_tok_s: float
    text_tokens: int
    perplexity: float
    kld_mean: float | None
    top1_agreement: float | None
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    problems: int


def measure_step(
    model: str, reference: str, *, threads: int | None, task: str | None, text: str | None
) -> Step:
    """Measure speed and quality of ``model``, each in a fresh process.

    Raises what loading raises, and UsageError of the task and of the text (``bench-text``).
    """
    from pocketr1.engine import inspect

    report = inspect(model)
    largest: dict[str, int] = {}
    for tensor in report.tensors:
        largest[tensor.format] = largest.get(tensor.format, 0) + tensor.bytes
    speed = run_bench(
        model, BenchOptions(prompt_tokens=_PROMPT, gen_tokens=_TOKENS, threads=threads)
    )
    options = {"reference": reference, "threads": threads, "task": task, "text": text}
    quality = apart("quality", model, options)
    interval = quality.pop("accuracy_interval")
    return Step(
        model=model,
        format=max(largest, key=lambda name: largest[name]),
        bits_per_weight=report.bits_per_weight,
        weights_mb=report.weight_bytes / 1e6,
        peak_rss_mb=speed.peak_rss_mb,
        prefill_tok_s=speed.prefill_tok_s.median,
        decode_tok_s=speed.decode_tok_s.median,
        accuracy_interval=None if interval is None else (interval[0], interval[1]),
        **quality,
    )


def measure_quality(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Compare ``model`` with its reference on a text, and have it do the task, in this process."""
    from pocketr1 import measure
    from pocketr1.chat import load_tokenizer
    from pocketr1.engine import load

    text = _text(options["text"])
    with load(model, threads=options["threads"]) as engine:
        ids = load_tokenizer(engine.path).encode_text(text)
        window = min(512, len(ids), engine.max_context)
        divergence = None
        if options["reference"] == model:
            figures = measure.perplexity(engine, ids, window)
        else:
            with load(options["reference"], threads=options["threads"]) as reference:
                compared = measure.compare(reference, engine, ids, window)
            figures, divergence = compared.model, compared.divergence
        right = None
        if options["task"] is not None:
            problems = measure.read_task(options["task"])
            outcomes = measure.run_task(engine, problems, max_tokens=1024)
            right = measure.Proportion.of([outcome.right for outcome in outcomes])
    return {
        "text_tokens": figures.tokens,
        "perplexity": figures.value,
        "kld_mean": None if divergence is None else divergence.mean,
        "top1_agreement": None if divergence is None else divergence.top1_agreement,
        "accuracy": None if right is None else right.value,
        "accuracy_interval": None if right is None else list(right.interval),
        "problems": 0 if right is None else right.count,
    }


def _text(path: str | None) -> str:
    if path is None:
        return "\n\n".join(text for texts in PROMPTS.values() for text in texts)
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LONGEST)
        return data.decode("utf-8", "strict")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("bench-text", path=path, reason=reason) from None
