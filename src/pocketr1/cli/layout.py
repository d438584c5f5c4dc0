"""Plain text laid out in terminal columns, Chinese included."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from typing import TextIO

__all__ = ["Flow", "columns", "labelled", "paragraphs", "two_columns", "width", "wrapped"]

_WIDEST = 100
# Narrower than this (a phone), a description stands under its term instead of beside it.
_NARROW = 60
# A value that would get less room than this beside its label stands below it.
_LEAST = 30
# Never at the start of a line.
_CLOSING = "，。：；、！？）》」』”’,.:;!?)]}"
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_IDEOGRAPH = re.compile(f"[{_WIDE}]")
# What stays together: a command (to the end of the line; a reader copies it), a quoted one; a word
# or a Chinese character, with what may not begin a line.
_PIECE = re.compile(
    rf"pocketr1 [a-z].*|\s+|(?:[{_WIDE}]|(?:`[^`]*`|[^\s{_WIDE}])+)[{re.escape(_CLOSING)}]*"
)


def width(stream: TextIO | None = None) -> int:
    """Return the columns to fill: those of ``stream``'s terminal (None: stdout), at most 100."""
    stream = sys.stdout if stream is None else stream
    try:
        known = int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns)
    except (AttributeError, OSError, ValueError):
        known = 80
    return max(20, min(known or 80, _WIDEST))


def columns(text: str) -> int:
    """Return how many terminal columns ``text`` takes; a Chinese character takes two."""
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def paragraphs(text: str, room: int) -> list[str]:
    """Return the lines of ``text``: blank lines part paragraphs, indented ones stay as they are."""
    lines: list[str] = []
    for block in text.strip("\n").split("\n\n"):
        if lines:
            lines.append("")
        lines += block.split("\n") if block.startswith("  ") else _wrap(block, room)
    return lines


def wrapped(text: str, room: int) -> str:
    """Return ``text`` with its lines broken between words."""
    return "\n".join(line for whole in text.split("\n") for line in _wrap(whole, room))


def labelled(rows: list[tuple[str, str]], room: int | None) -> list[str]:
    """Return the lines of (label, value) rows; room: None leaves every row one line.

    Values stand beside their labels, or below them where there is little room.
    """
    left = max((columns(label) for label, _ in rows), default=0) + 2
    if room is None:
        return [f"{label}{' ' * (left - columns(label))}{value}" for label, value in rows]
    below = room - left < _LEAST
    indent = 2 if below else left
    lines: list[str] = []
    for label, value in rows:
        values = _wrap(value, room - indent)
        if below:
            lines += _wrap(label, room)
        else:
            lines.append(f"{label}{' ' * (left - columns(label))}{values.pop(0)}")
        lines += [" " * indent + line for line in values]
    return lines


class Flow:
    """Breaks a text that comes bit by bit between words; the last word is held back."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._column = 0
        self._gap = ""
        self._word = ""

    def __call__(self, text: str) -> str:
        """Take more of the text; return what can be shown."""
        return "".join(map(self._take, text))

    def broken(self) -> None:
        """Learn that somebody else has begun a new line."""
        self._column, self._gap = 0, ""

    def finish(self) -> str:
        """Return the rest."""
        gap, word, self._gap, self._word = self._gap, self._word, "", ""
        if not word:
            self._gap = gap
            return ""
        breaks = self._column > 0 and self._column + columns(gap + word) > self._room
        if breaks:
            self._column = 0
        self._column += columns(word if breaks else gap + word)
        return f"\n{word}" if breaks else gap + word

    def _take(self, char: str) -> str:
        if char == "\n":
            done = self.finish()
            self._gap, self._column = "", 0
            return done + char
        if char.isspace():
            done = self.finish()
            self._gap += char
            return done
        # A Chinese character is a word of its own, with what may not begin a line.
        ends = char not in _CLOSING and _IDEOGRAPH.search(self._word[-1:] + char)
        done = self.finish() if ends else ""
        self._word += char
        return done


def two_columns(rows: list[tuple[str, str]], room: int) -> list[str]:
    """Return the lines of (term, description) rows, indented by two."""
    left = min(max((columns(term) for term, _ in rows), default=0), 30)
    indent = left + 4 if room >= _NARROW else 6
    lines: list[str] = []
    for term, description in rows:
        wrapped = _wrap(description, room - indent)
        if room >= _NARROW and columns(term) <= left:
            padding = " " * (indent - 2 - columns(term))
            lines.append(f"  {term}{padding}{wrapped.pop(0)}".rstrip())
        else:
            lines.append(f"  {term}")
        lines += [" " * indent + line for line in wrapped]
    return lines


def _wrap(text: str, room: int) -> list[str]:
    lines = [""]
    for piece in _PIECE.findall(text):
        word = " " if piece.isspace() else piece
        if not lines[-1]:
            lines[-1] = word.lstrip()
        elif columns(lines[-1] + word) <= room:
            lines[-1] += word
        else:
            lines.append(word.lstrip())
    return [line.rstrip() for line in lines]
