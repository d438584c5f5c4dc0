"""How often a model is right, how sure that is, and whether another one is worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["NORMAL_QUANTILE", "PairedDifference", "Proportion"]

NORMAL_QUANTILE = 1.959963984540054  # of 97.5%: all intervals hold with 95%


@dataclass(frozen=True)
class Proportion:
    """``right`` of ``count`` problems, with Wilson's 95% interval.

    Wilson's score interval (Wilson, JASA 22, 1927; Newcombe, Statistics in Medicine 17:857, 1998,
    method 3) stays within [0, 1] and holds near 0 and 1, where the textbook's does not.

    effective: how many independent answers the ``count`` are worth, where a problem was answered
    more than once (:mod:`pocketr1.measure.repeated`); None: all of them.
    """

    right: int
    count: int
    effective: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for counts that cannot be."""
        if not 0 <= self.right <= self.count or self.count < 1:
            raise ValueError(f"{self.right} of {self.count} is no proportion")

    @classmethod
    def of(cls, outcomes: Sequence[bool]) -> Proportion:
        """Count the true ones."""
        return cls(sum(map(bool, outcomes)), len(outcomes))

    @property
    def value(self) -> float:
        """The proportion itself."""
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval."""
        n = float(self.count if self.effective is None else self.effective)
        p, z = self.value, NORMAL_QUANTILE
        middle = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        low = 0.0 if self.right == 0 else (middle - half) / scale
        high = 1.0 if self.right == self.count else (middle + half) / scale
        return low, high

    def to_dict(self) -> dict[str, object]:
        """Return the figures as JSON types."""
        low, high = self.interval
        return {
            "right": self.right,
            "count": self.count,
            "value": self.value,
            "interval": [low, high],
        }


@dataclass(frozen=True)
class PairedDifference:
    """Two models on the same problems: how much more often the first is right.

    both, first_only, second_only, neither: numbers of problems (of answers, where each problem was
    answered more than once: :mod:`pocketr1.measure.repeated` then gives ``effective``, how many
    independent ones they are worth, and ``exact_p``, the p-value).
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    effective: float | None = None
    exact_p: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for counts that cannot be."""
        counts = (self.both, self.first_only, self.second_only, self.neither)
        if min(counts) < 0 or sum(counts) < 1:
            raise ValueError(f"{counts} are no counts of problems")

    @classmethod
    def of(cls, first: Sequence[bool], second: Sequence[bool]) -> PairedDifference:
        """Compare the outcomes of two models, in the same order of problems.

        Raises ValueError where they are not equally many.
        """
        pairs = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
        both, neither = pairs.count((True, True)), pairs.count((False, False))
        return cls(both, pairs.count((True, False)), pairs.count((False, True)), neither)

    @property
    def count(self) -> int:
        """The number of problems."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def value(self) -> float:
        """Accuracy of the first minus that of the second."""
        return (self.first_only - self.second_only) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the difference.

        The hybrid score interval for paired proportions (Newcombe, Statistics in Medicine 17:2635,
        1998, method 10): Wilson's intervals of both accuracies, drawn together by the correlation
        of the outcomes. Unlike the textbook's it does not shrink to a point where no problem, or
        only one, tells the models apart, which is just the case of a compression that costs little.
        """
        share = 1.0 if self.effective is None else self.effective / self.count
        a, b = share * self.both, share * self.first_only
        c, d = share * self.second_only, share * self.neither
        first = Proportion(self.both + self.first_only, self.count, self.effective)
        second = Proportion(self.both + self.second_only, self.count, self.effective)
        low_1, high_1 = first.interval
        low_2, high_2 = second.interval
        cross = a * d - b * c
        if cross > 0:
            cross = max(cross - share * self.count / 2, 0)
        scale = math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
        correlation = cross / scale if scale else 0.0

        def reach(one: float, other: float) -> float:
            return math.sqrt(max(one * one - 2 * correlation * one * other + other * other, 0.0))

        below = reach(first.value - low_1, high_2 - second.value)
        above = reach(high_1 - first.value, second.value - low_2)
        return self.value - below, self.value + above

    @property
    def p_value(self) -> float:
        """McNemar's exact two-sided p-value (McNemar, Psychometrika 12, 1947).

        How likely flips at least as uneven are, were both models equally good.
        """
        if self.exact_p is not None:
            return self.exact_p
        flips = self.first_only + self.second_only
        fewer = min(self.first_only, self.second_only)
        ways = tail = 1  # binomial coefficients of 0, and of all up to k
        for k in range(1, fewer + 1):
            ways = ways * (flips - k + 1) // k
            tail += ways
        return min(1.0, float(Fraction(2 * tail, 2**flips)))

    def to_dict(self) -> dict[str, object]:
        """Return the figures as JSON types."""
        low, high = self.interval
        return {
            "both": self.both,
            "first_only": self.first_only,
            "second_only": self.second_only,
            "neither": self.neither,
            "value": self.value,
            "interval": [low, high],
            "p_value": self.p_value,
        }
