"""Tensors of a source read as numbers, and packed in the formats of a bundle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, checkpoint
from pocketr1.bundle.layout import group_size
from pocketr1.compress.gptq import Feedback, quantize_matrix, slabs
from pocketr1.compress.units import Packed, joined

__all__ = ["carries", "layer_tensors", "pack", "pack_carried", "pack_slabs", "read", "sampled"]

Array = NDArray[np.float32]


def read(source: checkpoint.Checkpoint, name: str, begin: int = 0, end: int | None = None) -> Array:
    """Return rows of a tensor as float32."""
    rows = source.read_rows(name, begin, end)
    return checkpoint.as_float32(rows, source.tensors[name].dtype)


def layer_tensors(source: checkpoint.Checkpoint, number: int) -> dict[str, Array]:
    """Return a layer's tensors as float32, by short name (``q.weight``)."""
    prefix = f"layers.{number}."
    return {
        name[len(prefix) :]: read(source, name)
        for name in source.tensors
        if name.startswith(prefix)
    }


def sampled(source: checkpoint.Checkpoint, name: str, count: int) -> Array:
    """Return about ``count`` rows from all over a matrix, as float32; it is not read whole."""
    tensor = source.tensors[name]
    # Of rows that are decoded, some together: their codes may share words.
    run = 1 if tensor.decoder is None else 16
    rows = tensor.shape[0]
    begins = range(0, rows, run * max(1, rows // count))
    return np.concatenate([read(source, name, row, min(row + run, rows)) for row in begins])


def pack(
    name: str,
    weights: Array,
    weight_format: str,
    threads: int,
    feedback: Feedback | None = None,
) -> Packed:
    """Quantize or convert a tensor, float32 of any shape; with ``feedback`` where it has codes."""
    rows = np.ascontiguousarray(weights, np.float32)
    data = _bytes(name, rows, weight_format, threads, feedback)
    return Packed(weight_format, weights.shape, data, _errors(rows, data, weight_format))


def pack_slabs(
    source: checkpoint.Checkpoint,
    name: str,
    weight_format: str,
    threads: int,
    feedback: Feedback | None = None,
    factors: Array | None = None,
) -> Packed:
    """Pack a large matrix, a slab of rows after the other; ``factors``: of its columns."""
    rows, cols = source.tensors[name].shape
    parts: list[tuple[int, NDArray[np.uint8]]] = []
    errors = []
    for begin, end in slabs(rows, cols):
        weights = read(source, name, begin, end)
        if factors is not None:
            weights = weights * factors
        packed = pack(name, weights, weight_format, threads, feedback)
        parts.append((end - begin, packed.data))
        errors.append(packed.errors)
    return Packed(
        weight_format, (rows, cols), joined(weight_format, cols, parts), np.concatenate(errors)
    )


def carries(source: checkpoint.Checkpoint, name: str, weight_format: str) -> bool:
    """Whether the source holds a matrix as codes that a format takes as they are."""
    decoder = source.tensors[name].decoder
    return (
        decoder is not None
        and group_size(weight_format) > 0
        and decoder.exact_format == weight_format
    )


def pack_carried(source: checkpoint.Checkpoint, name: str, weight_format: str) -> Packed:
    """Pack a matrix that ``carries``."""
    decoder = source.tensors[name].decoder
    assert decoder is not None
    rows, cols = source.tensors[name].shape
    parts: list[tuple[int, NDArray[np.uint8]]] = []
    errors = []
    for begin, end in slabs(rows, cols):
        data = _core.pack_rows(*decoder.codes(begin, end), weight_format)
        parts.append((end - begin, data))
        errors.append(_errors(read(source, name, begin, end), data, weight_format))
    return Packed(
        weight_format, (rows, cols), joined(weight_format, cols, parts), np.concatenate(errors)
    )


def _bytes(
    name: str, rows: Array, weight_format: str, threads: int, feedback: Feedback | None
) -> NDArray[np.uint8]:
    if feedback is not None and weight_format.startswith("w"):
        return quantize_matrix(rows, weight_format, feedback, threads=threads, name=name)
    if weight_format == "bf16":
        bits = rows.view(np.uint32)
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        return rounded.astype("<u2").reshape(-1).view(np.uint8)
    data, *_ = _core.quantize_rows(rows, "f32", weight_format, threads, name, 0)
    return data


def _errors(weights: Array, data: NDArray[np.uint8], weight_format: str) -> NDArray[np.float64]:
    """Return the errors of each block of 16 rows, as :class:`Packed` has them."""
    rows, cols = weights.shape if weights.ndim == 2 else (len(weights), 1)
    stored = _core.dequantize_rows(data, weight_format, rows, cols)
    exact = weights.reshape(rows, cols)
    blocks = range(0, rows, 16)
    table = np.empty((len(blocks), 3), np.float64)
    for number, begin in enumerate(blocks):
        block = exact[begin : begin + 16].astype(np.float64)
        wrong = block - stored[begin : begin + 16]
        table[number] = np.square(wrong).sum(), np.square(block).sum(), np.abs(wrong).max()
    return table
