"""Which tensor gets how many bits: as near to the original as a size allows.

What each matrix's bits are worth is measured at 3 bits and at 2 (sensitivity.py). Divergences are
taken to add up, and to grow with the squared error of the outputs where that is not large, so that
3 bits tell of 4 and 8 and all sizes of groups. Under a limit on the sum of sizes, or of
divergences, the choice that is best then is a walk along the lower convex hulls, the steepest step
first (Shoham and Gersho, Efficient bit allocation for an arbitrary set of quantizers, 1988).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Choice", "Sensitivity", "choose"]


@dataclass(frozen=True)
class Sensitivity:
    """What one matrix costs in each format: bytes, and the divergence it adds, in nats."""

    name: str
    bytes: Mapping[str, int]
    divergence: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """The format of each matrix, their bytes, and the divergence that was foretold."""

    formats: Mapping[str, str]
    bytes: int
    divergence: float


def choose(
    sensitivities: Sequence[Sensitivity],
    *,
    limit_bytes: int | None = None,
    limit_divergence: float | None = None,
) -> Choice | None:
    """Choose formats: the least divergence within bytes, or the fewest bytes within divergence.

    Returns None where even the smallest formats take more bytes, or the largest diverge more.
    """
    hulls = [_hull(each) for each in sensitivities]
    chosen = [0] * len(hulls)
    size = sum(each.bytes[hull[0]] for each, hull in zip(sensitivities, hulls, strict=True))
    lost = sum(each.divergence[hull[0]] for each, hull in zip(sensitivities, hulls, strict=True))
    if limit_bytes is not None and size > limit_bytes:
        return None
    steps = []
    for number, (each, hull) in enumerate(zip(sensitivities, hulls, strict=True)):
        for place, (low, high) in enumerate(pairwise(hull)):
            more = each.bytes[high] - each.bytes[low]
            less = each.divergence[low] - each.divergence[high]
            steps.append((-less / more, number, place, more, less))
    # Along a hull steps grow flatter, so that those of one matrix come in order.
    for _, number, place, more, less in sorted(steps):
        if limit_divergence is not None and lost <= limit_divergence:
            break
        if place != chosen[number] or (limit_bytes is not None and size + more > limit_bytes):
            continue  # a smaller step of another matrix may still fit
        chosen[number] += 1
        size += more
        lost -= less
    if limit_divergence is not None and lost > limit_divergence:
        return None
    formats = {
        each.name: hull[place]
        for each, hull, place in zip(sensitivities, hulls, chosen, strict=True)
    }
    return Choice(formats, size, max(lost, 0.0))


def _hull(each: Sensitivity) -> list[str]:
    """Return the formats on the lower convex hull of divergence over bytes, smallest first."""
    hull: list[str] = []

    def slope(low: str, high: str) -> float:
        return (each.divergence[high] - each.divergence[low]) / (each.bytes[high] - each.bytes[low])

    for name in sorted(each.bytes, key=lambda name: (each.bytes[name], each.divergence[name])):
        if hull and each.divergence[name] >= each.divergence[hull[-1]]:
            continue
        while len(hull) > 1 and slope(hull[-2], hull[-1]) >= slope(hull[-1], name):
            hull.pop()
        hull.append(name)
    return hull
