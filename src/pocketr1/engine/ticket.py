"""One answer on its way through the scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from pocketr1.engine.generation import Generation
from pocketr1.engine.tokens import TokenArray

if TYPE_CHECKING:
    from pocketr1.engine.kvstore import Turn

__all__ = ["Ticket"]


@dataclass(eq=False)
class Ticket:
    """One answer asked of a :class:`~pocketr1.engine.scheduler.Scheduler`.

    generation: its tokens so far, and how it ended; what it has to say is read, and given tokens
        are forced, between two turns.
    error: what ended it in place of an end of its own.
    queue_seconds: until its prompt was begun; prefill_seconds: from there to its first token;
        decode_seconds: from there to now.
    preempted: how often its pages were taken from it.
    """

    number: int
    generation: Generation
    submitted: float
    error: Exception | None = None
    begun: float | None = None
    first: float | None = None
    ended: float | None = None
    preempted: int = 0
    # What the model is still to compute of the text before its next token is drawn.
    todo: TokenArray | None = None
    turn: Turn | None = None
    turn_seconds: float = 0.0
    # Somebody who is computing a beginning of this prompt, and how many tokens of it.
    awaits: tuple[Ticket, int] | None = None

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.ended is not None

    @property
    def queue_seconds(self) -> float:
        """Seconds before its prompt was begun."""
        return self._between(self.submitted, self.begun)

    @property
    def prefill_seconds(self) -> float:
        """Seconds from there to its first token."""
        return 0.0 if self.begun is None else self._between(self.begun, self.first)

    @property
    def decode_seconds(self) -> float:
        """Seconds from there until it ended."""
        return 0.0 if self.first is None else self._between(self.first, self.ended)

    def _between(self, begin: float, end: float | None) -> float:
        if end is None:
            end = perf_counter() if self.ended is None else self.ended
        return max(0.0, end - begin)

    @property
    def _seen(self) -> TokenArray:
        """What the model will see of its text."""
        generation = self.generation
        if not generation.token_ids and generation._request.slide:
            return generation._window.of(generation._request.ids)
        return generation._seen

    @property
    def _streams(self) -> bool:
        """Whether its next row is all that stands between its reader and a token."""
        return bool(self.generation.token_ids) and self.todo is not None and len(self.todo) == 1
