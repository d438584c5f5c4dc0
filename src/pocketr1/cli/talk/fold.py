"""A reply on a terminal with its thought folded into one line."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.cli.answer import Printer
from pocketr1.cli.output import dim, is_terminal

if TYPE_CHECKING:
    from pocketr1.chat import Delta

__all__ = ["FoldedPrinter", "can_fold"]

_REFRESH_SECONDS = 0.25
_CLEAR = "\r\x1b[K"


def can_fold() -> bool:
    """Whether stdout is a terminal, where a folded thought can be unfolded later."""
    return is_terminal(sys.stdout)


class FoldedPrinter(Printer):
    """Shows the thought as one line that says how long it takes, then the answer.

    On a terminal that cannot go back in a line, it says once that the model thinks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live = os.environ.get("TERM", "dumb") not in ("", "dumb")
        self._began: float | None = None
        self._drawn_at = 0.0
        self._drawn = False
        self._folded = False
        self._tokens = 0

    def __call__(self, delta: Delta) -> None:
        """Show one piece."""
        if delta.kind == "reasoning":
            self._think()
            return
        self._fold()
        super().__call__(delta)

    def begin_line(self) -> None:
        """Make room for a remark."""
        if self._drawn and not self._folded:
            self._clear()
        super().begin_line()

    def finish(self) -> None:
        """End the last line."""
        self._fold()
        super().finish()

    def _think(self) -> None:
        now = monotonic()
        if self._began is None:
            self._began = now
        self._tokens += 1
        if self._drawn and (not self._live or now - self._drawn_at < _REFRESH_SECONDS):
            return
        self._drawn, self._drawn_at = True, now
        if not self._live:
            print(messages.text("cli-chat-thinking-begun"), flush=True)
            return
        # A line that wraps could not be drawn over.
        text = _cut(self._text("cli-chat-thinking"), layout.width(sys.stdout) - 1)
        print(_CLEAR + dim(text, sys.stdout), end="", flush=True)

    def _fold(self) -> None:
        """Leave a line that says how long the thought was."""
        if self._began is None or self._folded:
            return
        self._folded = True
        self._clear()
        text = layout.wrapped(self._text("cli-chat-thought"), layout.width(sys.stdout))
        print(dim(text, sys.stdout), end="\n\n", flush=True)

    def _clear(self) -> None:
        if self._live and self._drawn:
            print(_CLEAR, end="", flush=True)

    def _text(self, code: str) -> str:
        seconds = monotonic() - (self._began or monotonic())
        return messages.text(code, seconds=f"{seconds:.0f}", tokens=self._tokens)


def _cut(text: str, room: int) -> str:
    while layout.columns(text) > room:
        text = text[:-1]
    return text
