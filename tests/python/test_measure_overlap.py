"""Whether texts that measure stand in the text that calibrated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.measure import overlap
from pocketr1.measure.overlap import GRAM

WORDS = [f"word{number}" for number in range(200)]


def test_texts_that_share_nothing_share_nothing() -> None:
    found = overlap([" ".join(WORDS[:100])], " ".join(WORDS[100:]))

    assert (found.grams, found.shared, found.share, found.example) == (100 - GRAM + 1, 0, 0.0, None)


def test_a_stretch_that_stands_in_both_is_counted_and_shown() -> None:
    measuring = " ".join(WORDS[:40])
    calibration = "other words before " + " ".join(WORDS[10:25]) + " and behind"

    found = overlap([measuring], calibration)

    assert found.shared == 15 - GRAM + 1
    assert found.example == " ".join(WORDS[10 : 10 + GRAM])


def test_case_punctuation_and_width_do_not_hide_a_copy() -> None:
    text = "Janet's ducks lay 16 eggs per day; she eats three for breakfast every morning."

    found = overlap([text], text.upper().replace(" ", "\n  ").replace("16", "１６"))

    assert found.shared == found.grams > 0


def test_a_chinese_character_counts_as_a_word() -> None:
    found = overlap(
        ["芳芳买了一本书有99页，看了90页，她还剩多少页没有看？"], "……她还剩多少页没有看……"
    )

    assert found.grams == 23 - GRAM + 1
    assert found.shared == 0
    assert overlap(["她还剩多少页没有看"], "……她还剩多少页没有看……").shared == 1


@pytest.mark.parametrize("calibration", ["", "one two", "nothing of the kind here"])
def test_a_text_shorter_than_a_stretch_is_looked_for_whole(calibration: str) -> None:
    assert overlap(["One, two, three."], calibration).shared == 0
    assert overlap(["One, two, three."], f"{calibration} one two three").shared == 1


def test_a_text_without_words_is_no_stretch() -> None:
    found = overlap(["…", "", "?!"], "…")
    assert (found.grams, found.share) == (0, 0.0)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.text(max_size=20))
def test_a_text_within_the_calibration_text_is_found_whole(words: list[str], around: str) -> None:
    text = " ".join(words)
    found = overlap([text], f"{around} {text} {around}")
    assert found.shared == found.grams
