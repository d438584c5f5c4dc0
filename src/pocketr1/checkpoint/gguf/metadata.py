"""Typed access to a GGUF file's metadata; every error names the file and the key."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from pocketr1.checkpoint.gguf.container import GgufFile, Value, shown
from pocketr1.errors import CheckpointError

__all__ = ["Metadata"]

_T = TypeVar("_T")
_LARGEST_SIZE = 2**31 - 1
_LONGEST_TEXT = 4 << 20  # bytes; the longest chat templates are near 30 KB


class Metadata:
    """A file's metadata, read key by key; keys nobody asks for are ignored.

    Raises (every getter):
        CheckpointError: ``checkpoint-gguf-key``, naming file, key and reason: a key without a
            default is missing, or its value is not of the kind or range asked for.
    """

    def __init__(self, file: GgufFile) -> None:
        self.file = file

    def __contains__(self, key: str) -> bool:
        return key in self.file.metadata

    def invalid(self, key: str, reason: str) -> CheckpointError:
        """Return the error for a key that is missing or makes no sense."""
        return CheckpointError(
            "checkpoint-gguf-key", where=str(self.file.path), key=shown(key), reason=reason
        )

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string, which must be UTF-8."""
        value = self._get(key, default)
        if isinstance(value, str):
            return value
        if not isinstance(value, bytes):
            raise self.invalid(key, "is not a string")
        if len(value) > _LONGEST_TEXT:
            raise self.invalid(key, f"is {len(value)} bytes long")
        return self.decoded(key, value)

    def decoded(self, key: str, value: bytes) -> str:
        """Return a string of that key as text."""
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise self.invalid(key, f"is not UTF-8: {shown(value)}") from None

    def size(self, key: str, default: int | None = None) -> int:
        """Return a positive integer; one per layer counts where all are the same."""
        value = self._get(key, default)
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and len(value):
            if (value != value[0]).any():
                raise self.invalid(key, "differs from layer to layer, which is not supported")
            value = int(value[0])
        if type(value) is not int or not 1 <= value <= _LARGEST_SIZE:
            raise self.invalid(key, f"is {_short(value)}, not a positive integer")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
            raise self.invalid(key, f"is {_short(value)}, not a finite number")
        return value  # type: ignore[return-value]

    def flag(self, key: str, default: bool) -> bool:
        """Return a truth value."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.invalid(key, f"is {_short(value)}, neither true nor false")
        return value

    def token(self, key: str, vocabulary: int) -> int | None:
        """Return a token id below ``vocabulary``, or None where the key is missing."""
        if key not in self:
            return None
        value = self.file.metadata[key]
        if type(value) is not int or not 0 <= value < vocabulary:
            reason = f"is {_short(value)}, not an id of the vocabulary's {vocabulary} tokens"
            raise self.invalid(key, reason)
        return value

    def strings(self, key: str) -> list[bytes]:
        """Return an array of strings."""
        value = self._get(key, None)
        if not isinstance(value, list):
            raise self.invalid(key, "is not an array of strings")
        return value

    def integers(self, key: str) -> list[int]:
        """Return an array of integers."""
        value = self._get(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
            raise self.invalid(key, "is not an array of integers")
        return [int(item) for item in value]

    def _get(self, key: str, default: _T | None) -> Value | _T:
        value = self.file.metadata.get(key)
        if value is not None:
            return value
        if default is None:
            raise self.invalid(key, "is missing")
        return default


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return repr(shown(value))
    if isinstance(value, list | np.ndarray):
        return f"an array of {len(value)}"
    return repr(value)
