"""Grids of 16 levels, even or not, in groups with a scale; rounding to them with error feedback.

What benchmarks/table_grid.py compares. NF4: Dettmers et al., QLoRA, 2023, section 3. IQ4_NL:
llama.cpp. Fitted: weighted k-means, as Kim et al., SqueezeLLM, 2023, section 4.1, but one table for
a matrix and not for a row. Levels are whole numbers in int8, so that int8 products stay possible.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scale_search import KINDS

from pocketr1.checkpoint.gguf.blocks import IQ4_NL_LEVELS
from pocketr1.compress.gptq import Feedback

__all__ = ["EITHER", "EVEN", "FITTED", "NAMES", "Array", "quantized", "random_weights"]

Array = NDArray[np.float32]

FACTORS = np.linspace(0.6, 1.15, 12, dtype=np.float32)  # tried, of the least scale that clips none
EVEN, EITHER, FITTED = "even steps", "even steps, scales of either sign", "fitted"
_BINS = ((np.arange(2048) - 1024 + 0.5) / 4).astype(np.float32)


def _nf4() -> list[float]:
    quantile = NormalDist().inv_cdf
    ends = np.linspace(0.9677083, 0.5, 9)[:-1], np.linspace(0.9677083, 0.5, 8)[:-1]
    high, low = ([quantile(p) for p in half] for half in ends)
    return [*(-x / high[0] for x in low), 0.0, *(x / high[0] for x in reversed(high))]


LEVELS: dict[str, Array] = {
    EVEN: np.arange(-128, 128, 16).astype(np.float32),
    "NF4": np.rint(127 * np.array(_nf4())).astype(np.float32),
    "IQ4_NL": IQ4_NL_LEVELS.astype(np.float32),
}


NAMES = (*LEVELS, FITTED)


class Grid:
    """16 levels, whole numbers from -128 to 127, and whether scales may be negative."""

    def __init__(self, levels: Array, either: bool) -> None:
        self.levels, self.either = levels, either
        # Half way between whole numbers is a multiple of 1/2: bins of 1/4 tell levels apart.
        self.table = levels[np.abs(_BINS[:, None] - levels).argmin(1)]

    def nearest(self, values: Array) -> Array:
        """Return the level next to each value."""
        return self.table[_bin(values)]

    def scales(self, weights: Array, importance: Array) -> Array:
        """Search the scale of each group, (rows, groups, inputs); float32 (rows, groups, 1)."""
        least = np.float32(1e-30)
        best = np.full((*weights.shape[:2], 1), np.inf, np.float32)
        found = np.zeros_like(best)

        def consider(scale: Array) -> None:
            nonlocal best, found
            scale = (scale * 16).astype(np.float16).astype(np.float32) / 16  # even steps' precision
            scale = np.where(scale == 0, least, scale)
            error = (weights - scale * self.nearest(weights / scale)) ** 2 * importance
            total = error.sum(2, keepdims=True)
            found, best = np.where(total < best, scale, found), np.minimum(total, best)

        for sign in (1, -1) if self.either else (1,):
            high, low = (sign * weights).max(2), (sign * weights).min(2)
            base = sign * np.maximum(high / self.levels[-1], low / self.levels[0])[..., None]
            for factor in FACTORS:
                consider(base * factor)
        levels = self.nearest(weights / found)
        square = (levels * levels * importance).sum(2, keepdims=True)
        consider((weights * levels * importance).sum(2, keepdims=True) / np.maximum(square, least))
        return found


def _bin(values: Array) -> NDArray[np.int16]:
    return (np.clip(values, -255, 255) * 4 + 1024).astype(np.int16)


def grid_for(name: str, weights: Array, importance: Array) -> Grid:
    """Return a grid; the fitted one's levels are the weighted k-means of weights over scales."""
    if name != FITTED:
        return Grid(LEVELS[EVEN if name == EITHER else name], name != EVEN)
    grid = Grid(LEVELS["NF4"], True)
    weights = weights[:: max(1, len(weights) // 512)]
    for _ in range(3):
        scales = grid.scales(weights, importance)
        bins = _bin(weights / scales).reshape(-1)
        mass = np.bincount(bins, (importance * scales**2).reshape(-1), 2048)
        moment = np.bincount(bins, (importance * scales * weights).reshape(-1), 2048)
        levels = grid.levels.astype(np.float64)
        for _ in range(30):
            near = np.abs(_BINS[:, None] - levels).argmin(1)
            held = np.bincount(near, mass, 16)
            means = np.bincount(near, moment, 16) / np.maximum(held, 1e-30)
            levels = np.where(held > 0, means, levels)
        levels = np.sort(levels * 127 / np.abs(levels).max())  # scales follow
        grid = Grid(np.rint(levels).astype(np.float32), True)
    return grid


def quantized(weights: Array, name: str, group: int, feedback: Feedback | None) -> Array:
    """Round a matrix, float32 (outputs, inputs), with the levels ``name``; as float32."""
    rows, inputs = weights.shape
    importance = np.ones(inputs, np.float32) if feedback is None else feedback.importance
    parts = weights.reshape(rows, -1, group)
    grid = grid_for(name, parts, importance.reshape(1, -1, group))
    scales = grid.scales(parts, importance.reshape(1, -1, group))
    if feedback is None:
        return (scales * grid.nearest(parts / scales)).reshape(rows, inputs)
    out = np.empty_like(weights)
    errors = np.zeros((inputs, rows), np.float32)  # by place
    for place in range(inputs - 1, -1, -1):
        at = feedback.order[place]
        scale = scales[:, at // group, 0]
        wanted = weights[:, at] + feedback.factor[place, place + 1 :] @ errors[place + 1 :]
        out[:, at] = scale * grid.nearest(wanted / scale)
        errors[place] = weights[:, at] - out[:, at]
    return out


def random_weights() -> list[dict[str, Any]]:
    """Return the squared error of each grid over that of even steps, for random weights."""
    rows = []
    for kind, draw in KINDS.items():
        for group in (32, 64, 128):
            weights = draw(np.random.default_rng(0), (512, 2048)).astype(np.float32)
            errors = {
                name: float(np.square(weights - quantized(weights, name, group, None)).sum())
                for name in (*NAMES, EITHER)
            }
            ratios = {name: error / errors[EVEN] for name, error in errors.items()}
            rows.append({"weights": kind, "group": group, "ratios": ratios})
    return rows
