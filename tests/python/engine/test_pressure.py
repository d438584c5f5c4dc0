from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.engine.pressure import Pressure, trim_share
from pocketr1.errors import UsageError
from pocketr1.machine import Headroom
from pocketr1.machine.cgroup import Group

MB = 1 << 20
THRESHOLD = 500 * MB


def machine(megabytes: float, stall: float | None = None) -> Headroom:
    return Headroom(int(megabytes * MB), None, stall)


def test_what_is_missing_and_a_slack_is_given_back() -> None:
    pressure = Pressure(THRESHOLD)
    assert pressure.missing(machine(500), 0) == 0
    assert pressure.missing(machine(499), 1) == 65 * MB
    assert pressure.missing(machine(200), 2) == 364 * MB


def test_stalls_are_pressure_where_memory_is_near_its_end() -> None:
    pressure = Pressure(THRESHOLD)
    assert pressure.missing(machine(900, 0.09), 0) == 0
    assert pressure.missing(machine(900, 0.10), 1) == 64 * MB
    assert pressure.missing(machine(1000, 0.50), 2) == 0
    assert pressure.missing(Headroom(None, None, 0.2), 3) == 64 * MB


def test_a_small_group_has_a_threshold_of_its_own() -> None:
    pressure = Pressure(THRESHOLD)
    small = Group(1000 * MB, 100 * MB, None)
    assert pressure.missing(Headroom(9000 * MB, small), 0) == 0
    small = Group(1000 * MB, 90 * MB, None)
    assert pressure.missing(Headroom(9000 * MB, small), 1) == 74 * MB
    large = Group(64000 * MB, 499 * MB, None)
    assert pressure.missing(Headroom(9000 * MB, large), 2) == 65 * MB


def test_it_is_taken_again_only_after_calm_and_where_the_threshold_is_kept() -> None:
    pressure = Pressure(THRESHOLD)
    assert pressure.missing(machine(400), 0)
    rooms = []
    for second in range(1, 8):
        assert pressure.missing(machine(800), second) == 0
        rooms.append(pressure.room(machine(800), second, 100 * MB))
    assert rooms == [0, 0, 0, 0, 0, 100 * MB, 100 * MB]
    assert pressure.room(machine(800), 8, 900 * MB) == 172 * MB  # 800 - 500 - 2 x 64
    assert pressure.room(machine(643), 8, 900 * MB) == 0  # 15 MB are not worth it
    assert pressure.room(machine(633), 8, 5 * MB) == 5 * MB  # unless they are all
    assert pressure.room(machine(632), 8, 5 * MB) == 0


def test_after_taking_it_waits_anew() -> None:
    pressure = Pressure(THRESHOLD)
    pressure.missing(machine(400), 0)
    for second in range(1, 7):
        pressure.missing(machine(2000), second)
    assert pressure.room(machine(2000), 6, MB)
    pressure.taken(6)
    assert not pressure.room(machine(2000), 10, MB)
    assert pressure.room(machine(2000), 11, MB)


def test_what_was_taken_too_early_is_taken_later_the_next_time() -> None:
    pressure = Pressure(THRESHOLD)
    now, waits = 0.0, []
    for _ in range(6):
        assert pressure.missing(machine(400), now)
        began = now
        while not pressure.room(machine(2000), now, MB):
            now += 1
            assert not pressure.missing(machine(2000), now)
        waits.append(now - began - 1)
        pressure.taken(now)
        now += 1
    assert waits == [5, 10, 20, 40, 80, 80]


def test_after_a_trim_nothing_is_taken_for_half_a_minute() -> None:
    pressure = Pressure(THRESHOLD)
    pressure.missing(machine(2000), 0)
    pressure.trimmed(100)
    assert not pressure.room(machine(2000), 129, MB)
    assert pressure.room(machine(2000), 130, MB)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 0.3), st.booleans()), max_size=100),
    st.integers(1, 2000 * MB),
)
def test_nothing_is_taken_that_would_cross_the_threshold(
    looks: list[tuple[int, float, bool]], given_bytes: int
) -> None:
    pressure = Pressure(THRESHOLD)
    for now, (megabytes, stall, takes) in enumerate(looks):
        headroom = machine(megabytes, stall)
        missing = pressure.missing(headroom, now)
        room = pressure.room(headroom, now, given_bytes)
        assert missing >= 0
        assert not (missing and room)
        if room:
            assert room <= given_bytes
            assert pressure.missing(machine(megabytes - room / MB, stall), now) == 0
            if takes:
                pressure.taken(now)


@pytest.mark.parametrize(
    ("level", "share"),
    [(5, 0), (10, 0.5), (15, 1), (17, 1), (20, 0), (40, 0.5), (60, 1), (80, 1), (99, 1)],
)
def test_android_s_levels(level: int, share: float) -> None:
    assert trim_share(level) == share


@pytest.mark.parametrize("level", [4, 0, -1, True, 10.0, "10", None])
def test_what_is_no_level_is_refused(level: object) -> None:
    with pytest.raises(UsageError, match="trim level") as caught:
        trim_share(level)  # type: ignore[arg-type]
    assert caught.value.code == "trim-level"
