"""One prompt and the store: what of it is restored, and what of it is stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pocketr1.engine.kvstore.fingerprint import PAGE_TOKENS, page_tokens
from pocketr1.engine.kvstore.store import LEAST_PAGES, KVStore
from pocketr1.errors import CancelledError

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine
    from pocketr1.engine.sequence import Sequence
    from pocketr1.engine.tokens import TokenArray

__all__ = ["Turn"]

# The longest an answer's end is held up by a disk that does not keep pace; what is not stored by
# then is left out.
_FINISH_SECONDS = 5.0


class Turn:
    """Restores a prompt's beginning, and hands its new pages to the writer as the answer is made.

    Only the prompt is kept, not what is generated: R1's template drops the thought, so that the
    next prompt is this one, the bare answer and a new question.
    """

    def __init__(self, store: KVStore, engine: Engine, sequence: Sequence, ids: TokenArray) -> None:
        self._store = store
        self._engine = engine
        self._sequence = sequence
        self._ids = ids
        self._keys = store.keys(ids)
        self._found = store.find(self._keys, ids)
        self._next = len(self._found)
        self._number = store.next_turn()

    @property
    def done(self) -> bool:
        """Whether nothing is left that could be handed over."""
        return self._next >= len(self._keys) or not self._store.writable

    def restore(self, held: int, cancels: int) -> int:
        """Append stored pages behind the first ``held`` tokens, or the whole pages of those.

        Returns how many tokens of the prompt the sequence holds afterwards; at least one is left to
        compute. cancels: as :meth:`Engine._step` takes it. Raises CancelledError, and EngineError
        where memory runs out.
        """
        usable, first = len(self._found), held // PAGE_TOKENS
        if min(usable * PAGE_TOKENS, len(self._ids) - 1) <= held:
            return held
        began, sequence = time.perf_counter(), self._sequence
        sequence._truncate(first * PAGE_TOKENS)
        place = first
        while place < usable:
            if self._engine._cancels != cancels:
                raise CancelledError("cancelled")
            data = self._store.read(self._found[place])
            if data is None:
                self._next = place
                break
            sequence._append_page(self._ids[place * PAGE_TOKENS :][:PAGE_TOKENS], data)
            place += 1
        held = min(place * PAGE_TOKENS, len(self._ids) - 1)
        sequence._truncate(held)
        self._store.used(self._found[:place])
        self._store.restored(held - first * PAGE_TOKENS, time.perf_counter() - began)
        return held

    def computed(self, tokens: int, seconds: float) -> None:
        """Take note of how long the rest of the prompt took."""
        self._store.computed(tokens, seconds)
        if len(self._keys) < LEAST_PAGES or not self._store.writable:
            self._leave_out()

    def cut(self, pages: int) -> None:
        """Take note that no more than the first pages of the prompt will ever be computed."""
        self._keys = self._keys[:pages]
        if pages < LEAST_PAGES:
            self._leave_out()

    def step(self) -> None:
        """Hand one page over, where the writer has room for it; between two tokens."""
        if self._next < len(self._keys):
            self._hand_over(0.0)

    def finish(self, seconds: float = _FINISH_SECONDS) -> None:
        """Hand the rest over, within some seconds; the answer has ended."""
        until = time.monotonic() + seconds
        while self._next < len(self._keys):
            if not self._hand_over(until - time.monotonic()):
                break
        self._store.deliver()

    def _leave_out(self) -> None:
        self._next = len(self._keys)

    def _hand_over(self, seconds: float) -> bool:
        """Hand the next page over; what goes wrong with that is the store's, never the answer's."""
        try:
            return self._give(seconds)
        except Exception as error:
            self._store.failed(error)
            self._leave_out()
            return False

    def _give(self, seconds: float) -> bool:
        sequence, place = self._sequence, self._next
        begin, end = place * PAGE_TOKENS, (place + 1) * PAGE_TOKENS
        stale = sequence._adapter_changes != self._engine._adapter_changes
        if stale or sequence._tokens[begin:end] != self._ids[begin:end].tolist():
            self._leave_out()  # it is closed, or holds something else by now
            return False
        if not self._store.writer().has_room(max(0.0, seconds)):
            return False
        data = self._engine._session.read_pages(sequence._handle, place, 1)
        tokens = page_tokens(self._ids, place)
        self._store.put(self._number, place, self._keys, tokens, data)
        self._next += 1
        return True
