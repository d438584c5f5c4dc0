"""Many answers at once: requests join and leave between the steps of one engine."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pocketr1.engine.capacity import SchedulerOptions, kept_limit, most_running, page_limit
from pocketr1.engine.chunk import ChunkSize
from pocketr1.engine.generation import Generation, Request, shared_prefix
from pocketr1.engine.governor import PausedError
from pocketr1.engine.pages import PAGE_TOKENS, Pages
from pocketr1.engine.prefixes import Kept, KeptPages, Prefixes
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.shares import share_rows
from pocketr1.engine.ticket import Ticket
from pocketr1.engine.tokens import TokenArray
from pocketr1.errors import BusyError, CancelledError, ContextFullError, EngineError, UsageError

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine
    from pocketr1.engine.governor import Governor

__all__ = ["Scheduler", "SchedulerOptions", "Ticket"]

# Waiting until somebody else has computed a shared beginning pays from so many tokens on.
_LEAST_SHARED = 16
# Of a reply that nothing is known about, for the first estimates of when to ask again.
_FIRST_REPLY_SECONDS = 5.0
_LONGEST_RETRY = 120


class Scheduler:
    """Answers of one engine, computed together; each is, bit for bit, that of ``Engine.generate``.

    Synchronous, and the engine's thread's. :meth:`turn` is one step of the core: a row for each
    answer that streams, and beside them a piece of the prompts that join. Answers are admitted in
    the order in which they came, as slots and pages suffice.

    A prompt's beginning is shared with the running or kept sequence that has most of it, then taken
    from the K/V store; what somebody else is computing just now is waited for. Of the rows for
    prompts, half go to the one that came first, the rest to those with least left: so a short
    question passes a long prompt, which takes at most twice its time.

    Where pages run out, kept ones go first; then the answer that came last loses its own, keeps its
    tokens, and is computed again when there is room. Nothing is ended for memory.

    Raises UsageError (``scheduler-pages``) for fewer pages than one full context takes.
    """

    def __init__(
        self, engine: Engine, options: SchedulerOptions | None = None, *, seen: int | None = None
    ) -> None:
        options = options or SchedulerOptions()
        engine._check_usable()
        self.engine = engine
        self.most_running = most_running(engine, options.running)
        self.most_waiting = options.waiting
        self.page_limit = page_limit(engine, options.kv_pages, self.most_running)
        self.pages = Pages()
        kept = kept_limit(self.page_limit, options.kept_pages)
        self.prefixes = Prefixes(engine, self.pages, kept)
        self.preempted = self.refused = self.steps = 0
        self.step_seconds = 0.0
        self._chunk = ChunkSize(options.chunk)
        self._waiting: deque[Ticket] = deque()
        self._running: list[Ticket] = []  # by number: who came first
        self._told: list[Ticket] = []
        # Whether a turn that pauses for heat is to end with nothing done.
        self.interrupted: Callable[[], bool] = lambda: False
        self._numbers = 0
        # The engine's cancels that have been heeded.
        self._seen = engine._cancels if seen is None else seen
        # Whether somebody left since the first in the queue did not fit.
        self._changed = True
        self._governor: Governor | None = None
        self._kept_pages = KeptPages(engine, self.prefixes, self.pages)
        self._reply_seconds = _FIRST_REPLY_SECONDS

    @property
    def running(self) -> int:
        """Answers that hold pages."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Answers that wait for their turn, or for another's beginning of the same prompt."""
        return len(self._waiting)

    @property
    def pages_running(self) -> int:
        """Pages that answers hold which are being computed."""
        sequences = (ticket.generation._sequence for ticket in self._running)
        return self.pages.held(sequence for sequence in sequences if sequence is not None)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._running and not self._waiting

    def check(self, request: Request) -> None:
        """Raise ContextFullError for a prompt that can never be answered."""
        tokens = len(request.ids)
        if tokens > self.engine.max_context and not request.slide:
            raise ContextFullError("context-too-long", tokens=tokens, limit=self.engine.max_context)

    def submit(self, *requests: Request) -> list[Ticket]:
        """Let answers join, all of them or none; they begin in the next turns.

        Raises ContextFullError (``context-too-long``); UsageError (``scheduler-too-many``) for more
        than could ever wait; BusyError (``server-busy``) where the queue is full.
        """
        for request in requests:
            self.check(request)
        room = self.most_running + self.most_waiting
        if len(requests) > room:
            raise UsageError("scheduler-too-many", value=len(requests), limit=room)
        missing = self.running + self.waiting + len(requests) - room
        if missing > 0:
            self.refused += 1
            retry_after = self._retry_after(missing)
            raise BusyError("server-busy", retry_after=retry_after, waiting=self.waiting)
        tickets = []
        for request in requests:
            generation = Generation(self.engine, request, None, (), None)
            generation._own_sequence = False
            generation._cancels_seen = self._seen
            tickets.append(Ticket(self._numbers, generation, perf_counter()))
            self._numbers += 1
        self._waiting.extend(tickets)
        return tickets

    def _retry_after(self, places: int) -> int:
        """When so many places may be free, seconds: an estimate by the replies so far.

        Those under way count as far as they have come, where that is longer than replies took.
        """
        now = perf_counter()
        ages = [now - ticket.begun for ticket in self._running if ticket.begun is not None]
        seconds = max(self._reply_seconds, sum(ages) / max(1, len(ages)))
        return max(1, min(round(seconds * places / self.most_running), _LONGEST_RETRY))

    def cancel(self, ticket: Ticket) -> None:
        """End an answer whose reader has gone; its pages are free, or kept, at once."""
        if not ticket.done:
            ticket.generation.close()
            self._leave(ticket)

    def cancel_all(self, reason: Literal["closed", "cancelled"] = "cancelled") -> list[Ticket]:
        """End every answer; return them."""
        tickets = [*self._running, *self._waiting]
        for ticket in tickets:
            ticket.generation._end(reason)
            self._leave(ticket)
        return tickets

    def turn(self) -> list[Ticket]:
        """Compute one step; return the answers that have got a token, or ended.

        An error of one answer is its ticket's; one of the step itself is that of all that took
        part. ``Engine.cancel`` ends every answer with finish_reason ``cancelled``.
        """
        self._told = []
        self.engine._check_usable()
        self._be_governed_by(self.engine._governor)
        try:
            if self.engine._cancels != self._seen:
                raise CancelledError("cancelled")
            self.prefixes.hand_over()
            self._admit()
            self._step()
        except CancelledError:
            self._seen = self.engine._cancels
            self._told += self.cancel_all()
        return self._told

    def tend(self) -> bool:
        """Do what is left to do while nobody asks; return whether some remains for later."""
        self.engine._check_usable()
        return self.prefixes.hand_over()

    def forget(self) -> None:
        """Give up what is kept; the K/V store gets no more of it, nor of what is being computed."""
        for ticket in self._running:
            ticket.turn = None
        self.prefixes.forget()

    def close(self) -> None:
        """End every answer and free all pages. Harmless twice."""
        self.cancel_all("closed")
        self.prefixes.clear()
        self._be_governed_by(None)

    # Joining.

    def _admit(self) -> None:
        """Begin waiting answers in their order, as slots and pages suffice."""
        awaiting = 0
        for ticket in list(self._waiting):
            if self.running + awaiting >= self.most_running:
                return
            if self._awaited(ticket):
                awaiting += 1
                continue
            if not self._changed:
                return
            try:
                began = self._begin(ticket)
            except CancelledError:
                raise
            except Exception as error:
                if self._is_memory(error) and ticket in self._running and self._free_some(ticket):
                    return
                self._fail(ticket, error)
                continue
            if began is None:
                awaiting += 1
            elif not began:
                self._changed = False
                return

    def _awaited(self, ticket: Ticket) -> bool:
        """Whether somebody is still computing a beginning of its prompt."""
        if ticket.awaits is None:
            return False
        source, shared = ticket.awaits
        sequence = source.generation._sequence
        if source.done or sequence is None or len(sequence) >= shared:
            ticket.awaits = None
            self._changed = True
            return False
        return True

    def _begin(self, ticket: Ticket) -> bool | None:
        """Give an answer the pages there are of its text; False: no room, None: it waits."""
        generation = ticket.generation
        if generation.token_ids and generation._must_slide:
            generation._forget_oldest()
        seen = ticket._seen
        shared, source = self._longest(seen)
        coming = self._coming(seen, shared)
        if coming is not None:
            ticket.awaits = coming
            return None
        sequence = self._fork(source, min(shared, len(seen) - 1))
        if isinstance(source, Kept):
            self.prefixes.used(source)  # so that it is the last to make room
        if not self._make_room(sequence, len(seen) + 1):
            self._drop(sequence)
            return False
        self._waiting.remove(ticket)
        insort(self._running, ticket, key=lambda one: one.number)
        generation._sequence = sequence
        if ticket.begun is None:
            ticket.begun = perf_counter()
        held = len(sequence)
        ticket.turn_seconds = 0.0
        try:
            ticket.todo, ticket.turn = generation._begin()
        finally:
            if len(sequence) != held:  # pages of the store, behind the whole ones that were there
                self.pages.resize(sequence, held // PAGE_TOKENS * PAGE_TOKENS)
                self.pages.resize(sequence, len(sequence))
        return True

    def _longest(self, seen: TokenArray) -> tuple[int, Ticket | Kept | None]:
        """Return who holds most of a text, and how many tokens of it."""
        source: Ticket | Kept | None
        shared, source = self.prefixes.longest(seen)
        for ticket in self._running:
            sequence = ticket.generation._sequence
            assert sequence is not None
            if sequence._adapter_changes != self.engine._adapter_changes:
                continue
            one = shared_prefix(np.asarray(sequence._tokens[: len(seen)], np.int32), seen)
            if one > shared:
                shared, source = one, ticket
        return shared, source

    def _coming(self, seen: TokenArray, shared: int) -> tuple[Ticket, int] | None:
        """Return who is about to compute more than ``shared`` tokens of a text, and how many."""
        best = min(shared + _LEAST_SHARED, len(seen) - 1)
        found = None
        for ticket in self._running:
            sequence, todo = ticket.generation._sequence, ticket.todo
            assert sequence is not None and todo is not None
            if len(todo) == 1 or sequence._adapter_changes != self.engine._adapter_changes:
                continue
            text = np.concatenate([np.asarray(sequence._tokens, np.int32), todo])
            one = min(shared_prefix(text, seen), len(seen) - 1)
            if one > shared and one >= best:
                best, found = one, (ticket, one)
        return found

    def _fork(self, source: Ticket | Kept | None, length: int) -> Sequence:
        if source is None or length < 1:
            sequence = self.engine.sequence()
            self.pages.add(sequence)
            return sequence
        origin = source.sequence if isinstance(source, Kept) else source.generation._sequence
        assert origin is not None
        sequence = origin.fork(length)
        self.pages.fork(origin, sequence, length)
        return sequence

    # Pages.

    def _wanted(self, sequence: Sequence, length: int) -> int:
        """Return the pages an answer needs to begin: its prompt's, and some for all to go on."""
        length = min(length, self.engine.max_context)
        needed = self.pages.needed(sequence, length)
        if not self._running:
            return needed
        coming = sum(
            self.pages.needed(s, min(len(s) + len(t.todo) + 1, self.engine.max_context))
            for t in self._running
            if (s := t.generation._sequence) is not None and t.todo is not None
        )
        return needed + coming + self.running

    def _make_room(self, sequence: Sequence, length: int) -> bool:
        """Give up kept pages until an answer fits that begins with so many tokens; or return False.

        None are given up in vain.
        """
        if self.pages.used + self._wanted(sequence, length) <= self.page_limit:
            return True
        if self._running:
            kept = set(self.prefixes.sequences)
            held = self.pages.held(s for s in self.pages if s not in kept)
            if held + self._wanted(sequence, length) > self.page_limit:
                return False
        while self.pages.used + self._wanted(sequence, length) > self.page_limit:
            if not self.prefixes.evict():
                return False
        return True

    def _room_for(self, ticket: Ticket, rows: int, reserved: int) -> int | None:
        """See that the next rows of an answer find pages behind those reserved for others.

        Returns how many they take, ``None`` where the answer has lost its own instead.
        """
        sequence = ticket.generation._sequence
        assert sequence is not None
        while True:
            needed = self.pages.needed(sequence, len(sequence) + rows)
            if self.pages.used + reserved + needed <= self.page_limit:
                return needed
            if not self.prefixes.evict():
                last = self._running[-1]
                self._preempt(last)
                if last is ticket:
                    return None

    def _preempt(self, ticket: Ticket) -> None:
        """Take an answer's pages; it stands first in the queue then, and goes on later."""
        self._running.remove(ticket)
        generation = ticket.generation
        assert generation._sequence is not None
        if ticket.turn is not None:
            ticket.turn.step()
        self._drop(generation._sequence)
        generation._sequence = None
        ticket.todo = ticket.turn = None
        ticket.preempted += 1
        self.preempted += 1
        self._changed = True
        self._waiting.appendleft(ticket)

    def _drop(self, sequence: Sequence) -> None:
        self.pages.remove(sequence)
        sequence.close()

    # One step.

    def _step(self) -> None:
        for ticket in self._running:
            if ticket.generation._must_slide:
                self._slide(ticket)
        work = []
        reserved = 0
        streams = sum(ticket._streams for ticket in self._running)
        for ticket, rows in share_rows(self._running, self._waiting, self._chunk.rows(streams)):
            if ticket in self._running:  # an earlier one may have taken its pages
                needed = self._room_for(ticket, rows, reserved)
                if needed is not None:
                    reserved += needed
                    work.append((ticket, rows))
        if not work:
            return
        began = perf_counter()
        try:
            logits = self._compute(work)
        except PausedError:
            return
        except BaseException as error:
            self._restore(work)
            if isinstance(error, CancelledError) or not isinstance(error, Exception):
                raise
            self._failed(work, error)
            return
        seconds = perf_counter() - began
        self._note(work, seconds)
        row = 0
        for ticket, rows in work:
            sequence, todo = ticket.generation._sequence, ticket.todo
            assert sequence is not None and todo is not None
            sequence._tokens.extend(todo[:rows].tolist())
            self.pages.resize(sequence, len(sequence))
            ticket.todo = todo[rows:]
            if len(todo) == rows:
                self._take(ticket, logits[row])
                row += 1

    def _compute(self, work: list[tuple[Ticket, int]]) -> npt.NDArray[np.float32]:
        """Compute the rows; return the logits of those whose text is complete with them."""
        handles, positions, ids, wanted = [], [], [], []
        place = 0
        for ticket, rows in work:
            sequence, todo = ticket.generation._sequence, ticket.todo
            assert sequence is not None and todo is not None
            begin = len(sequence)
            handles.append(np.full(rows, sequence._handle, np.int32))
            positions.append(np.arange(begin, begin + rows, dtype=np.int32))
            ids.append(todo[:rows])
            place += rows
            if rows == len(todo):
                wanted.append(place - 1)
        return self.engine._step_rows(
            np.concatenate(handles),
            np.concatenate(positions),
            np.concatenate(ids),
            np.array(wanted, np.int32),
            seen=self._seen,
            interrupted=self.interrupted,
        )

    def _restore(self, work: list[tuple[Ticket, int]]) -> None:
        for ticket, _ in work:
            sequence = ticket.generation._sequence
            if sequence is not None:
                sequence._restore(len(sequence))

    def _note(self, work: list[tuple[Ticket, int]], seconds: float) -> None:
        streams = sum(ticket._streams for ticket, _ in work)
        total = sum(rows for _, rows in work)
        self._chunk.took(streams, total - streams, seconds)
        self.steps += 1
        self.step_seconds += seconds
        for ticket, rows in work:
            if not ticket._streams:
                ticket.turn_seconds += seconds * rows / total

    def _take(self, ticket: Ticket, logits: npt.NDArray[np.float32]) -> None:
        """Let an answer draw its next token."""
        generation = ticket.generation
        if ticket.first is None:
            ticket.first = perf_counter()
            generation.prefill_seconds = ticket.first - (ticket.begun or ticket.first)
            if ticket.turn is not None:
                computed = generation.prompt_tokens - generation.reused_tokens
                computed -= generation.restored_tokens
                ticket.turn.computed(computed, ticket.turn_seconds)
        elif ticket.turn is not None:
            ticket.turn.step()
        try:
            generation._take(logits)
        except Exception as error:
            self._fail(ticket, error)
            return
        self._told.append(ticket)
        if generation.finish_reason is not None:
            self._leave(ticket)
            return
        length = generation._length
        ticket.todo = generation._history[length - 1 : length]

    def _slide(self, ticket: Ticket) -> None:
        """Let an answer give up its oldest tokens; the others are computed anew, as a prompt is."""
        generation, sequence = ticket.generation, ticket.generation._sequence
        assert sequence is not None
        if ticket.turn is not None:
            ticket.turn.finish()  # the prompt's pages are about to go
            ticket.turn = None
        ticket.todo = generation._forget_oldest()
        sequence._restore(len(sequence))
        sequence._truncate(generation._window.first)
        self.pages.resize(sequence, len(sequence))

    # Leaving.

    def _failed(self, work: list[tuple[Ticket, int]], error: Exception) -> None:
        """Let all that took part in a step end with its error; memory that ran out is made."""
        if self._is_memory(error) and self._free_some(self._running[-1]):
            return
        for ticket, _ in work:
            self._fail(ticket, error)

    @staticmethod
    def _is_memory(error: Exception) -> bool:
        """Whether the system has no memory left for another page."""
        return isinstance(error, EngineError) and error.code == "memory"

    def _free_some(self, last: Ticket) -> bool:
        """Give the system memory back, at the cost of what is kept or of the last answer."""
        if len(self.prefixes):
            self.prefixes.drop()
            if last.todo is None:
                self._preempt(last)
        elif self.running > 1:
            self._preempt(last)
        else:
            return False
        self.engine.trim_pages()
        return True

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        ticket.error = error
        ticket.generation.close()
        self._leave(ticket)
        self._told.append(ticket)

    def _leave(self, ticket: Ticket) -> None:
        """Take an answer that has ended out; what it computed is kept, or goes."""
        ticket.ended = perf_counter()
        generation = ticket.generation
        generation.decode_seconds = ticket.decode_seconds
        if ticket in self._running:
            self._running.remove(ticket)
        else:
            self._waiting.remove(ticket)
        sequence, turn = generation._sequence, ticket.turn
        if not self.engine._may_read(sequence, generation):
            turn = None
        generation._sequence = ticket.todo = ticket.turn = None
        ticket.awaits = None
        self._changed = True
        if ticket.begun is not None and ticket.error is None:
            seconds = ticket.ended - ticket.begun
            self._reply_seconds += 0.2 * (seconds - self._reply_seconds)
        if sequence is None:
            return
        if ticket.error is not None:
            self._drop(sequence)
            return
        self.prefixes.keep(sequence, generation.prompt_tokens, turn)

    def _be_governed_by(self, governor: Governor | None) -> None:
        """Let the engine's governor take kept pages back, and the one before no more."""
        if governor is not self._governor:
            if self._governor is not None:
                self._governor.remove(self._kept_pages)
            self._governor = governor
            if governor is not None:
                governor.add(self._kept_pages)
