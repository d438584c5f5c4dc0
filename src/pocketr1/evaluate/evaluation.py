"""Measure a model beside its reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pocketr1 import measure
from pocketr1.bench import describe_machine
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.engine import Engine, ModelReport, Sampling
from pocketr1.errors import UsageError
from pocketr1.evaluate.options import EvaluateOptions
from pocketr1.evaluate.report import EvaluationReport, Histogram, ModelFacts, TextFacts
from pocketr1.evaluate.separation import KnownText, separate
from pocketr1.evaluate.tasks import TaskRun, run_one
from pocketr1.evaluate.text import exchanges_of, read_conversations, read_text
from pocketr1.evaluate.verdict import advise, make_checks, remarks_on

__all__ = ["REPLY_TOKENS", "evaluate"]

#: Tokens of the reference's own replies on which divergence is measured, in all tasks together.
REPLY_TOKENS = 32_768

#: (stage, done, total, what is at work); the stage is ``text``, ``answers`` or ``replies``.
Progress = Callable[[str, int, int, str], None]
_PROMPT, *_REPLY = range(len(measure.PARTS))


def evaluate(
    model: Engine,
    reference: Engine | None = None,
    *,
    report: ModelReport,
    reference_report: ModelReport | None = None,
    text: str | Path | None = None,
    tasks: Sequence[measure.Task] = (),
    calibration: str | Path | KnownText | None = None,
    options: EvaluateOptions | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure a model, beside its reference where there is one, and judge it.

    Both models are read side by side, sixteen rows of logits at a time; no logits are stored. On a
    text, divergence and perplexity are measured as llama.cpp's perplexity tool does: windows, of
    which the second half is scored. On conversations, and on the replies that the reference itself
    writes to the tasks' problems (its first run, 32,768 tokens at most), every token is scored and
    belongs to the prompt, the reasoning or the answer; the figures for the whole leave the prompt
    out, which no model has to predict.

    Args:
        model: what is judged.
        reference: usually the checkpoint the model was made from. Without one there are accuracy
            and perplexity, and no verdict.
        report: of the model, as :func:`pocketr1.inspect` gives it.
        reference_report: of the reference.
        text: a UTF-8 text, or conversations in a file whose name ends with ``.jsonl``.
        tasks: problems to solve.
        calibration: the text the model was calibrated with, to prove that nothing of it is
            measured on.
        options: see :class:`EvaluateOptions`.
        progress: called often.

    Raises:
        UsageError: ``evaluate-nothing`` without text and tasks; files that cannot be used; models
            with different vocabularies; a model without reference and a ``max_kld``.
        ChatError: the model has no usable tokenizer or template.
        EngineError: what the engines raise, CancelledError included.
    """
    began = time.monotonic()
    options = options or EvaluateOptions()
    if text is None and not tasks:
        raise UsageError("evaluate-nothing")
    if reference is None and options.max_kld is not None:
        raise UsageError("evaluate-needs-reference", option="--max-kld")
    work = _Evaluation(model, reference, options, progress or (lambda *_: None))
    # What cannot be used is found before the long work.
    loaded = [(task, list(task.load())[: options.limit]) for task in tasks]
    if text is not None:
        work.read(Path(text))
    separation = separate(
        report,
        Path(calibration) if isinstance(calibration, str) else calibration,
        (*work.texts, *(problem.question for _, problems in loaded for problem in problems)),
    )
    work.measure_text()
    runs = [work.run(task, problems) for task, problems in loaded]
    results = [run.result for run in runs]
    work.measure_replies(runs)
    whole = work.whole()
    checks = make_checks(results, whole, separation, options)
    facts = ModelFacts(report)
    return EvaluationReport(
        model=facts,
        reference=None if reference_report is None else ModelFacts(reference_report),
        text=work.text,
        perplexity=whole.model if work.alone is None and whole is not None else work.alone,
        whole=whole,
        whole_of=work.whole_of(),
        parts=work.parts(),
        divergences=work.histogram(),
        tasks=results,
        separation=separation,
        checks=checks,
        remarks=remarks_on(results, separation),
        advice=advise(facts, results, checks),
        settings=options.to_dict(),
        machine={**asdict(describe_machine()), "isa": model.isa, "threads": model.threads},
        seconds=time.monotonic() - began,
    )


class _Evaluation:
    """The work on one model: what was read, and what the tokens said."""

    def __init__(
        self, model: Engine, reference: Engine | None, options: EvaluateOptions, tell: Progress
    ) -> None:
        self.model = model
        self.reference = reference
        self.options = options
        self.tell = tell
        self.tokenizer = load_tokenizer(model.path)
        self.text: TextFacts | None = None
        self.texts: list[str] = []
        self.alone: measure.Perplexity | None = None  # of a text without a reference
        self._ids: list[int] = []
        self._exchanges: list[measure.Exchange] = []
        self._running = measure.Tally()  # text without parts
        self._parted = measure.Tally()
        if reference is not None:
            measure.check_vocabularies(reference, model)

    def read(self, path: Path) -> None:
        """Read the text or the conversations to measure on."""
        text, digest = read_text(path)
        limit = self.options.text_tokens
        if path.suffix.lower() == ".jsonl":
            conversations = read_conversations(path)
            template = ChatTemplate.load(self.model.path, self.tokenizer)
            exchanges = exchanges_of(conversations, self.tokenizer, template)
            self._exchanges = _first(exchanges, limit)
            self.texts = [each.text for each in conversations[: len(self._exchanges)]]
            total, used = (sum(len(e.ids) for e in es) for es in (exchanges, self._exchanges))
        else:
            ids = self.tokenizer.encode_text(text)
            self._ids = ids[:limit]
            if len(self._ids) < 4:
                raise UsageError("measure-text-short", tokens=len(self._ids))
            self.texts = [text if len(self._ids) == len(ids) else self.tokenizer.decode(self._ids)]
            total, used = len(ids), len(self._ids)
        self.text = TextFacts(str(path), digest, total, used)

    def measure_text(self) -> None:
        """Read the text, beside the reference where there is one."""

        def advance(done: int, total: int) -> None:
            self.tell("text", done, total, "")

        window = min(self.options.window, self.model.max_context)
        if self._exchanges:
            self._read_exchanges(self._exchanges, "text")
        elif self._ids and self.reference is None:
            self.alone = measure.perplexity(self.model, self._ids, window, progress=advance)
        elif self._ids and self.reference is not None:
            window = min(window, self.reference.max_context)
            measure.compare(
                self.reference,
                self.model,
                self._ids,
                window,
                tally=self._running,
                progress=advance,
            )

    def run(self, task: measure.Task, problems: Sequence[measure.TaskProblem]) -> TaskRun:
        """Put a task to both models."""
        options = self.options
        answering = [
            measure.Answering(
                self._seeded(options.first_seed + turn),
                options.max_tokens,
                options.think,
                options.batch,
                options.think_budget,
            )
            for turn in range(options.seeds)
        ]

        def advance(done: int, total: int) -> None:
            self.tell("answers", done, total, f"{task.name} {done} / {total}")

        return run_one(task, problems, answering, self.model, self.reference, advance)

    def measure_replies(self, runs: Sequence[TaskRun]) -> None:
        """Read the reference's own replies, the same share of each task."""
        if self.reference is None or not runs:
            return
        limit = min(self.reference.max_context, self.model.max_context)
        ends = self.reference.spec.eos_token_ids[:1]
        for run in runs:
            exchanges = []
            for reply in run.reference_replies:
                ids = reply.exchange.ids
                if reply.finish_reason == "stop" and len(ids) < limit:
                    ids = (*ids, *ends)
                exchanges.append(replace(reply.exchange, ids=ids))
            self._read_exchanges(_first(exchanges, REPLY_TOKENS // len(runs)), "replies")

    def whole(self) -> measure.Comparison | None:
        """The comparison that the report leads with."""
        return self._running.comparison() or self._parted.comparison(*_REPLY)

    def whole_of(self) -> Literal["text", "replies"] | None:
        """What that comparison is of."""
        if self.reference is None:
            return None
        return "text" if self._ids else "replies"

    def parts(self) -> dict[str, measure.Comparison | None]:
        """The comparison of each part."""
        return {name: self._parted.comparison(n) for n, name in enumerate(measure.PARTS)}

    def histogram(self) -> Histogram | None:
        """Divergences of the tokens of ``whole``, four bins a decade; the outer ones are open."""
        values = self._running.divergences()
        values = values if len(values) else self._parted.divergences(*_REPLY)
        return _histogram(values) if len(values) else None

    def _read_exchanges(self, exchanges: Sequence[measure.Exchange], stage: str) -> None:
        total = sum(len(each.ids) for each in exchanges)

        def advance(done: int) -> None:
            self.tell(stage, done, total, "")

        if self.reference is None:
            self.alone = measure.exchange_perplexity(self.model, exchanges, progress=advance)
        else:
            measure.compare_exchanges(
                self.reference, self.model, exchanges, tally=self._parted, progress=advance
            )

    def _seeded(self, seed: int) -> Sampling:
        return replace(self.options.sampling, seed=seed)


def _first(exchanges: Iterable[measure.Exchange], tokens: int | None) -> list[measure.Exchange]:
    """Return the first exchanges that have ``tokens`` tokens together, at least one."""
    taken: list[measure.Exchange] = []
    have = 0
    for exchange in exchanges:
        have += len(exchange.ids)
        if tokens is not None and have > tokens and taken:
            break
        taken.append(exchange)
    return taken


_LOW, _HIGH, _BINS = -8, 2, 4  # decades of nats per token; bins a decade


def _histogram(values: NDArray[np.float64]) -> Histogram:
    edges = 10.0 ** np.linspace(_LOW, _HIGH, (_HIGH - _LOW) * _BINS + 1)
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], 0))
    counts, _ = np.histogram(inside, edges)
    return Histogram([float(f"{edge:.6g}") for edge in edges], counts.tolist())
