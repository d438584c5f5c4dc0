"""Proportions and paired differences, against published examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.measure import PairedDifference, Proportion


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17:857 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_of_a_proportion_are_the_published(
    right: int, count: int, low: float, high: float
) -> None:
    assert Proportion(right, count).interval == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("table", "low", "high", "digits"),
    [
        # Newcombe, Statistics in Medicine 17:2635 (1998), table III, method 10
        ((36, 12, 2, 0), 0.0569, 0.3404, 4),
        # Fagerland, Lydersen, Laake, Statistics in Medicine 33:2850 (2014), airway data
        ((1, 1, 7, 12), -0.507, -0.026, 3),
    ],
)
def test_intervals_of_a_paired_difference_are_the_published(
    table: tuple[int, int, int, int], low: float, high: float, digits: int
) -> None:
    interval = PairedDifference(*table).interval

    assert tuple(round(limit, digits) for limit in interval) == (low, high)


def test_mcnemar_counts_only_the_problems_that_flip() -> None:
    # 14 flips, 2 one way: 2 * (1 + 14 + 91) / 2 ** 14
    assert PairedDifference(36, 12, 2, 0).p_value == pytest.approx(212 / 16384)
    assert PairedDifference(90, 0, 0, 10).p_value == 1.0
    assert PairedDifference(0, 3, 3, 0).p_value == 1.0


def test_mcnemar_is_the_sum_of_binomial_coefficients_for_many_flips_too() -> None:
    tail = sum(math.comb(300, k) for k in range(131))

    assert PairedDifference(0, 130, 170, 0).p_value == pytest.approx(2 * tail / 2**300)
    # Of 10,000 flips, half and half: nothing speaks for a difference.
    assert PairedDifference(0, 5000, 5000, 0).p_value == 1.0


@pytest.mark.oracle
@pytest.mark.parametrize(("right", "count"), [(0, 7), (3, 7), (7, 7), (4912, 5000), (1, 5000)])
def test_intervals_and_p_values_are_those_of_scipy(right: int, count: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(right, count).proportion_ci(method="wilson")
    flips = PairedDifference(0, right, count - right, 0)

    assert Proportion(right, count).interval == pytest.approx((expected.low, expected.high))
    assert flips.p_value == pytest.approx(binomtest(right, count, 0.5).pvalue)


def test_outcomes_are_paired_in_their_order() -> None:
    first = [True, True, True, False, False]
    second = [True, False, False, True, False]

    assert PairedDifference.of(first, second) == PairedDifference(1, 2, 1, 1)
    assert Proportion.of(first) == Proportion(3, 5)


def test_outcomes_of_different_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        PairedDifference.of([True, False], [True])


counts = st.integers(0, 10_000)


@given(counts, counts, counts, counts)
def test_a_difference_lies_in_its_interval_and_turns_with_the_models(
    a: int, b: int, c: int, d: int
) -> None:
    if a + b + c + d == 0:
        return
    one, other = PairedDifference(a, b, c, d), PairedDifference(a, c, b, d)
    low, high = one.interval

    assert -1 - 1e-9 <= low <= one.value <= high <= 1 + 1e-9
    assert other.value == -one.value
    assert other.interval == pytest.approx((-high, -low))


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_proportion_lies_in_its_interval(right: int, count: int) -> None:
    if right > count:
        return
    low, high = Proportion(right, count).interval

    assert 0 <= low <= right / count + 1e-12
    assert right / count - 1e-12 <= high <= 1
