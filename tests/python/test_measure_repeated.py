"""Several answers to each problem: how much they tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.measure import (
    PairedDifference,
    Proportion,
    repeated_difference,
    repeated_proportion,
)

flags = st.lists(st.booleans(), min_size=1, max_size=40)


@given(flags)
def test_one_answer_a_problem_is_the_plain_proportion(right: list[bool]) -> None:
    assert repeated_proportion([[each] for each in right]) == Proportion.of(right)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_one_answer_a_problem_is_the_plain_difference(pairs: list[tuple[bool, bool]]) -> None:
    first, second = ([pair[place] for pair in pairs] for place in (0, 1))

    repeated = repeated_difference([[each] for each in first], [[each] for each in second])
    plain = PairedDifference.of(first, second)

    assert repeated.interval == plain.interval
    assert repeated.p_value == pytest.approx(plain.p_value, rel=1e-12)


@given(flags, st.integers(2, 5))
def test_the_same_answer_again_tells_nothing_new(right: list[bool], seeds: int) -> None:
    again = repeated_proportion([[each] * seeds for each in right])

    # One spread of means divides by n - 1, the other by n: nearly the same, never narrower.
    low, high = Proportion.of(right).interval
    assert again.value == pytest.approx(sum(right) / len(right))
    assert again.interval[0] <= low + 1e-9
    assert again.interval[1] >= high - 1e-9
    assert again.effective == pytest.approx(len(right))


def test_independent_answers_count_nearly_whole() -> None:
    right = np.random.default_rng(5).random((4000, 4)) < 0.7

    proportion = repeated_proportion(right)

    assert proportion.effective is not None
    assert proportion.effective > 0.93 * right.size


@given(st.integers(0, 2**32 - 1))
def test_an_interval_lies_between_those_of_all_answers_and_of_one_a_problem(seed: int) -> None:
    random = np.random.default_rng(seed)
    right = random.random((30, 3)) < random.random((30, 1))

    low, high = repeated_proportion(right).interval
    count = int(right.sum())
    every = Proportion(count, 90).interval
    few = Proportion(count, 90, 30).interval

    assert few[0] - 1e-12 <= low <= every[0] + 1e-12
    assert every[1] - 1e-12 <= high <= few[1] + 1e-12


def test_the_intervals_hold_as_often_as_they_say() -> None:
    # Problems of three kinds of difficulty, four answers each: answers to one problem are alike.
    random = np.random.default_rng(11)
    hard = np.array([0.1, 0.5, 0.95])
    within = 0
    for _ in range(400):
        chance = random.choice(hard, (120, 1))
        low, high = repeated_proportion(random.random((120, 4)) < chance).interval
        within += low <= hard.mean() <= high
    assert within / 400 >= 0.92


def test_the_sign_flip_test_is_the_one_that_tries_every_sign() -> None:
    first = [[True, True], [True, False], [False, False], [True, True], [True, True]]
    second = [[False, False], [False, False], [True, False], [True, True], [False, True]]
    gains = [2, 1, -1, 0, 1]

    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    sums = np.abs(signs @ np.array(gains))
    expected = float((sums >= abs(sum(gains))).mean())

    assert repeated_difference(first, second).p_value == pytest.approx(expected, rel=1e-12)


def test_no_difference_at_all_is_not_taken_for_certainty() -> None:
    same = [[True, True, True]] * 50

    low, high = repeated_difference(same, same).interval

    assert low < -0.01 and high > 0.01


@pytest.mark.parametrize("rows", [[], [[]], [[True], [True, False]]])
def test_rows_that_do_not_match_are_refused(rows: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="same number of answers"):
        repeated_proportion(rows)


def test_different_problems_are_not_paired() -> None:
    with pytest.raises(ValueError, match="not the same problems"):
        repeated_difference([[True], [False]], [[True]])
