"""Entries of safetensors headers, and reading rows or columns of what they name."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.decoder import Decoder
from pocketr1.errors import CheckpointError

__all__ = ["Entry", "read_columns", "read_into", "read_numbers", "read_rows"]

_SHORT_ROW = 16 << 10  # bytes that are read and left sooner than passed by
_BAND = 4 << 20  # bytes read at a time
_ELEMENTS: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E8M0": np.dtype("u1"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}


@dataclass(frozen=True)
class Entry:
    """One line of a safetensors header, or a weight that several of them make together."""

    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    end: int
    name: str = ""  # in the file
    decoder: Decoder | None = None  # of a weight that is stored encoded


def read_rows(entry: Entry, begin: int = 0, end: int | None = None) -> NDArray[Any]:
    """Read rows ``[begin, end)``, as numpy's type of the same name; bf16 and fp8 as bit patterns.

    Raises:
        CheckpointError: ``checkpoint-read`` where the file is gone, unreadable or cut short.
    """
    rows = entry.shape[0] if entry.shape else 1
    end = rows if end is None else end
    out: NDArray[Any] = np.empty((end - begin, *entry.shape[1:]), _ELEMENTS[entry.dtype])
    row_bytes = math.prod(entry.shape[1:]) * out.itemsize
    read_into(entry.file, entry.begin + begin * row_bytes, out, entry.name)
    return out


def read_columns(entry: Entry, begin: int, end: int) -> NDArray[Any]:
    """Read columns ``[begin, end)`` of a matrix: (rows, end - begin); raises as ``read_rows``."""
    rows, cols = entry.shape
    out: NDArray[Any] = np.empty((rows, end - begin), _ELEMENTS[entry.dtype])
    row_bytes = cols * out.itemsize
    if row_bytes <= _SHORT_ROW or 2 * (end - begin) > cols:
        band = max(1, _BAND // row_bytes)
        for row in range(0, rows, band):
            stop = min(row + band, rows)
            out[row:stop] = read_rows(entry, row, stop)[:, begin:end]
        return out
    view = out.reshape(-1).view(np.uint8).data
    size = (end - begin) * out.itemsize
    try:
        with entry.file.open("rb", buffering=0) as file:
            for row in range(rows):
                at = entry.begin + (row * cols + begin) * out.itemsize
                piece = view[row * size : (row + 1) * size]
                if os.preadv(file.fileno(), [piece], at) != size:
                    raise _cut_short(entry.file, entry.name)
    except OSError as error:
        raise _unreadable(entry.file, error) from error
    return out


def read_numbers(entry: Entry, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return what was read of an f32, f16, bf16 or e8m0 entry as float32, exactly.

    Raises:
        CheckpointError: ``checkpoint-encoded-value`` where one is not finite.
    """
    if entry.dtype == "BF16":
        numbers = (values.astype(np.uint32) << 16).view(np.float32)
    elif entry.dtype == "F8_E8M0":  # an exponent; 255 is NaN
        numbers = np.where(
            values < 255, np.ldexp(np.float32(1), values.astype(np.int32) - 127), np.nan
        )
        numbers = numbers.astype(np.float32)
    else:
        numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        reason = "holds a value that is not finite"
        raise CheckpointError(
            "checkpoint-encoded-value", where=str(entry.file), tensor=entry.name, reason=reason
        )
    return numbers


def read_into(path: Path, offset: int, out: NDArray[Any], tensor: str) -> None:
    """Fill an array with the bytes of a file from ``offset`` on.

    Raises:
        CheckpointError: ``checkpoint-read``.
    """
    view = out.reshape(-1).view(np.uint8).data
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            filled = 0
            while filled < len(view):
                count = file.readinto(view[filled:])
                if not count:
                    raise _cut_short(path, tensor)
                filled += count
    except OSError as error:
        raise _unreadable(path, error) from error


def _cut_short(path: Path, tensor: str) -> CheckpointError:
    reason = f"it ends within {tensor}"
    return CheckpointError("checkpoint-read", where=str(path), reason=reason)


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    reason = error.strerror or str(error)
    return CheckpointError("checkpoint-read", where=str(path), reason=reason)
