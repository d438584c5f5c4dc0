"""The gate of ``compress``: a bundle gets its name if it is close enough to its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pocketr1 import measure
from pocketr1.compress import Judgement
from pocketr1.engine import ModelSource, inspect, load, locate
from pocketr1.errors import UsageError
from pocketr1.evaluate.evaluation import Progress, evaluate
from pocketr1.evaluate.options import EvaluateOptions
from pocketr1.evaluate.report import EvaluationReport
from pocketr1.evaluate.separation import KnownText, check_apart
from pocketr1.evaluate.text import read_conversations, read_text
from pocketr1.evaluate.words import check_text, joined, remark_text

__all__ = ["EvaluationGate"]


@dataclass
class EvaluationGate:
    """Judges by measuring the bundle beside its source; a ``Gate`` of ``Quantizer``.

    source: the checkpoint the bundle is made from. text, tasks, calibration, options: as for
    :func:`pocketr1.evaluate.evaluate`. threads: as for ``load``.

    ``Quantizer`` shows it the text that it calibrates with; then ``calibration`` need not be given.
    ``report`` is the last judgement's.

    Raises UsageError (``evaluate-gate-nothing``) for a gate that has nothing to judge with, and
    what reading its files and finding its source raise: before the long work, not behind it.
    """

    source: str | Path
    text: str | Path | None = None
    tasks: Sequence[measure.Task] = ()
    calibration: str | Path | None = None
    options: EvaluateOptions = field(default_factory=EvaluateOptions)
    threads: int | None = None
    progress: Progress | None = None
    report: EvaluationReport | None = None
    _known: KnownText | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tasks and (self.text is None or self.options.max_kld is None):
            raise UsageError("evaluate-gate-nothing")
        locate(self.source)
        for task in self.tasks:
            task.load()
        for path in (self.text, self.calibration):
            if path is not None:
                read_text(Path(path))

    def calibrated_with(self, text: str) -> None:
        """Take the text that the bundle is calibrated with, and measure with nothing of it.

        Raises UsageError (``evaluate-gate-calibration``) where a task or the text is in it.
        """
        self._known = KnownText.of(text)
        limit = self.options.limit
        texts = {
            str(getattr(task, "path", task.name)): [
                problem.question for problem in list(task.load())[:limit]
            ]
            for task in self.tasks
        }
        if self.text is not None and self.options.text_tokens is None:
            path = Path(self.text)
            texts[str(path)] = (
                [each.text for each in read_conversations(path)]
                if path.suffix.lower() == ".jsonl"
                else [read_text(path)[0]]
            )
        check_apart(texts, self._known)

    def __call__(self, bundle: ModelSource) -> Judgement:
        """Measure and judge a bundle; raises as :func:`pocketr1.evaluate.evaluate`."""
        with (
            load(self.source, threads=self.threads) as reference,
            load(bundle, threads=self.threads, max_context=reference.max_context) as model,
        ):
            report = evaluate(
                model,
                reference,
                report=replace(inspect(bundle), path=str(_name_to_be(bundle.path))),
                reference_report=inspect(self.source),
                text=self.text,
                tasks=self.tasks,
                calibration=self._known or self.calibration,
                options=self.options,
                progress=self.progress,
            )
        self.report = report
        return Judgement(
            passed=report.verdict == "pass",
            record=report.record(),
            reasons=joined(check_text(check) for check in report.checks if not check.passed),
            advice=joined(map(remark_text, report.advice)),
            report=report.to_dict(),
        )


def _name_to_be(bundle: Path) -> Path:
    """Return where a bundle that still lies with its job will be, for people to read."""
    job = bundle.parent
    return job.with_suffix("") if job.suffix == ".partial" else bundle
