"""Telling the thought from the answer while the text streams in.

R1 writes ``<think>\n…\n</think>\n\n…``. The rules, for one reply:

- The thought is what stands between the first ``<think>`` and the next ``</think>``; without
  ``</think>`` it runs to the end, and there is no answer.
- Where the template has pre-filled ``<think>`` the reply starts inside the thought (``opened``). A
  ``<think>`` the model writes again, before anything else, is dropped.
- What stands before the first ``<think>`` or behind ``</think>`` is the answer. Every further tag,
  a second ``<think>`` in the answer for example, is text.
- Newlines at the seams go, as in Qwen's official template: the thought loses those at both ends
  (``strip("\n")``), the answer those at its start (``lstrip("\n")``). Spaces stay.

Which counts, the tag's text or its token? Where the tokenizer has the tags as tokens, the token
counts, and a tag spelt in ordinary letters is text: a model that quotes a user's ``</think>``
copies letters (user text is encoded without added tokens), and must not end its thought by it.
Where it has not, the text counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["CLOSE", "OPEN", "Delta", "ReasoningSplitter", "split_reasoning"]

OPEN = "<think>"
CLOSE = "</think>"


@dataclass(frozen=True)
class Delta:
    """A piece of the reply: of its thought (``reasoning``) or of its ``answer``. Never empty."""

    kind: Literal["reasoning", "answer"]
    text: str


class ReasoningSplitter:
    """Takes text in pieces of any size, gives :class:`Delta` pieces.

    However a text is cut, the joined deltas are the same; text is held back only while it may
    still be (part of) a tag or newlines at a seam.

    opened: the reply starts inside the thought, because the prompt ended with ``<think>``.
    textual: look for the tags in the text; False where ``tag`` reports them by their token.
    """

    def __init__(self, opened: bool = False, *, textual: bool = True) -> None:
        self._state: Literal["before", "thought", "after"] = "thought" if opened else "before"
        self._opened = opened
        self._textual = textual
        self._held = ""  # may become a tag
        self._newlines = ""  # may be the end of the thought
        self._thought_blank = True
        self._answer_blank = True

    @property
    def in_answer(self) -> bool:
        """Whether text that comes now belongs to the answer."""
        return self._state != "thought"

    def feed(self, text: str) -> list[Delta]:
        """Take the next piece of text."""
        if not self._textual:
            return _merge(self._emit(text))
        self._held += text
        deltas: list[Delta] = []
        while self._held:
            awaited = self._awaited()
            places = [(p, tag) for tag in awaited if (p := self._held.find(tag)) >= 0]
            if places:
                place, tag = min(places)
                deltas += self._release(place)
                if tag in self._awaited():
                    self._held = self._held[len(tag) :]
                    self._switch(tag)
                continue
            keep = max((_overlap(self._held, tag) for tag in awaited), default=0)
            deltas += self._release(len(self._held) - keep)
            if self._awaited() == awaited:
                break
        return _merge(deltas)

    def tag(self, tag: str) -> list[Delta]:
        """Take a tag the model wrote as one token; where it means nothing it is text."""
        if tag not in self._awaited():
            return self._emit(tag)
        self._switch(tag)
        return []

    def finish(self) -> list[Delta]:
        """Take the end of the reply: what was held back for a tag is text."""
        return self._release(len(self._held))

    def _awaited(self) -> tuple[str, ...]:
        """The tags that mean something now."""
        if self._state == "before":
            return (OPEN,)
        if self._state == "thought":
            return (OPEN, CLOSE) if self._opened and self._thought_blank else (CLOSE,)
        return ()

    def _switch(self, tag: str) -> None:
        if tag == CLOSE:
            self._state = "after"
        else:
            self._state, self._opened = "thought", False

    def _release(self, count: int) -> list[Delta]:
        text, self._held = self._held[:count], self._held[count:]
        return self._emit(text)

    def _emit(self, text: str) -> list[Delta]:
        if self._state == "thought":
            if self._thought_blank:
                text = text.lstrip("\n")
                self._thought_blank = not text
            text = self._newlines + text
            shown = text.rstrip("\n")
            self._newlines = text[len(shown) :]
            return [Delta("reasoning", shown)] if shown else []
        if self._answer_blank:
            text = text.lstrip("\n")
            self._answer_blank = not text
        return [Delta("answer", text)] if text else []


def split_reasoning(text: str, opened: bool = False) -> tuple[str, str]:
    """Return the thought and the answer of a whole reply; ``opened`` as in the splitter."""
    splitter = ReasoningSplitter(opened)
    deltas = splitter.feed(text) + splitter.finish()
    return join(deltas, "reasoning"), join(deltas, "answer")


def join(deltas: Iterable[Delta], kind: Literal["reasoning", "answer"]) -> str:
    """Return the text of all deltas of one kind."""
    return "".join(d.text for d in deltas if d.kind == kind)


def _merge(deltas: Iterable[Delta]) -> list[Delta]:
    merged: list[Delta] = []
    for delta in deltas:
        if merged and merged[-1].kind == delta.kind:
            delta = Delta(delta.kind, merged.pop().text + delta.text)
        merged.append(delta)
    return merged


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of ``text`` may begin ``tag``."""
    longest = min(len(tag) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)
