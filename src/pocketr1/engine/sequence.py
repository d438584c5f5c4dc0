"""A sequence: the tokens whose keys and values the engine holds."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocketr1.engine.tokens import TokenIds, as_token_array
from pocketr1.errors import ContextFullError, EngineError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1.engine.engine import Engine

__all__ = ["Sequence"]


class Sequence:
    """Tokens already computed, with their K/V pages of 64 tokens each.

    Made by :meth:`Engine.sequence`. A sequence changes what work costs, never what it answers: a
    token's logits are the same bits however its predecessors came in. Close it, or leave its
    ``with`` block, to free the pages; dropping the last reference frees them too.
    """

    def __init__(self, engine: Engine, handle: int) -> None:
        self._engine = engine
        self._handle = handle
        # The core may hold more: rows that a generation computed ahead. They become tokens one by
        # one, or go when the sequence is used for anything else.
        self._tokens: list[int] = []
        self._closed = False
        # Adapters change what later tokens would have seen of these.
        self._adapter_changes = engine._adapter_changes
        # The generation that appends to this sequence; another caller's change ends it.
        self._user: object = None
        self._release = weakref.finalize(self, engine._release_later, handle)
        self._release.atexit = False

    @property
    def tokens(self) -> tuple[int, ...]:
        """The token ids computed so far, in order."""
        return tuple(self._tokens)

    @property
    def engine(self) -> Engine:
        """The engine that holds the pages."""
        return self._engine

    def __len__(self) -> int:
        return len(self._tokens)

    def append(self, ids: TokenIds) -> npt.NDArray[np.float32]:
        """Compute ``ids`` behind the tokens so far; return the last one's logits, shape (vocab,).

        Raises UsageError for bad ids, ContextFullError (``context-too-long``) where they do not
        fit, CancelledError; after an error the sequence is as it was before.
        """
        self._claim(None)
        array = as_token_array(ids, self._engine.vocab_size)
        return self._append(array)

    def truncate(self, length: int) -> None:
        """Roll back to the first ``length`` tokens; their successors' pages are freed."""
        self._claim(None)
        if isinstance(length, bool) or not isinstance(length, int | np.integer):
            raise UsageError("truncate-length", value=length, length=len(self._tokens))
        if not 0 <= length <= len(self._tokens):
            raise UsageError("truncate-length", value=length, length=len(self._tokens))
        self._truncate(int(length))

    def fork(self, length: int | None = None) -> Sequence:
        """Return a new sequence that begins with the first ``length`` tokens; ``None`` is all.

        Nothing is computed or copied: the two share their pages, and the one that first writes
        into a page that is not full gets a copy of it. Each is closed for itself. Raises UsageError
        (``fork-length``).
        """
        self._engine._check_usable()
        if self._closed:
            raise EngineError("sequence-closed")
        count = len(self._tokens)
        if length is None:
            length = count
        whole = isinstance(length, int | np.integer) and not isinstance(length, bool)
        if not whole or not 0 <= length <= count:
            raise UsageError("fork-length", value=length, length=count)
        made = Sequence(
            self._engine, self._engine._session.fork_sequence(self._handle, int(length))
        )
        made._tokens = self._tokens[:length]
        made._adapter_changes = self._adapter_changes
        return made

    def close(self) -> None:
        """Free the pages now. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._tokens.clear()
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._tokens)} tokens"
        return f"<pocketr1.Sequence {state}>"

    def _claim(self, user: object) -> None:
        self._engine._check_usable()
        if self._closed:
            raise EngineError("sequence-closed")
        self._restore(len(self._tokens))
        self._user = user

    def _truncate(self, length: int) -> None:
        if length < len(self._tokens):
            self._engine._session.truncate(self._handle, length)
            del self._tokens[length:]

    def _append(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        before = len(self._tokens)
        limit = self._engine.max_context
        if before + len(ids) > limit:
            raise ContextFullError("context-too-long", tokens=before + len(ids), limit=limit)
        try:
            logits = self._engine._prefill(self._handle, before, ids)
        except BaseException:
            self._restore(before)
            raise
        self._tokens.extend(ids.tolist())
        return logits

    def _append_page(self, ids: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> None:
        """Append a page that was computed elsewhere; the sequence must end with a whole one."""
        self._engine._session.append_pages(self._handle, data)
        self._tokens.extend(ids.tolist())

    def _look_ahead(self, ids: npt.NDArray[np.int32], seen: int) -> npt.NDArray[np.float32]:
        """Append ``ids[0]`` and compute the others ahead; return all logits, (len(ids), vocab).

        What was computed ahead before is forgotten; ``ids`` must fit the context. seen: the
        engine's cancels when the ids began to be drafted; one that came since is CancelledError.
        """
        before = len(self._tokens)
        self._restore(before)
        wanted = np.arange(len(ids), dtype=np.int32)
        engine = self._engine
        try:
            logits = engine._step(self._handle, before, ids, wanted, seen=seen)
        except BaseException:
            self._restore(before)
            raise
        self._accept(int(ids[0]))
        return logits

    def _accept(self, token: int) -> None:
        """Append a token that has been computed ahead."""
        self._tokens.append(token)

    def _restore(self, length: int) -> None:
        """Bring the core back to ``length`` tokens: a step ended early, or looked ahead."""
        session = self._engine._session
        if session.length(self._handle) > length:
            session.truncate(self._handle, length)
