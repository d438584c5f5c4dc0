"""Token ids to text while they stream, never half a character."""

from __future__ import annotations

import codecs

from pocketr1.chat.tokenizer import Tokenizer

__all__ = ["IncrementalDetokenizer"]

# How many ids a tokenizer that is not byte-level looks back: its decoder may drop a leading space
# or join bytes, which no more than the ids of one word can change.
_WINDOW = 16


class IncrementalDetokenizer:
    """Feeds on ids, gives text; the pieces joined are ``tokenizer.decode`` of all ids.

    A token may end inside a character (an emoji is often two or three tokens): its bytes wait for
    the rest. Bytes that can never become a character come out as U+FFFD, as soon as that is
    certain; an unfinished one at the very end, by ``finish``.

    skip_special: leave out tokens marked special, such as the end of a sentence.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skipped = tokenizer.special_ids if skip_special else frozenset()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._ids: list[int] = []
        self._shown = 0  # how many of _ids have been shown; those before are context

    @property
    def waits(self) -> bool:
        """Whether the ids so far end inside a character."""
        return bool(self._utf8.getstate()[0]) or self._shown < len(self._ids)

    def feed(self, token_id: int) -> str:
        """Take one id, return the text that is now certain (often ``""``)."""
        if token_id in self._skipped:
            return ""
        if self._ids:
            return self._feed_window(token_id)
        data = self._tokenizer.decode_bytes(token_id)
        return self._feed_window(token_id) if data is None else self._utf8.decode(data)

    def finish(self) -> str:
        """Return what still waits: U+FFFD for a broken tail, ``""`` otherwise. Starts anew."""
        text = self._utf8.decode(b"", final=True) + self._text_after(self._shown)
        self._utf8.reset()
        self._ids, self._shown = [], 0
        return text

    def _feed_window(self, token_id: int) -> str:
        self._ids.append(token_id)
        text = self._text_after(self._shown)
        if not text or text.endswith("\ufffd"):
            return ""
        self._shown = len(self._ids)
        if self._shown > 2 * _WINDOW:
            self._ids = self._ids[-_WINDOW:]
            self._shown = _WINDOW
        return text

    def _text_after(self, place: int) -> str:
        if place == len(self._ids):
            return ""
        before = self._tokenizer.decode(self._ids[:place], skip_special=False)
        return self._tokenizer.decode(self._ids, skip_special=False)[len(before) :]
