"""What an export tells while it works, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ExportProgress", "ExportReport"]


@dataclass(frozen=True)
class ExportProgress:
    """How far an export is: bytes of the output."""

    done: int
    total: int
    tensor: str  # the one at work


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    types: matrices of each type of the output. exact: matrices whose values are the model's own.
    """

    path: str
    format: str
    file_bytes: int
    parameters: int
    types: Mapping[str, int]
    matrices: int
    exact: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**asdict(self), "types": dict(self.types)}
