"""The engine: one loaded model and its session, as Python uses it."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocketr1.arch import ModelSpec
from pocketr1.engine.batch import DEFAULT_BATCH, Completion, complete_many
from pocketr1.engine.budget import MemoryPlan, Streaming
from pocketr1.engine.generation import Detokenizer, Generation, Request
from pocketr1.engine.governor import Governor
from pocketr1.engine.ownership import Ownership
from pocketr1.engine.pressure import trim_share
from pocketr1.engine.reliefs import reliefs
from pocketr1.engine.sampling import Sampling
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.speculation import Speculation
from pocketr1.engine.tokens import TokenArray, TokenIds, as_token_array
from pocketr1.engine.window import FullContext, check_full_context
from pocketr1.errors import CancelledError, ContextFullError, EngineError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1 import _core
    from pocketr1.engine.kvstore import KVStore, Turn

__all__ = ["LOGITS_LIMIT_BYTES", "Engine"]

#: ``Engine.logits`` refuses to hand out more than this in one array (1 GiB: 1,766 tokens of a
#: vocabulary of 151,936); ``logits_chunks`` has no limit.
LOGITS_LIMIT_BYTES = 1 << 30

# Rows of one prefill step: enough to use the matrices well, few enough that cancelling is prompt
# and that activations stay small (512 rows of a 32B model's widest layer are 57 MB).
_PREFILL_ROWS = 512

# A shorter prompt has no whole page in front of its last token.
_PAGE_TOKENS = 64


class Engine:
    """A model ready to answer; made by :func:`pocketr1.load`.

    One thread owns it: the one that loaded it, or the last to call :meth:`take_ownership`. Any
    other gets EngineError (``engine-thread``); only :meth:`cancel` may come from anywhere. In a
    forked child every call is EngineError (``engine-forked``): load again there.

    Arrays handed out stay valid after :meth:`close`.

    path: where the model came from; spec: its :class:`~pocketr1.arch.ModelSpec`; plan: what its
    memory budget goes to, ``None`` without one.
    """

    def __init__(
        self,
        model: _core.Model,
        session: _core.Session,
        path: Path,
        plan: MemoryPlan | None = None,
    ) -> None:
        self.path = path
        self.plan = plan
        self.spec = ModelSpec.from_dict(json.loads(model.spec_json))
        self.isa = session.isa
        self.threads = session.threads
        self.max_context = session.max_context
        self.weight_bytes = model.weight_bytes
        self._model = model
        self._session = session
        self._ownership = Ownership()
        self._closed = False
        self._stepping = False
        self._cancels = 0
        self._adapter_changes = 0
        self._kv_store: KVStore | None = None
        # Handles of dropped sequences: a finalizer may run in any thread, the owner frees them.
        self._released: deque[int] = deque()
        self._governor: Governor | None = None

    @property
    def kv_store(self) -> KVStore | None:
        """The store of ``load(kv_store=…)``, or ``None``."""
        return self._kv_store

    @property
    def vocab_size(self) -> int:
        """Number of token ids; the length of a row of logits."""
        return self.spec.vocab_size

    @property
    def kv_bytes(self) -> int:
        """Bytes of all K/V pages taken so far, shared ones counted once.

        Those a sequence gave back are used again, or go with :meth:`trim_pages`.
        """
        self._check_usable()
        return self._session.kv_bytes

    @property
    def weight_budget(self) -> int | None:
        """Bytes of weights the memory plan keeps resident; ``None`` without a budget."""
        return None if self.plan is None else self.plan.resident

    @property
    def streaming(self) -> Streaming | None:
        """How weights come under a limit of resident bytes; ``None`` without one."""
        self._check_usable()
        stream = self._model.stream
        if stream is None:
            return None
        resident, streamed, _, _, speed, direct = stream
        return Streaming(resident, streamed, speed, direct)

    @property
    def resident_bytes(self) -> int:
        """Bytes of weights kept in memory of our own now; 0 where they are mapped."""
        streaming = self.streaming
        return 0 if streaming is None else streaming.resident

    def set_resident_limit(self, limit: int | None) -> None:
        """Keep at most ``limit`` bytes of weights in memory and stream the others.

        Between steps, also while a generation is under way; it goes on with the same tokens. Less
        than before: the memory goes back to the system at once. More: weights are kept as they are
        streamed by. A model loaded without a budget is streamed from then on. ``None``: weights are
        mapped (or read once, with ``mmap=False``). Raises UsageError (``resident-limit-value``),
        and what reading raises.
        """
        self._check_usable()
        if limit is not None and not _is_count(limit, 0):
            raise UsageError("resident-limit-value", value=limit)
        self._model.set_resident_limit(limit)

    def trim_pages(self) -> int:
        """Give K/V pages that no sequence uses back to the system; return their bytes."""
        self._check_usable()
        return self._session.trim_pages()

    def logits(self, ids: TokenIds) -> npt.NDArray[np.float32]:
        """Return the logits behind every token of ``ids``: float32, shape (len(ids), vocab_size).

        Raises UsageError for bad ids, and ``logits-too-large`` where the array would exceed
        LOGITS_LIMIT_BYTES; ContextFullError (``context-too-long``); CancelledError.
        """
        array = self._prompt(ids)
        needed = 4 * len(array) * self.vocab_size
        if needed > LOGITS_LIMIT_BYTES:
            raise UsageError(
                "logits-too-large",
                tokens=len(array),
                megabytes=needed // 1_000_000,
                limit=LOGITS_LIMIT_BYTES // (4 * self.vocab_size),
            )
        out = np.empty((len(array), self.vocab_size), dtype=np.float32)
        row = 0
        for chunk in self.logits_chunks(array):
            out[row : row + len(chunk)] = chunk
            row += len(chunk)
        return out

    def logits_chunks(self, ids: TokenIds, *, rows: int = 128) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the logits of ``ids`` in order, float32 of shape (at most ``rows``, vocab_size).

        Only one chunk exists at a time unless the caller keeps it; the values do not depend on
        ``rows``. Raises as :meth:`logits` does, when called; ``rows-value`` for rows < 1.
        """
        array = self._prompt(ids)
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise UsageError("rows-value", value=rows)
        return self._logits_chunks(array, rows)

    def _logits_chunks(self, ids: TokenArray, rows: int) -> Iterator[npt.NDArray[np.float32]]:
        seen = self._cancels
        with self.sequence() as sequence:
            for begin in range(0, len(ids), rows):
                self._check_usable()
                chunk = ids[begin : begin + rows]
                wanted = np.arange(len(chunk), dtype=np.int32)
                yield self._step(sequence._handle, begin, chunk, wanted, seen=seen)

    def layer_inputs(
        self, ids: TokenIds, visit: Callable[[str, npt.NDArray[np.float32]], None]
    ) -> None:
        """Run ``ids`` and show every linear layer's input to ``visit(name, rows)``.

        ``name`` is the canonical name of a weight that reads it (``layers.3.down.weight``),
        ``rows`` float32 of shape (at most 512, inputs): the rows of one prefill step, in order.
        What the last layer leaves comes as ``final_norm.weight``. Raises as :meth:`logits` does;
        an exception of ``visit`` passes through.
        """
        array = self._prompt(ids)
        nothing = np.empty(0, dtype=np.int32)
        seen = self._cancels
        with self.sequence() as sequence:
            for begin in range(0, len(array), _PREFILL_ROWS):
                chunk = array[begin : begin + _PREFILL_ROWS]
                self._step(sequence._handle, begin, chunk, nothing, seen=seen, hook=visit)

    def generate(
        self,
        ids: TokenIds,
        sampling: Sampling | None = None,
        *,
        max_tokens: int | None = None,
        stop_token_ids: Collection[int] | None = None,
        stop: Iterable[str] = (),
        detokenizer: Detokenizer | None = None,
        sequence: Sequence | None = None,
        index: int = 0,
        speculation: Speculation | None = None,
        full_context: FullContext = "stop",
    ) -> Generation:
        """Return an iterator over the tokens that follow ``ids``.

        ids: the whole prompt. sampling: ``None`` is ``Sampling()``. max_tokens: ``None`` goes on
        until the context is full, or the model ends. stop_token_ids: ``None`` takes the model's
        end-of-text tokens, ``()`` ignores them. stop: strings that end the text; they need a
        ``detokenizer``.
        sequence: a cache; the prefix it shares with ``ids`` is not computed again, and afterwards
        it holds prompt and answer. Without one, pages are freed when the iteration ends.
        index: which of several answers to one request this is; it keys the random numbers.
        speculation: draft tokens and verify several in one step; the tokens stay the same.
        full_context: ``stop`` ends there, with finish_reason ``length`` and ``context_full``;
        ``slide`` goes on with the first tokens and the newest, half of the others dropped (see
        :class:`~pocketr1.engine.window.Window`), and takes prompts longer than the context. What is
        kept is computed again, about one token for each one generated, and ``sequence`` then holds
        that in place of the whole text.

        The prompt is computed when the first token is asked for. Raises UsageError for bad
        arguments, ContextFullError (``context-too-long``) for a prompt that does not fit.
        """
        request = self._request(ids, sampling, max_tokens, stop_token_ids, index, full_context)
        stop = (stop,) if isinstance(stop, str) else tuple(stop)
        if stop and detokenizer is None:
            raise UsageError("stop-needs-detokenizer")
        if sequence is not None and sequence._engine is not self:
            raise UsageError("sequence-foreign")
        if speculation is not None:
            speculation.check(self)
        return Generation(self, request, sequence, stop, detokenizer, speculation)

    def generate_many(
        self,
        prompts: Iterable[TokenIds],
        sampling: Sampling | None = None,
        *,
        max_tokens: int | None = None,
        stop_token_ids: Collection[int] | None = None,
        batch: int = DEFAULT_BATCH,
        advance: Callable[[int], None] = lambda _: None,
        watch: Callable[[Generation], None] = lambda _: None,
        full_context: FullContext = "stop",
    ) -> Iterator[Completion]:
        """Yield the :class:`Completion` of every prompt, in the order in which they end.

        Up to ``batch`` sequences decode together, which costs little more than one; where one
        ends, the next prompt begins. Each answer is, bit for bit, that of :meth:`generate` with the
        same arguments and the prompt's number as ``index``. ``prompts`` is read as room appears.
        A prompt that begins like one whose answer is being written shares its pages and computes
        only the rest; several answers to one prompt compute it once.
        Within a memory budget they share the pages planned for one full context: where those run
        out, the newest wait, and are computed again later.
        ``advance`` is told after each prompt and each step how many tokens that were; ``watch``
        sees each :class:`Generation` after each of its tokens, and may give it what comes next
        (:meth:`Generation.force`); it is not to iterate or close it.
        There is no speculation here: the sequences beside it fill a step's rows with sure tokens.

        Raises UsageError for bad arguments (``batch-value``), and while iterating what
        :meth:`generate` raises, CancelledError included; all pages are freed then, and when the
        iterator is closed.
        """
        self._check_usable()
        if not _is_count(batch, 1):
            raise UsageError("batch-value", value=batch)
        sampling = (sampling or Sampling()).seeded()
        requests = (
            self._request(ids, sampling, max_tokens, stop_token_ids, index, full_context)
            for index, ids in enumerate(prompts)
        )
        return complete_many(self, requests, batch, advance, watch, seen=self._cancels)

    def sequence(self) -> Sequence:
        """Return a new, empty :class:`Sequence`."""
        self._check_usable()
        return Sequence(self, self._session.create_sequence())

    def set_adapter(
        self, tensor: str, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
    ) -> None:
        """Add a low-rank term to a linear layer: y += b (a x).

        tensor: canonical name (``layers.0.q.weight``); a: (rank, inputs); b: (outputs, rank).
        Replaces the tensor's adapter. Sequences computed before keep their old values: start anew.
        """
        self._check_usable()
        a, b = np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
        self._model.set_adapter(tensor, a, b)
        self._adapter_changes += 1
        if self._kv_store is not None:
            self._kv_store.set_adapter(tensor, a, b)

    def clear_adapter(self, tensor: str) -> None:
        """Take the adapter of ``tensor`` away."""
        self._check_usable()
        self._model.clear_adapter(tensor)
        self._adapter_changes += 1
        if self._kv_store is not None:
            self._kv_store.clear_adapter(tensor)

    def govern(self, governor: Governor | None) -> None:
        """Let ``governor`` mind memory, heat and battery before every step; ``None``: nobody.

        With the governor before go its limits. The answers stay the same, bit for bit.
        """
        self._check_usable()
        if self._governor is not None:
            self._governor._leave(self)
            self._use_threads(self.threads)
        self._governor = governor
        if governor is not None:
            governor._join(self, *reliefs(self))

    def trim(self, level: int) -> None:
        """Give memory back: for Android's ``onTrimMemory``, from any thread.

        Called by the owner between two steps it acts at once, by others before the next step; see
        :meth:`Governor.trim`. Without a governor nothing is given back.
        """
        governor = self._governor
        if governor is None:
            trim_share(level)
            return
        governor.trim(level)
        if self._ownership.is_mine and not self._stepping and not self._closed:
            governor._look_if_due()

    def cancel(self) -> None:
        """Stop what the engine is doing, from any thread.

        A running call raises CancelledError within one layer's time; generations that have begun
        end with finish_reason ``cancelled``. Later calls are not affected.
        """
        self._cancels += 1
        # Taken from the dictionary: the owner may be closing at this moment.
        session = self.__dict__.get("_session")
        if session is not None and self._stepping and self._ownership.is_this_process:
            session.cancel()

    def take_ownership(self) -> None:
        """Make the calling thread the owner; the owner before must have stopped using it."""
        self._ownership.take()

    def close(self) -> None:
        """Free the sequences and the weights; harmless twice. The engine is unusable afterwards."""
        if self._closed:
            return
        self._check_usable()
        self.govern(None)
        self._closed = True
        self._released.clear()
        del self._session, self._model
        if self._kv_store is not None:
            self._kv_store.close()

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
        state = "closed" if self._closed else f"{self.isa}, {self.threads} threads"
        return f"<pocketr1.Engine {self.spec.architecture} {str(self.path)!r} ({state})>"

    # What Sequence, Generation and Speculation use.

    @cached_property
    def _tokenizer_hash(self) -> str | None:
        """SHA-256 of the model's tokenizer file; ``None`` where there is none to read."""
        try:
            return hashlib.sha256((self.path / "tokenizer.json").read_bytes()).hexdigest()
        except OSError:
            return None

    def _check_usable(self) -> None:
        self._ownership.check()
        if self._closed:
            raise EngineError("engine-closed")
        if self._stepping:
            raise EngineError("engine-busy")
        while self._released:
            self._session.free_sequence(self._released.popleft())

    def _store_turn(self, sequence: Sequence, ids: TokenArray) -> Turn | None:
        """Return what the K/V store does for a prompt; ``None`` where it does nothing."""
        store = self._kv_store
        if store is None or sequence._adapter_changes != self._adapter_changes:
            return None
        if len(ids) <= _PAGE_TOKENS or not store.wanted():
            return None
        from pocketr1.engine.kvstore import Turn

        return Turn(store, self, sequence, ids)

    def _may_read(self, sequence: Sequence | None, user: object) -> bool:
        """Whether the caller may read the pages of what ``user`` computed into ``sequence``."""
        if self._closed or self._stepping or not self._ownership.is_mine:
            return False
        return sequence is not None and not sequence._closed and sequence._user is user

    def _use_threads(self, threads: int) -> None:
        self._session.set_threads(threads)

    def _release_later(self, handle: int) -> None:
        if self._closed or not self._ownership.is_this_process:
            return
        if self._ownership.is_mine and not self._stepping:
            self._session.free_sequence(handle)
        else:
            self._released.append(handle)

    def _request(
        self,
        ids: TokenIds,
        sampling: Sampling | None,
        max_tokens: int | None,
        stop_token_ids: Collection[int] | None,
        index: int,
        full_context: FullContext,
    ) -> Request:
        check_full_context(full_context)
        slide = full_context == "slide"
        array = self._prompt(ids, any_length=slide)
        if max_tokens is not None and not _is_count(max_tokens, 1):
            raise UsageError("max-tokens-value", value=max_tokens)
        if not _is_count(index, 0):
            raise UsageError("index-value", value=index)
        ends = self.spec.eos_token_ids if stop_token_ids is None else stop_token_ids
        return Request(array, sampling or Sampling(), max_tokens, frozenset(ends), index, slide)

    def _prompt(self, ids: TokenIds, *, any_length: bool = False) -> TokenArray:
        self._check_usable()
        array = as_token_array(ids, self.vocab_size)
        if len(array) > self.max_context and not any_length:
            raise ContextFullError("context-too-long", tokens=len(array), limit=self.max_context)
        return array

    def _prefill(self, handle: int, begin: int, ids: TokenArray) -> npt.NDArray[np.float32]:
        """Compute ``ids`` from position ``begin`` on; return the last one's logits, (vocab,)."""
        nothing = np.empty(0, dtype=np.int32)
        seen = self._cancels
        last = (len(ids) - 1) // _PREFILL_ROWS * _PREFILL_ROWS
        for offset in range(0, last, _PREFILL_ROWS):
            chunk = ids[offset : offset + _PREFILL_ROWS]
            self._step(handle, begin + offset, chunk, nothing, seen=seen)
        chunk = ids[last:]
        wanted = np.array([len(chunk) - 1], dtype=np.int32)
        logits = self._step(handle, begin + last, chunk, wanted, seen=seen)
        return logits.reshape(self.vocab_size)

    def _step(
        self,
        handle: int,
        begin: int,
        ids: TokenArray,
        logits_for: TokenArray,
        *,
        seen: int,
        hook: Callable[[str, npt.NDArray[np.float32]], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        rows = len(ids)
        sequences = np.full(rows, handle, dtype=np.int32)
        positions = np.arange(begin, begin + rows, dtype=np.int32)
        return self._step_rows(sequences, positions, ids, logits_for, seen=seen, hook=hook)

    def _step_rows(
        self,
        sequences: TokenArray,
        positions: TokenArray,
        ids: TokenArray,
        logits_for: TokenArray,
        *,
        seen: int,
        hook: Callable[[str, npt.NDArray[np.float32]], None] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> npt.NDArray[np.float32]:
        """Compute rows of any sequences; return float32 logits, (len(logits_for), vocab).

        interrupted: ends a governor's pause, with PausedError.
        """
        if self._governor is not None:
            self._governor.tend(lambda: self._cancels != seen, interrupted)
        if self._cancels != seen:
            raise CancelledError("cancelled")
        logits = None
        self._stepping = True
        try:
            while logits is None:
                try:
                    logits = self._session.step(sequences, positions, ids, logits_for, hook=hook)
                except CancelledError:
                    # The core keeps a cancel that came too late for the step it was meant for.
                    if self._cancels != seen:
                        raise
        finally:
            self._stepping = False
        if self._cancels != seen:
            raise CancelledError("cancelled")
        return logits

    def _draw(
        self,
        logits: npt.NDArray[np.float32],
        history: TokenArray,
        sampling: Sampling,
        *,
        index: int,
        position: int,
    ) -> int:
        return self._session.sample(
            logits,
            history,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            seed=sampling.seed or 0,
            index=index,
            position=position,
        )


def _is_count(value: object, least: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= least  # type: ignore[call-overload]
