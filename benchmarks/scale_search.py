"""How many scales are worth trying? Squared error against the plain scale, per grid.

    python benchmarks/scale_search.py

The grids that core/quantize/quantize_block.inl uses were chosen with it. Each row is a kind of
random weights, a number of bits and a group size; each column a grid around the plain scale: its
ends and its number of candidates, then the squared error relative to the plain scale's, and the
same after one refit of the scale to the codes chosen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ROWS = 4000
GRIDS = {
    4: [(0.7, 1.1, 9), (0.7, 1.1, 17), (0.6, 1.15, 23), (0.7, 1.1, 81)],
    8: [(0.96, 1.06, 11), (0.97, 1.04, 15), (0.96, 1.06, 21), (0.96, 1.06, 81)],
}
KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "Gaussian": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student t, 5": lambda rng, shape: rng.standard_t(5, size=shape),
}


def rounded(weights: Array, scale: Array, low: int, high: int) -> tuple[Array, Array]:
    """Return codes and squared error of each group (a row), for f16-rounded scales (rows,)."""
    stored = scale.astype(np.float16).astype(np.float32)[:, None]
    codes = np.clip(np.rint(weights / stored), low, high)
    return codes, ((weights - codes * stored) ** 2).sum(1)


def search(weights: Array, low: int, high: int, grid: tuple[float, float, int]) -> list[float]:
    """Return the relative squared error of the grid, without and with the refit."""
    base = np.maximum(weights.max(1) / high, weights.min(1) / low)
    codes, best = rounded(weights, base, low, high)
    plain = best.sum()
    for factor in np.linspace(*grid):
        tried, error = rounded(weights, base * np.float32(factor), low, high)
        codes = np.where((error < best)[:, None], tried, codes)
        best = np.minimum(best, error)
    fitted = (weights * codes).sum(1) / np.maximum((codes * codes).sum(1), 1)
    _, refit = rounded(weights, fitted, low, high)
    return [float(best.sum() / plain), float(np.minimum(best, refit).sum() / plain)]


def main() -> None:
    """Print the table."""
    for bits, grids in GRIDS.items():
        low, high = (-8, 7) if bits == 4 else (-127, 127)
        names = [f"{a:g}..{b:g} x{n}" for a, b, n in grids]
        print(f"{f'{bits} bits':<24}" + "".join(f"{name:>20}" for name in names))
        for kind, draw in KINDS.items():
            for group in (32, 64, 128):
                rng = np.random.default_rng(0)
                weights = (0.02 * draw(rng, (ROWS, group))).astype(np.float32)
                cells = [search(weights, low, high, grid) for grid in grids]
                row = "".join(f"{f'{a:.3f} / {b:.3f}':>20}" for a, b in cells)
                print(f"{kind:<14}{f'g{group}':<10}{row}")


if __name__ == "__main__":
    main()
