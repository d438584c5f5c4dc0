"""Finished sequences, kept for prompts that begin like them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from pocketr1.engine.generation import shared_prefix
from pocketr1.engine.pages import PAGE_TOKENS, Pages
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.tokens import TokenArray

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine
    from pocketr1.engine.kvstore import Turn

__all__ = ["Kept", "KeptPages", "Prefixes"]

# The longest that giving up all is held up by a disk that does not keep pace.
_CLEAR_SECONDS = 5.0


@dataclass(eq=False)
class Kept:
    """A finished sequence: its tokens, the first ``prompt`` of which were asked.

    turn: what of the prompt is still to be handed to the K/V store.
    """

    sequence: Sequence
    tokens: TokenArray
    prompt: int
    turn: Turn | None = None


class Prefixes:
    """Sequences in the order in which they were last of use, the least recently used first.

    limit: most pages to keep. What is given up first is the answers, all of them before the first
    prompt: R1's template drops the thought, so that a conversation goes on behind its prompt.
    """

    def __init__(self, engine: Engine, pages: Pages, limit: int) -> None:
        self._engine = engine
        self._pages = pages
        self._limit = limit
        self._kept: list[Kept] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept)

    @property
    def sequences(self) -> list[Sequence]:
        """What is kept."""
        return [kept.sequence for kept in self._kept]

    def keep(self, sequence: Sequence, prompt: int, turn: Turn | None) -> None:
        """Keep a sequence that nobody computes any more, or close it."""
        tokens = np.asarray(sequence._tokens, np.int32)
        if turn is not None and len(tokens) < prompt:  # its reader left before it was computed
            turn.cut(len(tokens) // PAGE_TOKENS)
        kept = Kept(sequence, tokens, prompt, turn)
        adapters = self._engine._adapter_changes
        if len(tokens) < PAGE_TOKENS or not self._limit or sequence._adapter_changes != adapters:
            if turn is not None:
                turn.finish()
                kept.turn = None
            self._close(kept)
            return
        for other in list(self._kept):
            shared = shared_prefix(other.tokens, tokens)
            if shared == len(tokens) and turn is None:
                self._close(kept)
                self.used(other)
                return
            if shared == len(other.tokens):
                self._drop(other)
        self._kept.append(kept)
        while self._pages.held(self.sequences) > self._limit and self.evict():
            pass

    def longest(self, ids: TokenArray) -> tuple[int, Kept | None]:
        """Return the kept sequence that shares most with ``ids``, and how many tokens those are."""
        best, source = 0, None
        for kept in self._kept:
            if kept.sequence._adapter_changes == self._engine._adapter_changes:
                shared = shared_prefix(kept.tokens, ids)
                if shared >= best and shared:
                    best, source = shared, kept
        return best, source

    def used(self, kept: Kept) -> None:
        """Take note that a sequence was of use."""
        self._kept.remove(kept)
        self._kept.append(kept)

    def evict(self) -> bool:
        """Give up the answer that was used least recently, or else a prompt; False: none is left.

        Its pages may be free then, or held by others still.
        """
        for kept in self._kept:
            if len(kept.tokens) > kept.prompt:
                kept.sequence._truncate(kept.prompt)
                kept.tokens = kept.tokens[: kept.prompt]
                self._pages.resize(kept.sequence, kept.prompt)
                return True
        if self._kept:
            self._drop(self._kept[0])
            return True
        return False

    def clear(self) -> None:
        """Give up all; what the K/V store is to have of it is handed over first."""
        until = monotonic() + _CLEAR_SECONDS
        for kept in self._kept:
            if kept.turn is not None:
                kept.turn.finish(until - monotonic())
        self.drop()

    def drop(self) -> None:
        """Give up all at once; what the K/V store cannot take now is left out."""
        while self._kept:
            self._drop(self._kept[0])

    def forget(self) -> None:
        """Give up all, and let the K/V store have no more of it."""
        for kept in self._kept:
            kept.turn = None
        self.drop()

    def hand_over(self) -> bool:
        """Give the K/V store a page of each prompt, where it has room; whether some is left."""
        left = False
        for kept in self._kept:
            if kept.turn is not None:
                kept.turn.step()
                if kept.turn.done:
                    kept.turn.finish()
                    kept.turn = None
                else:
                    left = True
        return left

    def _drop(self, kept: Kept) -> None:
        self._kept.remove(kept)
        self._close(kept)

    def _close(self, kept: Kept) -> None:
        if kept.turn is not None:
            kept.turn.step()  # nobody waits for a disk here: what it cannot take now is left out
        self._pages.remove(kept.sequence)
        kept.sequence.close()


class KeptPages:
    """What a governor can take back of the pages kept for prompts to come."""

    name = "kept-prefixes"

    def __init__(self, engine: Engine, prefixes: Prefixes, pages: Pages) -> None:
        self._engine = engine
        self._prefixes = prefixes
        self._pages = pages

    def held_bytes(self) -> int:
        """Return the bytes of the pages kept, shared ones among them."""
        if self._engine._closed or not len(self._prefixes):
            return 0
        return self._pages.held(self._prefixes.sequences) * self._engine._session.page_bytes

    def give_back(self, wanted: int) -> int:
        """Give up what was used least recently until so many bytes are free."""
        freed = 0
        while freed < wanted and self._prefixes.evict():
            freed += self._engine.trim_pages()
        return freed

    def take_again(self, wanted: int) -> int:
        """Take nothing: it fills by itself."""
        return 0
