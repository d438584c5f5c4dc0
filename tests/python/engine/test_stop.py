from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.engine import StopMatcher
from pocketr1.errors import UsageError


def test_text_before_the_stop_string_is_released_and_nothing_behind_it() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.push("one E") == "one "
    assert matcher.push("N") == ""
    assert matcher.push("D two") == ""
    assert matcher.stopped == "END"
    assert matcher.push("three") == ""
    assert matcher.finish() == ""


def test_a_false_start_is_released_as_soon_as_it_cannot_match() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.push("E") == ""
    assert matcher.push("N") == ""
    assert matcher.push("E") == "EN"
    assert matcher.finish() == "E"
    assert matcher.stopped is None


@pytest.mark.parametrize("stop", [[""], ["a", ""], [3]])
def test_an_empty_stop_string_is_refused(stop: list[str]) -> None:
    with pytest.raises(UsageError, match="stop string"):
        StopMatcher(stop)


@given(
    text=st.text("ab", max_size=30),
    stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_pieces_give_what_the_whole_text_gives(text: str, stop: list[str], cuts: list[int]) -> None:
    places = [(place + len(s), place) for s in stop if (place := text.find(s)) >= 0]
    expected = text[: min(places)[1]] if places else text
    matcher = StopMatcher(stop)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = "".join(matcher.push(text[a:b]) for a, b in itertools.pairwise(bounds))
    assert shown + matcher.finish() == expected
    assert (matcher.stopped is not None) == bool(places)
