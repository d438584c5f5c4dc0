"""When drafting pays. Times and luck are given here, so that nothing depends on the machine."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from pocketr1.engine.pace import Pace

MOST = 8


def run(pace: Pace, steps: int, cost: Callable[[int], float], right: int) -> list[int]:
    """Take steps in which the first ``right`` drafted tokens are right; return the lengths."""
    lengths = []
    for _ in range(steps):
        drafted = pace.length(MOST)
        lengths.append(drafted)
        pace.took(drafted, cost(drafted))
        if drafted:
            pace.judged(drafted, min(right, drafted))
    return lengths


def free(drafted: int) -> float:
    return 1 + 0.02 * drafted


def test_it_measures_plain_steps_first() -> None:
    assert run(Pace(MOST), 4, free, MOST)[:3] == [0, 0, 0]


def test_it_drafts_all_it_may_where_rows_are_free_and_drafts_right() -> None:
    assert set(run(Pace(MOST), 60, free, MOST)[-20:]) == {MOST}


def test_it_drafts_about_as_far_as_drafts_are_right() -> None:
    lengths = run(Pace(MOST), 200, free, 3)[-20:]
    assert 3 <= min(lengths) <= max(lengths) <= 4


def test_it_turns_itself_off_where_drafts_are_wrong() -> None:
    lengths = run(Pace(MOST), 2000, lambda k: 1 + 0.1 * k, 0)
    tried = [length for length in lengths[200:] if length]
    assert len(tried) > 5
    assert sum(0.1 * length for length in tried) <= 0.03 * 1800
    assert set(tried) == {1}


def test_it_turns_itself_off_where_a_row_costs_a_step() -> None:
    lengths = run(Pace(MOST), 2000, lambda k: 1 + 1.1 * k, MOST)
    lost = [1 + 1.1 * length - (1 + length) for length in lengths[200:] if length]
    assert 0 < sum(lost) <= 0.03 * 1800


def test_it_turns_itself_on_again() -> None:
    pace = Pace(MOST)
    run(pace, 500, lambda k: 1 + 0.1 * k, 0)
    lengths = run(pace, 300, lambda k: 1 + 0.1 * k, MOST)
    assert min(lengths[-50:]) >= 1
    assert max(lengths[-50:]) == MOST


def test_one_slow_step_changes_nothing() -> None:
    pace = Pace(MOST)
    before = run(pace, 100, free, MOST)[-1]
    pace.took(before, 1000.0)
    assert pace.length(MOST) == before


def test_two_slow_tries_are_not_the_last_word() -> None:
    pace = Pace(MOST)
    tries = iter([1000.0, 1000.0])
    lengths = run(pace, 400, lambda k: next(tries, free(k)) if k else 1.0, MOST)
    assert set(lengths[-20:]) == {MOST}


def test_the_gain_is_tokens_over_cost() -> None:
    pace = Pace(2)
    for _ in range(3):
        for drafted in (0, 1, 2):
            pace.took(drafted, 2.0 + drafted)
    for _ in range(400):
        pace.judged(2, 1)  # the first always right, the second never
    one, two = pace.gains()
    assert abs(one - 2 / 1.5) < 1e-6
    assert abs(two - 2 / 2.0) < 1e-6


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.floats(1e-6, 10), st.integers(0, 8)), max_size=60))
def test_it_never_drafts_more_than_there_is_room_for(
    steps: list[tuple[int, float, int]],
) -> None:
    pace = Pace(MOST)
    for room, seconds, right in steps:
        drafted = pace.length(room)
        assert 0 <= drafted <= min(room, MOST)
        pace.took(drafted, seconds)
        if drafted:
            pace.judged(drafted, min(right, drafted))
