"""From the thread that computes to the event loops that read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType

from pocketr1.server.backend import Event

__all__ = ["Mailbox", "Post"]


class Mailbox:
    """The events of one task that nobody has read yet.

    It holds no more than the answers' own length: a slow reader costs their text, and holds up
    nobody. Used by the loop's thread alone.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._trace: TracebackType | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, events: Iterable[Event], error: Exception | None = None) -> None:
        """Add events; ``error`` comes behind them, and nothing comes behind it."""
        self._events.extend(events)
        if self._error is None and error is not None:
            self._error, self._trace = error, error.__traceback__
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> list[Event]:
        """Wait for events and return all there are; raises the error when they have been taken."""
        while not self._events:
            if self._error is not None:
                # Others may raise the same one: none of them is to see where that was.
                raise self._error.with_traceback(self._trace)
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        events, self._events = self._events, []
        return events


class Post:
    """Events on their way, so that a turn of the scheduler wakes each loop once."""

    def __init__(self) -> None:
        self._letters: dict[Mailbox, tuple[list[Event], Exception | None]] = {}

    def add(
        self, mailbox: Mailbox, events: Iterable[Event] = (), error: Exception | None = None
    ) -> None:
        """Address events, and perhaps an error behind them."""
        waiting, known = self._letters.get(mailbox, ([], None))
        waiting.extend(events)
        self._letters[mailbox] = (waiting, known or error)

    def send(self) -> list[Mailbox]:
        """Hand all over; return the mailboxes whose loop is closed."""
        loops: dict[asyncio.AbstractEventLoop, list[Mailbox]] = {}
        for mailbox in self._letters:
            loops.setdefault(mailbox.loop, []).append(mailbox)
        lost = []
        for loop, mailboxes in loops.items():
            letters = [(mailbox, *self._letters[mailbox]) for mailbox in mailboxes]
            try:
                loop.call_soon_threadsafe(_deliver, letters)
            except RuntimeError:  # the loop is closed
                lost += mailboxes
        self._letters = {}
        return lost


def _deliver(letters: list[tuple[Mailbox, list[Event], Exception | None]]) -> None:
    for mailbox, events, error in letters:
        mailbox.put(events, error)
