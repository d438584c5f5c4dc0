"""Server-sent events, and work that ends when its client goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: How long a stream may say nothing before a comment keeps its connection open.
KEEP_ALIVE_SECONDS = 10.0
KEEP_ALIVE = ": keep-alive\n\n"

__all__ = [
    "KEEP_ALIVE",
    "KEEP_ALIVE_SECONDS",
    "ClientGoneError",
    "EventStream",
    "Patient",
    "data_line",
    "while_connected",
]

T = TypeVar("T")


class ClientGoneError(Exception):
    """Nobody waits for the response any more."""


class Patient(Generic[T]):
    """Reads a generator and says when it has nothing to say.

    It must be closed, whatever happens. Each item is awaited by a task of its own, so that waiting
    can end without ending the generator.
    """

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source
        self._next: asyncio.Task[T] | None = None

    async def next(self, seconds: float) -> T | None:
        """Return the next item, or ``None`` after that many seconds without one.

        Raises StopAsyncIteration at the end, and what the generator raises.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._source))
        done, _ = await asyncio.wait({self._next}, timeout=seconds)
        if not done:
            return None
        task, self._next = self._next, None
        return task.result()

    async def aclose(self) -> None:
        """Close the generator; harmless when it is closed."""
        if self._next is not None:
            self._next.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                await self._next
        await self._source.aclose()


class EventStream(Response):
    """A response of server-sent events: ``source`` yields their text.

    The generator is closed as soon as the client is gone, and ``held`` behind it: a generator that
    has not begun closes nothing itself.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncGenerator[str, None],
        headers: dict[str, str] | None = None,
        *,
        held: Patient[Any] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._source = source
        self._held = held
        # Proxies may neither keep an event back nor answer from a store.
        told = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        self.init_headers(told | (headers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            with suppress(ClientGoneError):
                await _unless_gone(receive, self._send(send))
        finally:
            await self._source.aclose()
            if self._held is not None:
                await self._held.aclose()

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for text in self._source:
            body = text.encode("utf-8")
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def init_headers(self, headers: Any = None) -> None:
        """Set the headers; there is no length."""
        self.body = b""
        super().init_headers(headers)
        self.raw_headers = [h for h in self.raw_headers if h[0] != b"content-length"]


def data_line(document: object) -> str:
    """Return an event that holds JSON."""
    return f"data: {json.dumps(document, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; cancel it when the client goes away.

    The request's body must have been read. Raises ClientGoneError.
    """
    return await _unless_gone(request.receive, work)


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
                await _settled(one)
    raise ClientGoneError


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _settled(task: Awaitable[object]) -> None:
    """Wait until a cancelled task is over; what it raises belongs to nobody."""
    with suppress(asyncio.CancelledError, Exception):
        await task
