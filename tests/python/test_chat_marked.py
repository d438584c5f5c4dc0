"""Marked text behaves as the real text, and never shows a letter a tag could be made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chat_support as support
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.chat.marked import Marked, Marks

TAGS = [text for text, _, _ in support.R1_ADDED]
LETTERS = {c for tag in TAGS for c in tag}
foreign = st.lists(
    st.sampled_from([*TAGS, "<think", ">", "a", "B", " ", "\n", "\t", "ß", "K", "ı", "中", "\r\n"])
).map("".join)
small = st.sampled_from(["<", "think", "</think>", ">", "a", " ", "\n", "t", "ht", "｜", "x"])
count = st.integers(-1, 3)
place = st.integers(-5, 20)

OPERATIONS: dict[str, tuple[Callable[..., Any], list[st.SearchStrategy[Any]]]] = {
    "add": (lambda s, t: s + t, [foreign]),
    "add the other way": (lambda s, t: t + s, [foreign]),
    "multiply": (lambda s, n: s * n, [count]),
    "multiply the other way": (lambda s, n: n * s, [count]),
    "index": (lambda s, a: s[a : a + 1], [place]),
    "slice": (lambda s, a, b: s[a:b], [place, place]),
    "reverse": (lambda s: s[::-1], []),
    "iterate": (lambda s: list(s), []),
    "contains": (lambda s, t: t in s, [small]),
    "equals": (lambda s, t: (s == t, s != t, s < t, s <= t, s > t, s >= t), [foreign]),
    "is itself": (lambda s: s == str(s), []),
    "hash": (lambda s: {s: 1}, []),
    "strip": (lambda s: (s.strip(), s.lstrip(), s.rstrip()), []),
    "strip characters": (lambda s, t: (s.strip(t), s.lstrip(t), s.rstrip(t)), [small]),
    "split": (lambda s: s.split(), []),
    "split at most": (lambda s, n: (s.split(None, n), s.rsplit(None, n)), [count]),
    "split by": (lambda s, t, n: (s.split(t, n), s.rsplit(t, n)), [small, count]),
    "lines": (lambda s: (s.splitlines(), s.splitlines(True)), []),
    "partition": (lambda s, t: (s.partition(t), s.rpartition(t)), [small]),
    "replace by foreign text": (lambda s, t, n: s.replace(t, s[:2], n), [small, count]),
    "replace nothing": (lambda s: s.replace("", s[:1]), []),
    "join": (lambda s: s.join([s, s]), []),
    "remove": (lambda s, t: (s.removeprefix(t), s.removesuffix(t)), [small]),
    "starts and ends": (lambda s, t: (s.startswith(t), s.endswith(t, 1)), [small]),
    "starts with one of": (lambda s, t: s.startswith((t, "b")), [small]),
    "find": (lambda s, t: (s.find(t), s.rfind(t), s.count(t)), [small]),
    "case": (
        lambda s: (s.lower(), s.upper(), s.title(), s.capitalize(), s.casefold(), s.swapcase()),
        [],
    ),
    "kind": (
        lambda s: (s.isalpha(), s.isalnum(), s.isspace(), s.islower(), s.isupper(), s.istitle()),
        [],
    ),
    "digits": (lambda s: (s.isdigit(), s.isdecimal(), s.isnumeric()), []),
    "text": (lambda s: str(s), []),
    "length": (lambda s: len(s), []),
}


def real(value: Any, marks: Marks) -> Any:
    """Return what the value says; every text in it must be foreign to the last letter."""
    if isinstance(value, str):
        assert not LETTERS & set(str.__str__(value) if type(value) is str else "".join([value]))
        return marks.unmark(value)
    if isinstance(value, dict):
        return {real(k, marks): v for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(real(v, marks) for v in value)
    return value


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data(), text=foreign)
def test_marked_text_does_what_text_does(name: str, data: st.DataObject, text: str) -> None:
    operation, strategies = OPERATIONS[name]
    arguments = [data.draw(strategy) for strategy in strategies]
    marks = Marks(TAGS, [text])
    marked = [marks.mark(a) if isinstance(a, str) else a for a in arguments]
    expected = operation(text, *arguments)
    assert real(operation(marks.mark(text), *marked), marks) == expected
    # A template's own text as the argument is understood as well.
    asked = operation(marks.mark(text), *arguments)
    if name not in ("add", "add the other way"):
        assert real(asked, marks) == expected


@given(foreign, st.lists(st.sampled_from(TAGS), max_size=3))
def test_the_templates_own_tags_stay_its_own(text: str, tags: list[str]) -> None:
    marks = Marks(TAGS, [text])
    mixed = marks.mark(text)
    for tag in tags:
        mixed = tag + mixed + marks.mark(text)
    for piece in (mixed, mixed.strip("\n"), mixed.replace("中", "b"), mixed[:]):
        shown = "".join([piece])
        for tag in TAGS:
            assert shown.count(tag) == tags.count(tag)
    assert marks.unmark(mixed) == "".join(reversed(tags)) + text * (len(tags) + 1)


def test_twins_are_characters_nobody_uses() -> None:
    used = "".join(map(chr, range(0x10FFFD, 0x10FF00, -1)))
    marked = Marks(TAGS, [used]).mark("<think>" + used)
    assert isinstance(marked, Marked)
    assert not set("".join([marked[:7]])) & set(used)


def test_text_that_uses_every_private_character_is_refused() -> None:
    every = "".join(map(chr, [*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)]))
    with pytest.raises(ValueError, match="private"):
        Marks(TAGS, [every])
