"""The gate between a finished bundle and its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pocketr1.engine import ModelSource

__all__ = ["Gate", "Judgement", "SeparatingGate"]


@dataclass(frozen=True)
class Judgement:
    """What a gate says of a bundle.

    passed: whether it may have its name. record: JSON types for the ``gate`` of bundle.json.
    reasons: why not; advice: what to change; both for people, in their language. report: JSON
    types, all that was measured, for the one who asked.
    """

    passed: bool
    record: Mapping[str, Any]
    reasons: str = ""
    advice: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


#: Judges a bundle that is whole but has no name yet; :class:`pocketr1.evaluate.EvaluationGate` does
#: it by measuring. What it raises stops the job, which can be taken up again.
Gate: TypeAlias = Callable[[ModelSource], Judgement]


@runtime_checkable
class SeparatingGate(Protocol):
    """A gate that sees to it that it measures with nothing that the model is calibrated with."""

    def calibrated_with(self, text: str) -> None:
        """Take the calibration text, as soon as there is one and before the long work.

        Raises UsageError where the gate would measure with it.
        """
