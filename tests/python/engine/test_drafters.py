from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketr1.engine import Drafter
from pocketr1.engine.drafters import LookupDrafter


def lookup(history: list[int], most: int = 4, **options: int) -> list[int]:
    return LookupDrafter(**options).propose(np.array(history, np.int32), most)


def by_definition(history: list[int], most: int, longest: int, shortest: int) -> list[int]:
    """Return what prompt lookup is: longest n-gram first, last place first, copied on and on."""
    for length in range(longest, shortest - 1, -1):
        for start in range(len(history) - length - 1, -1, -1):
            if history[start : start + length] == history[len(history) - length :]:
                text = list(history)
                place = start + length
                while len(text) < len(history) + most:
                    text.append(text[place])
                    place += 1
                return text[len(history) :]
    return []


def test_a_lookup_copies_what_followed_the_longest_match() -> None:
    assert lookup([1, 2, 3, 8, 9, 7, 2, 3, 5, 5, 1, 2, 3], 3) == [8, 9, 7]


def test_of_equal_matches_the_last_counts() -> None:
    assert lookup([2, 3, 8, 2, 3, 9, 2, 3], 1) == [9]


def test_a_loop_is_followed_round() -> None:
    assert lookup([7, 1, 2, 1, 2], 5) == [1, 2, 1, 2, 1]


def test_nothing_is_proposed_where_nothing_stood_before() -> None:
    assert lookup([1]) == []
    assert lookup([1, 2, 3]) == []
    # One token alone is no match.
    assert lookup([3, 1, 2, 3]) == []
    assert lookup([3, 1, 2, 3], 2, shortest=1) == [1, 2]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_a_lookup_is_its_definition(history: list[int], most: int, one: int, two: int) -> None:
    longest, shortest = max(one, two), min(one, two)
    found = lookup(history, most, longest=longest, shortest=shortest)
    assert found == by_definition(history, most, longest, shortest)


@pytest.mark.parametrize("kind", [LookupDrafter])
def test_it_is_a_drafter(kind: type) -> None:
    assert isinstance(kind(), Drafter)
