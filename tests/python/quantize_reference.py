"""The quantizer of core/quantize in NumPy, bit for bit: what it is meant to compute.

Sums run over the inputs in order, in float32, as the core's do; everything else is elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

F = np.float32
GRIDS = {
    "8": (8, 12, 0.005),
    "4": (16, 6, 0.025),
    "4z": (12, 2, 0.025),
    **dict.fromkeys(("3", "3z"), (10, 2, 0.05)),
    **dict.fromkeys(("2", "2z"), (14, 2, 0.05)),
}


@dataclass
class Quantized:
    """Row-major codes (rows, cols), scales and zero points (rows, groups)."""

    codes: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray

    def dequantize(self, group: int) -> np.ndarray:
        """Return the weights, float32 (rows, cols)."""
        index = np.arange(self.codes.shape[1]) // group
        steps = self.codes.astype(np.int32) - self.zeros.astype(np.int32)[:, index]
        return steps.astype(F) * self.scales[:, index]


def parse_format(name: str) -> tuple[int, int, bool]:
    """Return bits, group size and whether there are zero points: ``w4g64z`` is (4, 64, True)."""
    return int(name[1]), int(name[3:].rstrip("z")), name.endswith("z")


def _stored(scale: np.ndarray) -> np.ndarray:
    in_range = np.clip(scale, F(2.0**-24), F(65504))
    return np.where(scale > 0, in_range, F(0)).astype(np.float16).astype(F)


def _inverse(scale: np.ndarray) -> np.ndarray:
    safe = np.where(scale > 0, scale, F(1))
    return np.where(scale > 0, F(1) / safe, F(0))


def _codes(w: np.ndarray, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    rounded = np.rint(w * _inverse(scale)[..., None])
    return np.minimum(np.maximum(rounded, low[..., None]), high[..., None]).astype(F)


def _in_order(terms: np.ndarray) -> np.ndarray:
    total = np.zeros(terms.shape[:-1], F)
    for i in range(terms.shape[-1]):
        total = total + terms[..., i]
    return total


class _Search:
    """The best choice so far of every (row, group)."""

    def __init__(self, w: np.ndarray, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.w, self.scale, self.low, self.high = w, scale, low, high
        self.error = self._error(scale, low, high)

    def _error(self, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        error = self.w - _codes(self.w, scale, low, high) * scale[..., None]
        return _in_order(error * error)

    def consider(self, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        error = self._error(scale, low, high)
        better = error < self.error
        self.scale = np.where(better, scale, self.scale)
        self.low = np.where(better, low, self.low)
        self.high = np.where(better, high, self.high)
        self.error = np.where(better, error, self.error)

    def refit(self) -> None:
        codes = _codes(self.w, self.scale, self.low, self.high)
        cross, square = _in_order(self.w * codes), _in_order(codes * codes)
        fitted = np.maximum(cross / np.where(square > 0, square, F(1)), F(0))
        self.consider(_stored(np.where(square > 0, fitted, self.scale)), self.low, self.high)


def quantize(weights: np.ndarray, name: str) -> Quantized:
    """Quantize float32 ``weights`` (rows, cols) to the tile format ``name``."""
    bits, group, with_zeros = parse_format(name)
    rows, cols = weights.shape
    groups = -(-cols // group)
    w = np.zeros((rows, groups * group), F)
    w[:, :cols] = weights
    w = w.reshape(rows, groups, group)
    lowest = np.minimum(w.min(-1), F(0))
    highest = np.maximum(w.max(-1), F(0))
    one = np.ones((rows, groups), F)
    below, above, step = GRIDS[f"{bits}z" if with_zeros else str(bits)]
    factors = [F(1) + F(step) * F(j) for j in range(-below, above + 1)]
    top, centre_code = F(2**bits - 1), F(2 ** (bits - 1))
    sign = one
    if with_zeros:
        base = (highest - lowest) / top
        middle = (highest + lowest) * F(0.5)
        first = np.minimum(np.rint(-lowest * _inverse(_stored(base))), top)
        search = _Search(w, _stored(base), -first, top - first)
        for factor in factors:
            scale = _stored(base * factor)
            centre = np.rint(top * F(0.5) - middle * _inverse(scale))
            for beside in (-1, 0, 1):
                zero = np.clip(centre + F(beside), F(0), top)
                search.consider(scale, -zero, top - zero)
    else:
        low, high = (F(-127), F(127)) if bits == 8 else (-centre_code, top - centre_code)
        base = np.maximum(highest / high, -lowest / -low)
        mirrored = np.maximum(highest / -low, -lowest / high)
        search = _Search(w, _stored(base), low * one, high * one)
        for factor in factors:
            search.consider(_stored(base * factor), low * one, high * one)
            if bits < 4:  # codes that reach further up than down are a negative scale's
                search.consider(_stored(mirrored * factor), -high * one, -low * one)
    search.refit()
    if with_zeros:
        zeros = -search.low
    else:
        zeros = (F(0) if bits == 8 else centre_code) * one
        if bits < 4:
            sign = np.where((search.high == -low) & (search.scale > 0), F(-1), F(1))
    codes = _codes(w, search.scale, search.low, search.high) * sign[..., None] + zeros[..., None]
    kind = np.int8 if bits == 8 else np.uint8
    flat = codes.reshape(rows, -1)[:, :cols]
    return Quantized(flat.astype(kind), search.scale * sign, zeros.astype(np.uint8))


def pack(quantized: Quantized, name: str) -> bytes:
    """Lay ``quantized`` out as one part, padding included (docs/reference/bundle-format.md)."""
    bits, group, with_zeros = parse_format(name)
    rows, cols = quantized.codes.shape
    groups = quantized.scales.shape[1]
    blocks = -(-rows // 16)
    scales = np.zeros((blocks * 16, groups), np.float16)
    scales[:rows] = quantized.scales
    centre = 0 if bits == 8 or with_zeros else 2 ** (bits - 1)
    zeros = np.full((blocks * 16, groups), centre, np.uint8)
    zeros[:rows] = quantized.zeros
    codes = np.repeat(zeros, group, axis=1)
    codes[:rows, :cols] = quantized.codes.view(np.uint8)

    def by_block(array: np.ndarray) -> np.ndarray:
        return array.reshape(blocks, 16, groups).transpose(0, 2, 1)

    if bits == 3:
        # A unit is 32 inputs; of its eight fours, pairs share a byte of a tile each, the last pair
        # two bits of each of the three.
        fours = codes.reshape(blocks, 16, -1, 8, 4)
        six = fours[..., 6, :] | fours[..., 7, :] << 3
        pairs = [fours[..., 2 * t, :] | fours[..., 2 * t + 1, :] << 3 for t in range(3)]
        joined = [pairs[t] | (six >> (2 * t) & 3) << 6 for t in range(3)]
        tiles = np.stack(joined, 3).transpose(0, 2, 3, 1, 4)
    else:
        parts = codes.reshape(blocks, 16, -1, 8 // bits, 4)
        shifts = (np.arange(8 // bits) * bits).astype(np.uint8)[:, None]
        tiles = np.bitwise_or.reduce(parts << shifts, axis=3).transpose(0, 2, 1, 3)
    tail = by_block(zeros).tobytes() if with_zeros else b""
    return tiles.tobytes() + by_block(scales).tobytes() + tail
