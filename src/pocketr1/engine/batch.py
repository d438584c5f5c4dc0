"""Many answers at once: their sequences decode in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocketr1.engine.generation import Generation, Request, common_prefix
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.tokens import TokenArray
from pocketr1.errors import CancelledError

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine

__all__ = ["DEFAULT_BATCH", "Completion", "complete_many"]

#: Sequences that :meth:`Engine.generate_many` decodes together.
DEFAULT_BATCH = 16


@dataclass(frozen=True)
class Completion:
    """One finished answer of :meth:`Engine.generate_many`.

    index: the prompt's number, from 0; token_ids: what was generated, without the end-of-text
    token; finish_reason: ``stop`` or ``length``; context_full: whether it ended because the context
    is full.
    """

    index: int
    token_ids: tuple[int, ...]
    finish_reason: str
    context_full: bool = False


def complete_many(
    engine: Engine,
    requests: Iterable[Request],
    batch: int,
    advance: Callable[[int], None],
    watch: Callable[[Generation], None],
    *,
    seen: int,
) -> Iterator[Completion]:
    """Yield the completion of every request; at most ``batch`` of them hold pages at a time.

    advance, watch: see :meth:`Engine.generate_many`; seen: the engine's count of cancels when the
    answers were asked for.
    """
    waiting = iter(requests)
    active: list[Generation] = []
    try:
        while True:
            while len(active) < batch and (request := next(waiting, None)) is not None:
                if engine._cancels != seen:
                    raise CancelledError("cancelled")
                generation = Generation(engine, request, None, (), None)
                if not request.slide:
                    generation._sequence = _begun(active, request.ids)
                active.append(generation)
                engine._check_usable()
                generation._take(generation._prefill())
                watch(generation)
                advance(len(request.ids) + len(generation.token_ids))
                if generation.finish_reason is not None:
                    active.remove(generation)
                    yield _completion(generation)
            if not active:
                return
            engine._check_usable()
            for generation, logits in zip(active, _decode(engine, active, seen), strict=True):
                generation._take(logits)
                watch(generation)
            advance(len(active))
            finished = [g for g in active if g.finish_reason is not None]
            active = [g for g in active if g.finish_reason is None]
            for generation in finished:
                yield _completion(generation)
    finally:
        for generation in active:
            generation.close()


def _begun(active: list[Generation], ids: TokenArray) -> Sequence | None:
    """Return a sequence that holds the longest prefix of ``ids`` which an active one holds."""
    longest, source = 0, None
    for generation in active:
        assert generation._sequence is not None
        shared = common_prefix(generation._sequence._tokens, ids)
        if shared > longest:
            longest, source = shared, generation._sequence
    return None if source is None else source.fork(longest)


def _decode(engine: Engine, active: list[Generation], seen: int) -> list[npt.NDArray[np.float32]]:
    """Compute everyone's last token; return their logits, (vocab,) each."""
    sliding = [generation for generation in active if generation._must_slide]
    others = [generation for generation in active if not generation._must_slide]
    slid = {id(generation): generation._slide() for generation in sliding}
    if engine._cancels != seen:
        raise CancelledError("cancelled")
    together = iter(_decode_together(engine, others, seen) if others else ())
    return [
        slid[id(generation)] if id(generation) in slid else next(together) for generation in active
    ]


def _decode_together(
    engine: Engine, active: list[Generation], seen: int
) -> npt.NDArray[np.float32]:
    """Compute everyone's last token in one step; return their logits, (len(active), vocab)."""
    sequences = [generation._sequence for generation in active]
    handles = np.array([s._handle for s in sequences if s is not None], np.int32)
    positions = np.array([len(s) for s in sequences if s is not None], np.int32)
    ids = np.array([generation.token_ids[-1] for generation in active], np.int32)
    rows = np.arange(len(active), dtype=np.int32)
    logits = engine._step_rows(handles, positions, ids, rows, seen=seen)
    for sequence, token in zip(sequences, ids.tolist(), strict=True):
        assert sequence is not None
        sequence._tokens.append(token)
    return logits


def _completion(generation: Generation) -> Completion:
    assert generation.finish_reason is not None
    return Completion(
        generation._request.index,
        tuple(generation.token_ids),
        generation.finish_reason,
        generation.context_full,
    )
