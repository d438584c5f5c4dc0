"""Typed access to a Hugging Face ``config.json``; every error names the file and the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketr1.errors import CheckpointError

__all__ = ["Config"]


class Config:
    """A ``config.json``, read key by key.

    JSON ``null`` counts as absent, as it does for transformers.

    Raises (every getter):
        CheckpointError: ``checkpoint-config-invalid``, naming file, key and reason.
    """

    def __init__(self, values: Mapping[str, Any], where: Path, prefix: str = "") -> None:
        self.values = values
        self.where = where
        self.prefix = prefix  # of every key in an error, e.g. "rope_scaling."

    def invalid(self, key: str, reason: str) -> CheckpointError:
        """Return the error for a key that is missing or makes no sense."""
        return CheckpointError(
            "checkpoint-config-invalid", where=str(self.where), key=self.prefix + key, reason=reason
        )

    def unsupported(self, key: str, value: object, supported: str) -> CheckpointError:
        """Return the error for a value that makes sense but that Pocket R1 does not run."""
        return CheckpointError(
            "checkpoint-config-unsupported",
            where=str(self.where),
            key=self.prefix + key,
            value=str(value),
            supported=supported,
        )

    def get(self, key: str) -> Any:
        """Return the raw value, or ``None`` where the key is absent or null."""
        return self.values.get(key)

    def size(self, key: str, default: int | None = None, maximum: int = 2**31 - 1) -> int:
        """Return a positive integer of at most ``maximum``."""
        value = self.get(key)
        if value is None:
            if default is None:
                raise self.invalid(key, "is missing")
            return default
        if type(value) is not int or value < 1:
            raise self.invalid(key, f"is {value!r}, not a positive integer")
        if value > maximum:
            raise self.invalid(key, f"is {value}, greater than {maximum}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return a boolean."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.invalid(key, f"is {value!r}, neither true nor false")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number as it stands (an integer stays one)."""
        value = self.get(key)
        if value is None:
            if default is None:
                raise self.invalid(key, "is missing")
            return default
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.invalid(key, f"is {value!r}, not a finite number")
        return value  # type: ignore[no-any-return]

    def token(self, key: str) -> int | None:
        """Return one token id, or ``None``."""
        value = self.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise self.invalid(key, f"is {value!r}, not a token id")
        return value

    def tokens(self, key: str) -> tuple[int, ...]:
        """Return token ids written as one integer or as a list; empty where absent."""
        value = self.get(key)
        if value is None:
            return ()
        ids = value if isinstance(value, list) else [value]
        for token in ids:
            if type(token) is not int or token < 0:
                raise self.invalid(key, f"is {value!r}, not a token id or a list of them")
        return tuple(ids)
