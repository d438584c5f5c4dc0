"""The tokens of one reply, turned into its thought and its answer, or read as they are."""

from __future__ import annotations

from pocketr1.chat.detokenizer import IncrementalDetokenizer
from pocketr1.chat.reasoning import CLOSE, OPEN, Delta, ReasoningSplitter
from pocketr1.chat.tokenizer import Tokenizer

__all__ = ["PlainReader", "ReplyReader"]


class ReplyReader:
    """Reads a reply token by token.

    opened: the reply starts inside the thought, because the prompt ended with ``<think>``.
    """

    def __init__(self, tokenizer: Tokenizer, opened: bool) -> None:
        tags = map(tokenizer.added_tokens.get, (OPEN, CLOSE))
        self._tags = {token.id: token.content for token in tags if token is not None}
        if len(self._tags) < 2:
            self._tags = {}
        self._detokenizer = IncrementalDetokenizer(tokenizer)
        self._splitter = ReasoningSplitter(opened, textual=not self._tags)

    @property
    def in_answer(self) -> bool:
        """Whether text that comes now belongs to the answer."""
        return self._splitter.in_answer

    @property
    def in_character(self) -> bool:
        """Whether the tokens so far end inside a character."""
        return self._detokenizer.waits

    def feed(self, token_id: int) -> tuple[str, list[Delta]]:
        """Take one token; return the text it releases, tags included, and its pieces."""
        tag = self._tags.get(token_id)
        if tag is None:
            text = self._detokenizer.feed(token_id)
            return text, self._splitter.feed(text)
        text = self._detokenizer.finish()
        return text + tag, [*self._splitter.feed(text), *self._splitter.tag(tag)]

    def finish(self) -> tuple[str, list[Delta]]:
        """Return what was held back; the reply is over."""
        text = self._detokenizer.finish()
        return text, [*self._splitter.feed(text), *self._splitter.finish()]


class PlainReader:
    """Reads text that goes on from a text: all of it is answer, and nothing of it is cut."""

    in_answer = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._detokenizer = IncrementalDetokenizer(tokenizer)

    @property
    def in_character(self) -> bool:
        """Whether the tokens so far end inside a character."""
        return self._detokenizer.waits

    def feed(self, token_id: int) -> tuple[str, list[Delta]]:
        """Take one token; return the text it releases, and the same as a piece."""
        return self._piece(self._detokenizer.feed(token_id))

    def finish(self) -> tuple[str, list[Delta]]:
        """Return what was held back; the text is over."""
        return self._piece(self._detokenizer.finish())

    @staticmethod
    def _piece(text: str) -> tuple[str, list[Delta]]:
        return text, [Delta("answer", text)] if text else []
