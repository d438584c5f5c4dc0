"""Weights stored as FP8 (E4M3) with scales of blocks, rows or the whole tensor.

E4M3 has a sign, 4 bits of exponent (bias 7) and 3 of mantissa, no infinity, and NaN at 0x7F and
0xFF (Micikevicius et al., "FP8 Formats for Deep Learning", arXiv:2209.05433). A weight is its value
times its scale, rounded to float32 once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.stored import Entry, read_numbers, read_rows
from pocketr1.errors import CheckpointError

__all__ = ["E4M3", "Fp8Weight"]

_CHECKED = 4 << 20  # codes looked at at a time
_GROUP = 128  # inputs that share a scale in our format
_LARGEST = np.float32(448)


def _values() -> NDArray[np.float32]:
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, code & 7
    value = np.where(exponent > 0, np.ldexp(8.0 + mantissa, exponent - 10), mantissa * 2.0**-9)
    value[code & 127 == 127] = np.nan
    return np.where(code < 128, value, -value).astype(np.float32)


#: The value of each code, (256,).
E4M3: NDArray[np.float32] = _values()


class Fp8Weight:
    """One matrix (outputs, inputs); a :class:`Decoder`."""

    dtype = "f32"
    label = "fp8"  # what it is stored as, for people

    def __init__(self, codes: Entry, scale: Entry, rows: int, columns: int) -> None:
        """``scale`` is an array over blocks of ``rows`` outputs by ``columns`` inputs."""
        self._entry = codes
        self._scale = scale
        self.shape: tuple[int, ...] = codes.shape
        self._rows = rows
        self._columns = columns
        self._exact: str | None = None
        self._looked = False

    def rows(self, begin: int, end: int) -> NDArray[np.float32]:
        """Return the weights of rows ``[begin, end)``, float32."""
        block = np.arange(self.shape[1]) // self._columns
        with np.errstate(over="ignore"):
            weights: NDArray[np.float32] = E4M3[self._codes(begin, end)]
            weights *= self._scales(begin, end)[:, block]
        return weights

    @property
    def exact_format(self) -> str | None:
        """``f8e4m3`` where it holds codes and scales as they are, else None; reads the scales."""
        if not self._looked:
            self._exact = self._find_format()
            self._looked = True
        return self._exact

    def codes(
        self, begin: int, end: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Return codes, scales of 128 inputs, and no zero points (all 0)."""
        starts = np.arange(0, self.shape[1], _GROUP) // self._columns
        scales = np.ascontiguousarray(self._scales(begin, end)[:, starts])
        return self._codes(begin, end), scales, np.zeros(scales.shape, np.uint8)

    def _find_format(self) -> str | None:
        if self._columns % _GROUP and self._columns < self.shape[1]:
            return None
        scales = self._scales(0, self.shape[0])
        with np.errstate(over="ignore"):
            fits = not np.signbit(scales).any() and bool(np.isfinite(scales * _LARGEST).all())
        return "f8e4m3" if fits else None

    def _codes(self, begin: int, end: int) -> NDArray[np.uint8]:
        codes: NDArray[np.uint8] = read_rows(self._entry, begin, end)
        bad = np.flatnonzero(((codes & 0x7F) == 0x7F).any(axis=1))
        if bad.size:
            raise CheckpointError(
                "checkpoint-encoded-value",
                where=str(self._entry.file),
                tensor=self._entry.name,
                reason=f"holds NaN in row {begin + int(bad[0])}",
            )
        return codes

    def _scales(self, begin: int, end: int) -> NDArray[np.float32]:
        """Scales of rows: (rows, blocks of inputs)."""
        first = begin // self._rows
        if self._scale.shape and self._scale.shape[0] > 1:
            stored = read_rows(self._scale, first, -(-end // self._rows))
        else:
            stored = read_rows(self._scale)
        scales = read_numbers(self._scale, stored).reshape(max(1, len(stored)), -1)
        if len(scales) == 1:
            return np.repeat(scales, end - begin, axis=0)
        return scales[np.arange(begin, end) // self._rows - first]
