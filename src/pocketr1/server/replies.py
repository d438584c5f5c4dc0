"""The tokens of one answer, turned into the events of a reply."""

from __future__ import annotations

from typing import Literal, cast

from pocketr1.chat.assembly import ReplyAssembly
from pocketr1.chat.tokenizer import Tokenizer
from pocketr1.engine.constraint import Constraint
from pocketr1.engine.logprobs import TokenScore
from pocketr1.engine.scheduler import Ticket
from pocketr1.server.backend import Alternative, Begun, Ended, Event, Piece, TokenLogprob

__all__ = ["ReplyEvents"]


class ReplyEvents:
    """Reads one ticket between the turns of the scheduler, and steers it.

    constraint: what the answer must match; it comes into force where the answer begins.
    """

    def __init__(
        self,
        index: int,
        assembly: ReplyAssembly,
        tokenizer: Tokenizer,
        *,
        top_logprobs: int | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.index = index
        self.ended = False
        self._assembly = assembly
        self._tokenizer = tokenizer
        self._top_logprobs = top_logprobs
        self._constraint = constraint
        self._read = 0
        # Tokens whose text is held back.
        self._silent: list[int] = []

    @property
    def tokens(self) -> int:
        """How many tokens it has read."""
        return self._read

    def begin(self, ticket: Ticket) -> None:
        """Say what is wanted of the tokens to come."""
        ticket.generation.top_logprobs = self._top_logprobs
        if self._assembly.in_answer:
            ticket.generation.constraint = self._constraint

    def begun(self, ticket: Ticket, thinking: bool) -> Begun:
        """Return the event of a prompt that is computed."""
        generation = ticket.generation
        cached = generation.reused_tokens + generation.restored_tokens
        return Begun(generation.prompt_tokens, cached, generation.seed, thinking)

    def take(self, ticket: Ticket) -> list[Event]:
        """Return what has come since; ``ended`` is set where the reply is over with it.

        The ticket may have to be cancelled then: the reply knows ends of its own.
        """
        generation = ticket.generation
        events: list[Event] = []
        while self._read < len(generation.token_ids) and not self.ended:
            token = generation.token_ids[self._read]
            self._read += 1
            last = self._read == len(generation.token_ids)
            events += self._push(ticket, token, generation.finish_reason if last else None)
        if generation.finish_reason is not None and not self.ended:
            deltas = self._assembly.end(generation.finish_reason)
            events += [Piece(self.index, delta.kind, delta.text) for delta in deltas]
            events.append(self._end(ticket))
        return events

    def _push(self, ticket: Ticket, token: int, finish_reason: str | None) -> list[Event]:
        generation, assembly = ticket.generation, self._assembly
        was_answer = assembly.in_answer
        pushed = assembly.push(token, finish_reason)
        if pushed.forced:
            generation.force(pushed.forced)
        pieces = [Piece(self.index, delta.kind, delta.text) for delta in pushed.deltas]
        kind: Literal["reasoning", "answer"] = "answer" if was_answer else "reasoning"
        self._silent.append(token)
        scores: tuple[TokenLogprob, ...] = ()
        if self._top_logprobs is not None:
            pieces = pieces or [Piece(self.index, kind, "")]
            scores = (self._logprob(token, generation.scores[self._read - 1]),)
        if pieces:
            first = pieces[0]
            ids = tuple(self._silent)
            pieces[0] = Piece(self.index, first.kind, first.text, ids, scores)
            self._silent.clear()
        events: list[Event] = [*pieces]
        if pushed.finish_reason is not None:
            events.append(self._end(ticket))
        elif assembly.in_answer and not was_answer:
            self._begin_answer(ticket)
        return events

    def _begin_answer(self, ticket: Ticket) -> None:
        """Let the constraint come into force behind the thought's end and its empty line."""
        if self._constraint is None:
            return
        ticket.generation.constraint = self._constraint
        if not ticket.generation.is_forced:
            # R1 goes on with an empty line, which no grammar knows.
            ticket.generation.force(self._tokenizer.encode_markup("\n\n"))

    def _end(self, ticket: Ticket) -> Ended:
        self.ended = True
        generation, assembly = ticket.generation, self._assembly
        tokens = len(generation.token_ids)
        reason = assembly.finish_reason
        if reason not in ("stop", "length"):
            reason = "cancelled"
        return Ended(
            self.index,
            cast('Literal["stop", "length", "cancelled"]', reason),
            completion_tokens=tokens,
            reasoning_tokens=tokens - assembly.answer_tokens,
            context_full=generation.context_full and reason == "length",
            thought_closed=assembly.thought_closed,
            answer_closed=assembly.answer_closed,
            stop_string=assembly.stop_string,
            queue_seconds=ticket.queue_seconds,
            prefill_seconds=ticket.prefill_seconds,
            decode_seconds=ticket.decode_seconds,
        )

    def _logprob(self, token: int, score: TokenScore) -> TokenLogprob:
        return TokenLogprob(
            self._alternative(token, score.logprob),
            tuple(self._alternative(other, logprob) for other, logprob in score.top),
        )

    def _alternative(self, token: int, logprob: float) -> Alternative:
        data = self._tokenizer.decode_bytes(token)
        if data is None:
            data = self._tokenizer.decode([token], skip_special=False).encode()
        return Alternative(token, data, logprob)
