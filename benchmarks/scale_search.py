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
    3: [(0.6, 1.1, 11), (0.5, 1.1, 7), (0.5, 1.1, 13), (0.5, 1.1, 61)],
    2: [(0.5, 1.1, 13), (0.3, 1.1, 9), (0.3, 1.1, 17), (0.3, 1.1, 81)],
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


def search(
    weights: Array, low: int, high: int, grid: tuple[float, float, int], mirrored: bool
) -> list[float]:
    """Return the relative squared error of the grid, without and with the refit.

    ``mirrored`` tries scales of both signs, as the quantizer does in 3 and 2 bits.
    """
    base = np.maximum(weights.max(1) / high, weights.min(1) / low)
    codes, best = rounded(weights, base, low, high)
    plain = best.sum()
    signs = np.ones(len(weights), np.float32)
    for sign in (1, -1) if mirrored else (1,):
        turned = weights * np.float32(sign)
        scale = np.maximum(turned.max(1) / high, turned.min(1) / low)
        for factor in np.linspace(*grid):
            tried, error = rounded(turned, scale * np.float32(factor), low, high)
            codes = np.where((error < best)[:, None], tried, codes)
            signs = np.where(error < best, np.float32(sign), signs)
            best = np.minimum(best, error)
    turned = weights * signs[:, None]
    fitted = (turned * codes).sum(1) / np.maximum((codes * codes).sum(1), 1)
    _, refit = rounded(turned, fitted, low, high)
    return [float(best.sum() / plain), float(np.minimum(best, refit).sum() / plain)]


def main() -> None:
    """Print the table."""
    for bits, grids in GRIDS.items():
        low, high = (-127, 127) if bits == 8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        names = [f"{a:g}..{b:g} x{n}" for a, b, n in grids]
        print(f"{f'{bits} bits':<24}" + "".join(f"{name:>20}" for name in names))
        for kind, draw in KINDS.items():
            for group in (32, 64, 128):
                rng = np.random.default_rng(0)
                weights = (0.02 * draw(rng, (ROWS, group))).astype(np.float32)
                cells = [search(weights, low, high, grid, bits < 4) for grid in grids]
                row = "".join(f"{f'{a:.3f} / {b:.3f}':>20}" for a, b in cells)
                print(f"{kind:<14}{f'g{group}':<10}{row}")


if __name__ == "__main__":
    main()
