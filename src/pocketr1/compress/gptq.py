"""Quantize a matrix so that its outputs on the calibration text change least.

Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers,
2022: the inputs are rounded one after another, and the error of each is made up for by those that
follow. In the order of their energy, the greatest first ("activation order"), with scales and zero
points of the groups chosen beforehand ("static groups"), each error weighted by its input's energy.
The error feedback is computed from a Cholesky factor of the Gram matrix itself (LDLQ: Chee et al.,
QuIP, 2023, section 3), so that no matrix is inverted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core
from pocketr1.bundle.layout import group_size, weight_bits

__all__ = [
    "Feedback",
    "cholesky",
    "importance_of",
    "quantize_matrix",
    "rounding_error",
    "slabs",
]

#: Added to the diagonal, as a share of its mean: keeps a Gram matrix of few or equal rows positive
#: definite (GPTQ, section 3.3), and does not let the text decide everything.
DAMPING = 0.01
_MORE = 10.0  # times as much damping where that was not enough
_TRIES = 5
_BLOCK = 256
_SLAB_BYTES = 64 << 20  # of float32 rows quantized at a time


@dataclass(frozen=True)
class Feedback:
    """How errors of one input are made up for by others.

    order: uint32 (inputs,): the input at each place; places are rounded from the last to the first.
    factor: float32 (inputs, inputs): row j holds, behind its diagonal, what place j gets of the
        errors of later places.
    importance: float32 (inputs,): the energy of each input, 1 on average.
    damping: the share that was added to the diagonal.
    """

    order: NDArray[np.uint32]
    factor: NDArray[np.float32]
    importance: NDArray[np.float32]
    damping: float

    @classmethod
    def of(cls, gram: NDArray[np.float32]) -> Feedback:
        """Factor a Gram matrix, float32 of shape (inputs, inputs); it is not changed.

        An input that is always zero is rounded to nearest and takes nothing of the others' errors.
        """
        energy = gram.diagonal().copy()
        mean = float(energy.mean()) or 1.0
        order = np.argsort(energy, kind="stable").astype(np.uint32)
        damping = DAMPING
        for _ in range(_TRIES):
            ordered = gram[np.ix_(order, order)]
            np.fill_diagonal(ordered, energy[order] + np.float32(damping * mean))
            try:
                cholesky(ordered)
            except np.linalg.LinAlgError:
                damping *= _MORE
                continue
            ordered /= ordered.diagonal()[:, None].copy()
            return cls(order, ordered, importance_of(energy), damping)
        # Nothing is known of how inputs go together: round to nearest.
        return cls(order, np.zeros_like(gram), importance_of(energy), damping)


def importance_of(energy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what an error at each input counts: its energy, 1 on average and never 0."""
    mean = float(energy.mean())
    if mean <= 0:
        return np.ones_like(energy)
    # An input the text never moved may be moved by another text.
    importance: NDArray[np.float32] = np.maximum(energy / np.float32(mean), np.float32(1e-4))
    return importance


def rounding_error(
    weights: NDArray[np.float32],
    weight_format: str,
    energy: NDArray[np.float32],
    threads: int,
    name: str = "",
) -> float:
    """Return the squared error of the outputs of a matrix that is rounded to nearest.

    Errors of different inputs are taken as independent: of the Gram matrix only the diagonal
    counts, ``energy``, float32 (inputs,). weights: float32 (outputs, inputs).
    """
    part, *_ = _core.quantize_rows(
        weights, "f32", weight_format, threads, name, 0, importance_of(energy)
    )
    error = weights - _core.dequantize_rows(part, weight_format, *weights.shape)
    return float(np.square(error).sum(axis=0) @ energy)


def cholesky(matrix: NDArray[np.float32]) -> None:
    """Replace the upper triangle of ``matrix`` by U, ``matrix`` = U^T U; in place, by blocks.

    float32 of shape (n, n), of which only the upper triangle is read. Golub and Van Loan, Matrix
    Computations, 4th edition, section 4.2.9. Raises LinAlgError where it is not positive definite.
    """
    size = len(matrix)
    for begin in range(0, size, _BLOCK):
        end = min(begin + _BLOCK, size)
        block = matrix[begin:end, begin:end]
        lower = np.linalg.cholesky(block.astype(np.float64), upper=False)
        if not np.isfinite(lower).all():
            raise np.linalg.LinAlgError("not positive definite")
        inner = np.triu_indices(end - begin)
        block[inner] = lower.T[inner]
        if end == size:
            return
        inverse = np.linalg.inv(lower).astype(np.float32)
        right = matrix[begin:end, end:]
        right[:] = inverse @ right
        for first in range(end, size, _BLOCK):
            strip = slice(first, min(first + _BLOCK, size))
            matrix[strip, first:] -= (
                right[:, first - end : strip.stop - end].T @ right[:, first - end :]
            )


def quantize_matrix(
    weights: NDArray[np.float32],
    weight_format: str,
    feedback: Feedback,
    *,
    threads: int,
    name: str = "",
) -> NDArray[np.uint8]:
    """Return the packed part of a matrix, float32 of shape (outputs, inputs), all rows.

    Raises CompressionError: ``quantize-not-finite``, ``quantize-too-large``.
    """
    part, *_ = _core.quantize_rows(
        weights, "f32", weight_format, threads, name, 0, feedback.importance
    )
    codes, scales, zeros = _core.unpack_rows(part, weight_format, *weights.shape)
    bits = weight_bits(weight_format)
    low, high = (-127, 127) if bits == 8 else (0, 2**bits - 1)
    codes = _core.round_with_feedback(
        weights,
        feedback.order,
        feedback.factor,
        scales,
        zeros.astype(np.float32),
        group_size(weight_format),
        low,
        high,
        threads,
        name,
    )
    return _core.pack_rows(codes, scales, zeros, weight_format)


def slabs(rows: int, cols: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows, multiples of 16 but the last, that fit in memory as float32."""
    step = max(16, _SLAB_BYTES // (4 * cols) // 16 * 16)
    for begin in range(0, rows, step):
        yield begin, min(begin + step, rows)
