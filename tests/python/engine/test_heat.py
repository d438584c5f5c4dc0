from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pocketr1.engine.heat import Heat


def states(heat: Heat, readings: list[float | None], seconds: float = 1.0) -> list[int]:
    """Return the threads after every reading, ``seconds`` apart; 0 is paused."""
    seen = []
    for at, celsius in enumerate(readings):
        heat.look(celsius, at * seconds)
        seen.append(0 if heat.paused else heat.threads)
    return seen


def test_threads_go_one_at_a_time_and_then_it_pauses() -> None:
    assert states(Heat(45, 3), [44, 45, 45.1] + [46] * 16) == [
        *[3, 3, 2],
        *[2, 2, 2, 2, 1],
        *[1, 1, 1, 1, 0],
        *[0] * 6,
    ]


def test_it_comes_back_three_degrees_below_one_thread_at_a_time() -> None:
    heat = Heat(45, 3)
    assert states(heat, [50] * 11)[-1] == 0
    assert heat.cool == 42
    assert states(heat, [43, 42.1, 42, 42, 40, 40, 40, 40, 40, 40, 40, 40, 40]) == [
        *[0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3],
    ]


def test_between_the_two_temperatures_nothing_changes() -> None:
    heat = Heat(45, 4)
    assert states(heat, [46, *[44.9, 42.1] * 30]) == [3] * 61


def test_one_thread_pauses_at_once() -> None:
    assert states(Heat(45, 1), [45.1]) == [0]


def test_a_reading_that_fails_holds_the_state_and_ends_a_pause_after_a_while() -> None:
    heat = Heat(45, 2)
    assert states(heat, [46, None, None, 46, 46, 46, None, None, 46, 46, 46]) == [
        *[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    ]
    for second in range(11, 40):
        heat.look(None, second)
        assert heat.paused
    heat.look(None, 40)
    assert not heat.paused
    assert heat.threads == 1


@given(
    st.integers(1, 16),
    st.lists(st.one_of(st.none(), st.floats(20, 80)), max_size=200),
    st.floats(0.1, 10),
)
def test_threads_stay_between_one_and_all_and_change_by_one(
    threads: int, readings: list[float | None], seconds: float
) -> None:
    heat = Heat(45, threads)
    before = threads, False
    for at, celsius in enumerate(readings):
        heat.look(celsius, at * seconds)
        assert 1 <= heat.threads <= threads
        assert abs(heat.threads - before[0]) + (heat.paused != before[1]) <= 1
        if heat.paused:
            assert heat.threads == 1
        if celsius is not None and (heat.threads, heat.paused) != before:
            worse = (heat.threads < before[0]) or (heat.paused and not before[1])
            assert celsius > 45 if worse else celsius <= 42
        before = heat.threads, heat.paused
