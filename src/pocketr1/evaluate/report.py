"""What an evaluation found, as data: for the terminal, for JSON and for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pocketr1.engine import ModelReport
from pocketr1.measure import Comparison, Overlap, PairedDifference, Perplexity, Proportion

__all__ = [
    "WORST",
    "Check",
    "EvaluationReport",
    "Flip",
    "Histogram",
    "Lengths",
    "ModelFacts",
    "Remark",
    "Separation",
    "TaskResult",
    "TextFacts",
]

#: How many of the tensors with the largest errors a report names.
WORST = 10


@dataclass(frozen=True)
class Remark:
    """A text of the catalog with its parameters; shown in the reader's language."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFacts:
    """A model; sizes are bytes.

    peak_rss_bytes: of a process that answers a prompt with it; None: not measured.
    """

    report: ModelReport
    peak_rss_bytes: int | None = None

    def worst_tensors(self) -> list[dict[str, Any]]:
        """Return the tensors with the largest relative errors on record, at most ten."""
        known = [
            t for t in self.report.tensors if t.relative_rms is not None and t.relative_rms > 0
        ]
        known.sort(key=lambda t: -(t.relative_rms or 0.0))
        return [
            {
                "name": t.name,
                "format": t.format,
                "shape": list(t.shape),
                "relative_rms": t.relative_rms,
            }
            for t in known[:WORST]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types, without the list of tensors."""
        tree = self.report.to_dict()
        del tree["tensors"], tree["model"]
        return {**tree, "peak_rss_bytes": self.peak_rss_bytes}


@dataclass(frozen=True)
class TextFacts:
    """A file that was measured on: tokens it has, and tokens of it that were used."""

    path: str
    sha256: str
    tokens: int
    used: int


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; there is one edge more than counts."""

    edges: Sequence[float]
    counts: Sequence[int]


@dataclass(frozen=True)
class Lengths:
    """Replies of one model to a task: their mean length, and how many were cut off or loop.

    truncated: replies that a limit of tokens or the context ended. looping: those of which
    :func:`pocketr1.measure.is_looping` says so. histogram: of their tokens.
    """

    mean_tokens: float
    truncated: int
    looping: int
    histogram: Histogram


@dataclass(frozen=True)
class Flip:
    """A problem that the reference solves and the model does not, in the same run."""

    question: str
    expected: str
    given: str | None
    reference_given: str | None


@dataclass(frozen=True)
class TaskResult:
    """One task. ``n`` problems, each answered ``seeds`` times by each model.

    loss: accuracy of the reference minus that of the model. groups: the same figures by group.
    lost: some problems that only the reference solves.
    """

    name: str
    path: str | None
    sha256: str | None
    n: int
    seeds: int
    accuracy: Proportion
    lengths: Lengths
    reference_accuracy: Proportion | None = None
    reference_lengths: Lengths | None = None
    loss: PairedDifference | None = None
    groups: Mapping[str, TaskResult] = field(default_factory=dict)
    lost: Sequence[Flip] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        loss, reference, lengths = self.loss, self.reference_accuracy, self.reference_lengths
        tree: dict[str, Any] = {
            "name": self.name,
            "path": self.path,
            "sha256": self.sha256,
            "n": self.n,
            "seeds": self.seeds,
            "accuracy": self.accuracy.value,
            "accuracy_interval": list(self.accuracy.interval),
            "reference_accuracy": None if reference is None else reference.value,
            "reference_interval": None if reference is None else list(reference.interval),
            "drop": None if loss is None else loss.value,
            "drop_interval": None if loss is None else list(loss.interval),
            "p_value": None if loss is None else loss.p_value,
            "flips": None
            if loss is None
            else {"lost": loss.first_only, "gained": loss.second_only},
            "mean_tokens": self.lengths.mean_tokens,
            "truncated": self.lengths.truncated,
            "looping": self.lengths.looping,
            "reference_mean_tokens": None if lengths is None else lengths.mean_tokens,
            "reference_truncated": None if lengths is None else lengths.truncated,
            "reference_looping": None if lengths is None else lengths.looping,
        }
        if self.groups:
            tree["groups"] = {name: group.to_dict() for name, group in self.groups.items()}
        if self.lost:
            tree["lost"] = [vars(flip) for flip in self.lost]
        return tree


@dataclass(frozen=True)
class Separation:
    """Whether the texts that measured stand in the one that calibrated the model.

    status: ``none`` the model was not calibrated; ``apart`` they do not; ``shared`` they do;
    ``unknown`` the model was calibrated, and the text was not there to look.
    """

    status: Literal["none", "apart", "shared", "unknown"]
    calibration_sha256: str | None = None
    path: str | None = None
    overlap: Overlap | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "status": self.status,
            "calibration_sha256": self.calibration_sha256,
            "path": self.path,
            "overlap": None if self.overlap is None else self.overlap.to_dict(),
        }


@dataclass(frozen=True)
class Check:
    """One thing that decides PASS or FAIL: the upper bound of a figure against its limit.

    kind: ``drop`` (accuracy lost in a task, points), ``kld`` (mean divergence, nats per token) or
    ``separation`` (share of the measuring texts that the calibration text holds).
    """

    kind: Literal["drop", "kld", "separation"]
    subject: str
    value: float
    upper: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether even the upper bound keeps the limit; False where a figure is not a number."""
        return self.upper <= self.limit

    @property
    def open(self) -> bool:
        """Whether it failed only because the measurement is not sharp enough."""
        return not self.passed and self.value <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**vars(self), "passed": self.passed}


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that was measured.

    perplexity: of the model on what ``whole`` speaks of. whole: the comparison on a running text
    (whole_of: ``text``) or else on replies, those of conversations and the reference's own to the
    tasks (``replies``); parts: the same of the prompts, reasoning and answers of replies.
    divergences: of the tokens of ``whole``. settings, machine: what to repeat it with.
    """

    model: ModelFacts
    reference: ModelFacts | None
    text: TextFacts | None
    perplexity: Perplexity | None
    whole: Comparison | None
    whole_of: Literal["text", "replies"] | None
    parts: Mapping[str, Comparison | None]
    divergences: Histogram | None
    tasks: Sequence[TaskResult]
    separation: Separation
    checks: Sequence[Check]
    remarks: Sequence[Remark]
    advice: Sequence[Remark]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    seconds: float

    @property
    def verdict(self) -> Literal["pass", "fail"] | None:
        """``pass`` where every check passed, ``fail`` where one did not, None without a check."""
        if not self.checks:
            return None
        return "pass" if all(check.passed for check in self.checks) else "fail"

    def record(self) -> dict[str, Any]:
        """Return the judgement as a bundle keeps it."""
        files = [] if self.text is None else [{"path": self.text.path, "sha256": self.text.sha256}]
        files += [{"path": str(t.path), "sha256": str(t.sha256)} for t in self.tasks]
        return {
            "verdict": self.verdict,
            "checks": [_finite(check.to_dict()) for check in self.checks],
            "files": files,
            "settings": dict(self.settings),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types; what is infinite or no number becomes None."""
        tree = {
            "kind": "evaluation",
            "verdict": self.verdict,
            "model": self.model.to_dict(),
            "reference": None if self.reference is None else self.reference.to_dict(),
            "text": None if self.text is None else vars(self.text),
            "whole_of": self.whole_of,
            **_figures(self.whole, self.perplexity),
            "parts": {
                name: None if part is None else _figures(part, part.model)
                for name, part in self.parts.items()
            },
            "kld_histogram": None if self.divergences is None else vars(self.divergences),
            "tasks": [task.to_dict() for task in self.tasks],
            "worst_tensors": self.model.worst_tensors(),
            "separation": self.separation.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
            "remarks": [{"code": r.code, "params": dict(r.params)} for r in self.remarks],
            "advice": [{"code": r.code, "params": dict(r.params)} for r in self.advice],
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "seconds": self.seconds,
        }
        result: dict[str, Any] = _finite(tree)
        return result


_NOTHING = {
    "tokens": None,
    "kld_mean": None,
    "kld_interval": None,
    "kld_median": None,
    "kld_p99": None,
    "kld_max": None,
    "top1_agreement": None,
    "rms_dp": None,
}


def _figures(compared: Comparison | None, perplexity: Perplexity | None) -> dict[str, Any]:
    if compared is None:
        tokens = None if perplexity is None else perplexity.tokens
        divergence = {**_NOTHING, "tokens": tokens}
    else:
        divergence = compared.divergence.to_dict()
    return {
        "perplexity": None if perplexity is None else perplexity.value,
        "reference_perplexity": None if compared is None else compared.reference.value,
        **divergence,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
