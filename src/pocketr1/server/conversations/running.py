"""A reply that is being written, whoever listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pocketr1.chat.history import Outcome, StoredMessage
from pocketr1.errors import BusyError, HistoryError, PocketR1Error
from pocketr1.server.backend import Backend, Begun, Ended, Piece, Task
from pocketr1.server.conversations.figures import Figures
from pocketr1.server.conversations.keeper import Keeper

__all__ = ["ALIVE_SECONDS", "RunningReply", "event_text"]

#: A listener hears at least this often that the connection stands.
ALIVE_SECONDS = 15.0
_SAVE_SECONDS = 0.8
_STATS_SECONDS = 0.5
# How often, and after how many seconds, the end of a reply is saved again where that failed.
_RETRY_SECONDS = (0.2, 1.0)
# How often, and for how many seconds in all, a busy model is asked again; and the least between.
_BUSY_TRIES = 10
_BUSY_SECONDS = 300.0
_BUSY_PAUSE = 1.0


class RunningReply:
    """Reads one reply from the model, keeps it, and tells its listeners.

    It goes on when nobody listens. Where the model has no room for it, it waits and asks again, for
    minutes at most. message: the reply as it was begun, whole when ``over``.
    """

    def __init__(
        self, backend: Backend, keeper: Keeper, task: Task, message: StoredMessage
    ) -> None:
        self.message = message
        self.over = False
        self._backend = backend
        self._keeper = keeper
        self._task = task
        self._events: list[str] = []
        self._passing = ""  # the newest event that need not be heard: stats, or waiting
        self._changed = asyncio.Event()
        self._figures = Figures()
        self._texts: dict[str, list[str]] = {"reasoning": [], "answer": []}
        self._saved = {"reasoning": 0, "answer": 0}
        self._ended: Ended | None = None
        self._reader = asyncio.create_task(self._read(), name=f"reply {message.id}")
        self._work = asyncio.create_task(self._keep(), name=f"keep {message.id}")

    async def stop(self) -> StoredMessage:
        """End it here; what has come stays."""
        self._reader.cancel()
        return await self.wait()

    def when_over(self, act: Callable[[], object]) -> None:
        """Call ``act`` on the event loop once it is over."""
        self._work.add_done_callback(lambda _: act())

    async def wait(self) -> StoredMessage:
        """Wait for its end."""
        await asyncio.shield(self._work)
        return self.message

    def heard(self, after: int) -> bool:
        """Whether somebody who has heard event number ``after`` has heard all there will be."""
        return self.over and after >= len(self._events)

    async def listen(self, after: int) -> AsyncIterator[str]:
        """Yield the events behind number ``after`` as text of an event stream, to the last."""
        passed = ""
        while True:
            if after < len(self._events):
                # What has come together goes together.
                fresh = self._events[after:]
                after = len(self._events)
                yield "".join(fresh)
            elif self.over:
                return
            elif self._passing and self._passing is not passed:  # the same may be said twice
                passed = self._passing
                yield passed
            else:
                try:
                    await asyncio.wait_for(self._changed.wait(), ALIVE_SECONDS)
                except asyncio.TimeoutError:
                    yield ": \n\n"

    async def _read(self) -> None:
        """Take the model's events; where it is busy, wait for it."""
        waited, tries = 0.0, 1
        while True:
            try:
                await self._take()
                return
            except BusyError as error:
                pause = max(_BUSY_PAUSE, error.retry_after)
                waited += pause
                if self._events or tries == _BUSY_TRIES or waited > _BUSY_SECONDS:
                    raise
                self._passing = event_text("waiting", {"retry_after": error.retry_after})
                self._wake()
            await asyncio.sleep(pause)
            tries += 1

    async def _take(self) -> None:
        stats_at = 0.0
        async with aclosing(self._backend.generate(self._task)) as events:
            async for event in events:
                if isinstance(event, Begun):
                    self._figures.begin(event)
                    self._publish(
                        "begun",
                        {
                            "prompt_tokens": event.prompt_tokens,
                            "cached_tokens": event.cached_tokens,
                            "thinking": event.thinking,
                        },
                    )
                elif isinstance(event, Piece):
                    self._figures.count(event)
                    if event.text:
                        self._texts[event.kind].append(event.text)
                        self._publish("piece", {"kind": event.kind, "text": event.text})
                    if self._figures.newest - stats_at >= _STATS_SECONDS:
                        stats_at = self._figures.newest
                        self._passing = event_text("stats", self._figures.passing())
                        self._wake()
                else:
                    self._ended = event

    async def _keep(self) -> None:
        """Save what comes, as it comes, and how it ended; then tell that it is over."""
        try:
            while not self._reader.done():
                await asyncio.wait({self._reader}, timeout=_SAVE_SECONDS)
                if not self._reader.done():
                    await self._save()
            self.message = await self._finished(self._outcome())
        except Exception as error:  # a fault of ours; nobody is to wait for ever
            self._reader.cancel()
            self.message = self._unkept(Outcome("failed", error=_told(error)), error)
        self.over = True
        if self.message.state == "failed":
            self._publish("failed", self.message.error or {})
        else:
            self._publish("ended", self.message.to_dict())

    async def _finished(self, outcome: Outcome) -> StoredMessage:
        """Save how it ended, and return the whole reply."""
        reasoning, content = self._unsaved()
        pauses = list(_RETRY_SECONDS)
        while True:
            try:
                return await self._keeper.do(
                    lambda h: h.finish(self.message.id, outcome, reasoning, content)
                )
            except HistoryError as error:
                if not pauses or _is_gone(error):
                    return self._unkept(outcome, error)
            await asyncio.sleep(pauses.pop(0))

    async def _save(self) -> None:
        reasoning, content = self._unsaved()
        if not reasoning and not content:
            return
        counts = {kind: len(texts) for kind, texts in self._texts.items()}
        try:
            await self._keeper.do(lambda h: h.grow(self.message.id, reasoning, content))
        except HistoryError as error:
            if _is_gone(error):  # deleted, here or by another process
                self._reader.cancel()
            return  # a full or busy disk: with the next text
        self._saved = counts

    def _unsaved(self) -> tuple[str, str]:
        reasoning, answer = (
            "".join(self._texts[kind][self._saved[kind] :]) for kind in ("reasoning", "answer")
        )
        return reasoning, answer

    def _outcome(self) -> Outcome:
        stats = self._figures.whole(self._ended)
        if self._reader.cancelled():
            return Outcome("stopped", "cancelled", stats)
        error = self._reader.exception()
        if error is not None:
            return Outcome("failed", None, stats, _told(error))
        reason = "cancelled" if self._ended is None else self._ended.finish_reason
        return Outcome("stopped" if reason == "cancelled" else "done", reason, stats)

    def _unkept(self, outcome: Outcome, error: Exception) -> StoredMessage:
        """Return the reply as it would have been kept; its error says why it was not."""
        return replace(
            self.message,
            content="".join(self._texts["answer"]),
            reasoning="".join(self._texts["reasoning"]),
            state=outcome.state,
            finish_reason=outcome.finish_reason,
            stats=outcome.stats,
            error=outcome.error or _told(error),
        )

    def _publish(self, kind: str, data: Any) -> None:
        if kind == "begun":
            self._passing = ""  # it waits no longer
        self._events.append(event_text(kind, data, len(self._events) + 1))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def event_text(kind: str, data: Any, number: int | None = None) -> str:
    """Return one event of a stream (WHATWG HTML, server-sent events)."""
    name = "" if number is None else f"id: {number}\n"
    # json.dumps leaves no line end in the data.
    return f"{name}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _told(error: BaseException) -> dict[str, str]:
    """Return what a reply's listeners are told of an error."""
    if not isinstance(error, PocketR1Error):
        error = PocketR1Error("server-fault", kind=type(error).__name__)
    return {"message": str(error), "code": error.code}


def _is_gone(error: Exception) -> bool:
    return isinstance(error, HistoryError) and error.code == "history-no-message"
