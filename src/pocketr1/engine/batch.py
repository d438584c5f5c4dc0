"""Many answers at once: their sequences decode in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketr1.engine.chunk import MOST_ROWS
from pocketr1.engine.generation import Generation, Request
from pocketr1.engine.pages import pages_of
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions, Ticket
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
    # Nobody reads along: prompts are computed as fast as they can be, and nothing is kept.
    options = SchedulerOptions(
        running=batch,
        waiting=0,
        kv_pages=batch * pages_of(engine.max_context),
        kept_pages=0,
        chunk=MOST_ROWS,
    )
    scheduler = Scheduler(engine, options, seen=seen)
    waiting = iter(requests)
    counted: dict[Ticket, int] = {}
    try:
        while True:
            while len(counted) < batch and (request := next(waiting, None)) is not None:
                _check_cancelled(engine, seen)
                (ticket,) = scheduler.submit(request)
                counted[ticket] = -len(request.ids)
            if not counted:
                return
            tickets = scheduler.turn()
            _check_cancelled(engine, seen)
            tokens = 0
            for ticket in tickets:
                if ticket.error is not None:
                    raise ticket.error
                tokens += len(ticket.generation.token_ids) - counted[ticket]
                counted[ticket] = len(ticket.generation.token_ids)
                watch(ticket.generation)
            if tokens:
                advance(tokens)
            for ticket in tickets:
                if ticket.done:
                    del counted[ticket]
                    _check_cancelled(engine, seen)
                    yield _completion(ticket.generation)
    finally:
        scheduler.close()


def _check_cancelled(engine: Engine, seen: int) -> None:
    if engine._cancels != seen:
        raise CancelledError("cancelled")


def _completion(generation: Generation) -> Completion:
    assert generation.finish_reason is not None
    return Completion(
        generation._request.index,
        tuple(generation.token_ids),
        generation.finish_reason,
        generation.context_full,
    )
