"""HTTP on one connection: uvicorn's, with an end to every wait for the client.

uvicorn waits for ever for a request's head, for its body, and for a client that reads nothing.
Which of the two sides is waited for is known from h11's public states, so a timer of ours is set
where that changes: not by each byte, or a byte now and then would keep a connection for good.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pocketr1.server.errors import RequestError, error_body
from pocketr1.server.guard.headers import ALWAYS
from pocketr1.server.guard.limits import Limits

__all__ = ["Connection", "make_protocol"]

# What the system keeps for a client that does not read; its own choice grows to megabytes.
_SEND_BUFFER = 128 << 10
# How long a client that was turned away may take to read why. Closing at once, with bytes of it
# unread, would reset the connection and lose the answer.
_LINGER_SECONDS = 1.0
# More clients than this beyond the limit are not even told.
_LINGERING = 64
# What is read and dropped behind a refused request, so that its client gets to see the refusal.
_DROPPED_BYTES = 64 << 20


class Connection(H11Protocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        limits: Limits,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._phase = ""
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._dropped = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or turn the client away where there are too many."""
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        # The application waits as soon as the system takes no more, and is told when it does.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > self._limits.connections + _LINGERING:
            transport.abort()
            return
        if len(self.connections) > self._limits.connections:
            self._refuse(
                RequestError("server-connections", status=503, limit=self._limits.connections)
            )
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        self._reading = self._writing = None
        self._phase = "lost"
        # The base class does this where there was no error only.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._phase == "refused" or self.transport.is_closing():
            return
        if self._answered() and self.conn.their_state is h11.SEND_BODY:
            self._dropped += len(data)
            if self._dropped > _DROPPED_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        self._read_on()
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._read_on()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to count how long the client takes nothing."""
        super().pause_writing()
        self._writing = self.loop.call_later(
            self._limits.write_seconds, self._writing_stands, self._unsent()
        )

    def resume_writing(self) -> None:
        """Stop counting: everything has been taken."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        too_long = len(self.conn.trailing_data[0]) > self._limits.header_bytes
        if too_long:
            self._refuse(
                RequestError("server-headers", status=431, limit=self._limits.header_bytes)
            )
        else:
            self._refuse(RequestError("server-not-http", status=400))

    def shutdown(self) -> None:
        """Close when the response under way is complete; now, where there is none."""
        try:
            super().shutdown()
        except h11.LocalProtocolError:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        # There are no web sockets here, and a request for one is answered as what else it is.
        return False

    def _read_on(self) -> None:
        """Go on reading while a reply is being made and the next request has begun to come.

        uvicorn stops there, and would not see that the client leaves. What comes waits for its
        turn, as much of it as a request's head may have.
        """
        ahead = self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0])
        if not ahead or self.cycle is None or self.cycle.response_complete:
            return
        if ahead > self._limits.header_bytes:
            self.transport.abort()
        else:
            self.flow.resume_reading()

    def _answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _watch(self) -> None:
        """Set the timer of the phase the connection is in, unless it runs already."""
        if self._phase == "refused" or self.transport.is_closing():
            return
        theirs = self.conn.their_state
        if theirs is h11.IDLE:
            begun = self.cycle is None or bool(self.conn.trailing_data[0])
            phase = "head" if begun else "idle"
        else:
            phase = "body" if theirs is h11.SEND_BODY else "reply"
        if phase == self._phase:
            return
        self._dropped = 0
        self._phase = phase
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        seconds = {
            "head": self._limits.header_seconds,
            "idle": self._limits.idle_seconds,
            "body": self._limits.body_seconds,
        }.get(phase)
        if seconds is not None:
            self._reading = self.loop.call_later(seconds, self._reading_stands)

    def _reading_stands(self) -> None:
        self._reading = None
        if self.transport.is_closing():
            return
        nothing_came = self._phase == "head" and not self.conn.trailing_data[0]
        dropping = self._phase == "body" and self._answered()
        if self._phase == "idle" or nothing_came or dropping:
            self.transport.close()
        else:
            seconds = self._limits.header_seconds
            if self._phase == "body":
                seconds = self._limits.body_seconds
            self._refuse(RequestError("server-slow", status=408, seconds=f"{seconds:g}"))

    def _writing_stands(self, before: int) -> None:
        self._writing = None
        left = self._unsent()
        if left >= before:
            self.transport.abort()
        elif left:
            self._writing = self.loop.call_later(
                self._limits.write_seconds, self._writing_stands, left
            )

    def _refuse(self, error: RequestError) -> None:
        """Answer with an error where an answer can still begin, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The application learns of it as of a client that left, and says no more.
            begun = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if begun:
                self.transport.abort()
                return
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = json.dumps(error_body(error)).encode()
        headers = [
            *ALWAYS,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        events: list[h11.Event] = [
            h11.Response(status_code=error.status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        if self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD":
            del events[1]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self._phase = "refused"
        if self._reading is not None:
            self._reading.cancel()
        self.transport.write_eof()
        self._reading = self.loop.call_later(_LINGER_SECONDS, self.transport.close)


def make_protocol(limits: Limits) -> type[H11Protocol]:
    """Return the class uvicorn makes connections of."""

    class Limited(Connection):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, limits, _loop)

    return Limited
