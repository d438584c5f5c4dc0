"""Rows of weights as the bytes of GGUF's tensor types."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core
from pocketr1.errors import CompressionError
from pocketr1.export.source import Coded, Slab, StoredTensor

__all__ = ["BLOCK", "encode", "holds"]

BLOCK = 32  # weights of a block of the types written here
_Bytes: TypeAlias = NDArray[np.uint8]
_Order: TypeAlias = NDArray[np.int64]


def holds(kind: str, rows: Coded) -> bool:
    """Whether Q8_0 or Q4_0 takes codes and scales over without change."""
    if rows.group % BLOCK:
        return False
    if kind == "Q8_0":
        return bool((np.abs(rows.steps) <= 127).all())
    return bool(_q4_0_signs(_blocks(rows.steps))[1].all())


def encode(
    kind: str,
    slab: Slab,
    tensor: StoredTensor,
    *,
    exactly: bool,
    threads: int,
    order: _Order | None = None,
) -> _Bytes:
    """Return the bytes of rows in a type of GGUF.

    exactly: the rows' own codes are taken over; otherwise they are quantized, with a searched
    scale per block. order: rows in the order of the output, where it differs.

    Raises:
        CompressionError: ``export-gguf-range`` where a number has no place in F16;
            ``quantize-`` … where a weight is not finite.
    """
    if kind in ("F32", "F16", "BF16"):
        numbers = slab.numbers()
        return _plain(kind, numbers if order is None else numbers[order], tensor.name)
    if exactly:
        rows = slab.coded()
    else:
        weight_format = "w8g32" if kind == "Q8_0" else "w4g32"
        numbers = slab.numbers()
        part, *_ = _core.quantize_rows(numbers, "f32", weight_format, threads, tensor.name)
        unpacked = _core.unpack_rows(part, weight_format, *numbers.shape)
        rows = Coded.of(*unpacked, weight_format)
    if order is not None:
        rows = Coded(rows.steps[order], rows.scales[order], rows.group)
    scales = np.repeat(rows.scales, rows.group // BLOCK, axis=1)[:, : rows.steps.shape[1] // BLOCK]
    scales = scales.reshape(-1, 1)
    steps = _blocks(rows.steps)
    if kind == "Q8_0":
        return np.hstack((_halves(scales), steps.astype(np.int8).view(np.uint8)))
    if kind == "Q4_1":
        lowest = steps.min(axis=1, keepdims=True)
        minima = _plain("F16", scales * lowest.astype(np.float32), tensor.name).reshape(-1, 2)
        return np.hstack((_halves(scales), minima, _nibbles(steps - lowest)))
    negative, _ = _q4_0_signs(steps)
    steps = np.where(negative, -steps, steps)
    return np.hstack((_halves(np.where(negative, -scales, scales)), _nibbles(steps + 8)))


def _blocks(steps: NDArray[np.int16]) -> NDArray[np.int16]:
    return steps.reshape(-1, BLOCK)


def _q4_0_signs(steps: NDArray[np.int16]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which blocks need a negative scale, and which have a place at all; (blocks, 1).

    Codes of Q4_0 are -8 to 7 steps, of either sign of the scale.
    """
    low = steps.min(axis=1, keepdims=True)
    high = steps.max(axis=1, keepdims=True)
    negative = high == 8
    return negative, np.where(negative, low >= -7, (low >= -8) & (high <= 7))


def _nibbles(codes: NDArray[np.int16]) -> _Bytes:
    half = BLOCK // 2
    packed: _Bytes = (codes[:, :half] | codes[:, half:] << 4).astype(np.uint8)
    return packed


def _halves(values: NDArray[np.float32]) -> _Bytes:
    return np.ascontiguousarray(values.astype("<f2")).view(np.uint8)


def _plain(kind: str, numbers: NDArray[np.float32], name: str) -> _Bytes:
    if kind == "F32":
        data = numbers.astype("<f4")
    elif kind == "F16":
        with np.errstate(over="ignore"):
            data = numbers.astype("<f2")
        if not np.isfinite(data).all():
            raise CompressionError("export-gguf-range", tensor=name)
    else:  # of BF16 rows, whose lower halves are zero
        data = (np.ascontiguousarray(numbers).view("<u4") >> 16).astype("<u2")
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
