"""Accuracy where every problem was answered several times, with other random numbers.

Answers to one problem resemble each other, so that n problems answered s times tell less than n * s
problems would. The intervals therefore count an effective number of answers: all of them over the
design effect (Kish, Survey Sampling, 1965; Rao and Scott, Biometrics 48:577, 1992), the variance
that problems as clusters show over the one that independent answers would have. It is taken between
1 and s, and as s where nothing varies, so that no interval becomes narrower than all answers, or
wider than one answer a problem, would make it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pocketr1.measure.accuracy import PairedDifference, Proportion

__all__ = ["repeated_difference", "repeated_proportion"]

Rows = Sequence[Sequence[bool]] | NDArray[np.bool_]


def repeated_proportion(right: Rows) -> Proportion:
    """Return how often answers are right; ``right`` has a row for each problem.

    Raises ValueError for rows that are empty or not equally long.
    """
    table = _table(right)
    spread = float(table.mean(axis=1).var(ddof=1)) if len(table) > 1 else 0.0
    mean = float(table.mean())
    effective = _effective(table, spread, mean * (1 - mean))
    return Proportion(int(table.sum()), table.size, effective)


def repeated_difference(first: Rows, second: Rows) -> PairedDifference:
    """Return how much more often the first model is right; a row for each problem.

    The p-value is that of the exact sign-flip test over problems (Fisher, The Design of
    Experiments, 1935): were both models equally good, each problem's difference would have either
    sign with equal chance. For one answer a problem this is McNemar's exact test.

    Raises ValueError for rows that are empty, not equally long, or not as many in both.
    """
    one, other = _table(first), _table(second)
    if one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape} are not the same problems and seeds")
    gain = one.astype(np.int64) - other
    spread = float(gain.mean(axis=1).var(ddof=1)) if len(gain) > 1 else 0.0
    effective = _effective(one, spread, float(gain.var()))
    return PairedDifference(
        both=int((one & other).sum()),
        first_only=int((one & ~other).sum()),
        second_only=int((other & ~one).sum()),
        neither=int((~one & ~other).sum()),
        effective=effective,
        exact_p=_sign_flip(gain.sum(axis=1)),
    )


def _table(rows: Rows) -> NDArray[np.bool_]:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError("every problem needs the same number of answers, at least one")
    return np.asarray(rows, np.bool_)


def _effective(table: NDArray[np.bool_], spread: float, single: float) -> float | None:
    """Return the effective number of answers; None where each counts whole.

    spread: variance of the problems' means; single: variance of a single answer.
    """
    seeds = table.shape[1]
    if seeds == 1:
        return None
    design = min(max(spread * seeds / single, 1.0), float(seeds)) if single > 0 else float(seeds)
    return table.size / design


def _sign_flip(differences: NDArray[np.int64]) -> float:
    """Return the chance that random signs give a sum at least as far from zero."""
    sizes = np.abs(differences[differences != 0])
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)  # of each sum, from -total on
    chances[total] = 1.0
    reach = 0
    for size in sizes.tolist():
        low, high = total - reach, total + reach + 1
        before = chances[low:high].copy()
        chances[low:high] = 0.0
        chances[low - size : high - size] += before / 2
        chances[low + size : high + size] += before / 2
        reach += size
    far = abs(int(differences.sum()))
    if far == 0:
        return 1.0
    return min(1.0, float(chances[: total - far + 1].sum() + chances[total + far :].sum()))
