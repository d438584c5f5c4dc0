"""Plain text laid out in terminal columns, Chinese included."""

from __future__ import annotations

import re
import shutil
import unicodedata

__all__ = ["columns", "paragraphs", "two_columns", "width"]

_WIDEST = 100
# Narrower than this (a phone), a description stands under its term instead of beside it.
_NARROW = 60
# Never at the start of a line.
_CLOSING = "，。：；、！？）》」』”’,.:;!?)]}"
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_PIECE = re.compile(rf"\s+|[{_WIDE}]|[^\s{_WIDE}]+")


def width() -> int:
    """Return the columns to fill: the terminal's, at most 100."""
    return max(20, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))


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
        elif word in _CLOSING or columns(lines[-1] + word) <= room:
            lines[-1] += word
        else:
            lines.append(word.lstrip())
    return [line.rstrip() for line in lines]
