"""Thought and answer are told apart while they stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.chat import Delta, ReasoningSplitter, split_reasoning

TAGS = ("<think>", "</think>")
WRITTEN = st.lists(
    st.sampled_from([*TAGS, "\n", "\n\n", " ", "<", "<th", "</thi", "nk>", "a", "b c", "思考"])
).map("".join)


def by_definition(text: str, opened: bool) -> tuple[str, str]:
    """The rules on the whole text."""
    before = ""
    if opened:
        if text.lstrip("\n").startswith("<think>"):
            text = text.lstrip("\n").removeprefix("<think>")
    elif "<think>" in text:
        before, text = text.split("<think>", 1)
    else:
        return "", text.lstrip("\n")
    thought, _, after = text.partition("</think>")
    return thought.strip("\n"), (before + after).lstrip("\n")


def run(pieces: list[str], opened: bool = False) -> tuple[str, str]:
    splitter = ReasoningSplitter(opened)
    deltas = [d for p in pieces for d in splitter.feed(p)] + splitter.finish()
    assert all(d.text for d in deltas)
    return (
        "".join(d.text for d in deltas if d.kind == "reasoning"),
        "".join(d.text for d in deltas if d.kind == "answer"),
    )


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("<think>\nhm\n</think>\n\n42", False, "hm", "42"),
        ("hm\n</think>\n\n42", True, "hm", "42"),  # pre-filled by the template
        ("<think>\nhm\n</think>\n\n42", True, "hm", "42"),  # and written again
        ("\n<think>\nhm\n</think>42", True, "hm", "42"),
        ("a <think> b</think>42", True, "a <think> b", "42"),  # not again: quoted
        ("hm, and then", True, "hm, and then", ""),  # the end never came
        ("<think>hm\n", False, "hm", ""),
        ("<think>\n\n</think>\n\n42", False, "", "42"),  # an empty thought
        ("\n</think>\n\n42", True, "", "42"),
        ("</think>", True, "", ""),
        ("Well. <think>hm</think>42", False, "hm", "Well. 42"),  # text before the thought
        ("\n\nno thought at all\n", False, "", "no thought at all\n"),
        ("<think>a</think>x <think>b</think>", False, "a", "x <think>b</think>"),
        ("a</think>b</think>c", True, "a", "b</think>c"),
        ("<think>a\n\nb\n</think>\n    code\n", False, "a\n\nb", "    code\n"),
        ("1 < 2 </thin", True, "1 < 2 </thin", ""),
        ("", True, "", ""),
    ],
)
def test_reply(text: str, opened: bool, reasoning: str, answer: str) -> None:
    assert split_reasoning(text, opened) == (reasoning, answer)
    assert run(list(text), opened) == (reasoning, answer)
    assert by_definition(text, opened) == (reasoning, answer)


@given(text=WRITTEN, opened=st.booleans(), data=st.data())
def test_however_a_reply_is_cut_it_reads_the_same(
    text: str, opened: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert run(pieces, opened) == by_definition(text, opened)


@given(WRITTEN, st.booleans())
def test_nothing_is_held_back_without_need(text: str, opened: bool) -> None:
    splitter = ReasoningSplitter(opened)
    splitter.feed(text)
    rest = "".join(d.text for d in splitter.finish())
    # Only what may still become a tag waits, and the newlines of the thought before it.
    assert any(tag.startswith(rest.lstrip("\n")) for tag in TAGS)


def test_deltas_come_in_the_order_of_the_reply() -> None:
    splitter = ReasoningSplitter()
    assert splitter.feed("Well. <think>hm</think>\n42") == [
        Delta("answer", "Well. "),
        Delta("reasoning", "hm"),
        Delta("answer", "\n42"),
    ]


def test_where_tags_are_tokens_a_tag_spelt_in_letters_is_text() -> None:
    splitter = ReasoningSplitter(opened=True, textual=False)
    deltas = splitter.feed("\nthe user wrote </think>, ")
    deltas += splitter.feed("so what\n")
    assert not splitter.in_answer
    deltas += splitter.tag("</think>")
    assert splitter.in_answer
    deltas += splitter.feed("\n\n</think> ends a thought") + splitter.tag("<think>")
    deltas += splitter.finish()
    assert "".join(d.text for d in deltas if d.kind == "reasoning") == (
        "the user wrote </think>, so what"
    )
    answer = "".join(d.text for d in deltas if d.kind == "answer")
    assert answer == "</think> ends a thought<think>"


def test_a_repeated_opening_token_is_dropped() -> None:
    splitter = ReasoningSplitter(opened=True, textual=False)
    assert splitter.tag("<think>") + splitter.feed("\nhm") == [Delta("reasoning", "hm")]
