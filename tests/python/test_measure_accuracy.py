"""Proportions, paired differences and answers, against published examples."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.measure import PairedDifference, Proportion, final_answer, normal_form, same_answer


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


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"So \boxed{12} or rather \boxed{13}.", "13"),
        (r"It is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"First \boxed{7}, then \boxed{8", "7"),
        ("There are 12 apples and 30 pears", "30"),
        ("In all 1,234,567.", "1,234,567"),
        ("一共１２个。", "12"),
        ("I do not know.", None),
    ],
)
def test_the_final_answer_is_the_last_box_or_else_the_last_number(
    reply: str, answer: str | None
) -> None:
    assert final_answer(reply) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234),
        ("1234.0", 1234),
        ("１２３４", 1234),
        (r"\$1,234.50", Fraction("1234.5")),
        (r"12\text{ apples}", 12),
        ("12 个", 12),
        (r"\frac{3}{6}", Fraction(1, 2)),
        ("3/6", Fraction(1, 2)),
        ("x = -5", -5),
        ("−5", -5),
        (r"50\%", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_numbers_are_compared_exactly_however_they_are_written(
    text: str, number: Fraction | int
) -> None:
    assert normal_form(text) == number


@pytest.mark.parametrize(
    ("given_answer", "expected", "same"),
    [
        ("0.30", "0.3", True),
        ("9.11", "9.9", False),
        ("12 apples", "12", True),
        ("1,23", "123", False),
        ("x+1", "X + 1", True),
        ("1/0", "1/0", True),
        ("12 13", "1213", False),
        (None, "1", False),
    ],
)
def test_answers_are_the_same_or_not(given_answer: str | None, expected: str, same: bool) -> None:
    assert same_answer(given_answer, expected) is same
