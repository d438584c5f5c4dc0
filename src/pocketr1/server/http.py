"""Running the server: from the first socket to the last event of the last stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from pocketr1.errors import ServerError
from pocketr1.server.binding import bind, url_of
from pocketr1.server.protocol import make_protocol

if TYPE_CHECKING:
    from pocketr1.server.app import Settings

__all__ = ["RunningServer", "run"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_START_SECONDS = 30.0


def run(app: Starlette, settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; on_ready gets the address to open.

    The first signal closes the listeners, gives the replies under way ``limits.grace_seconds``
    (``app.state.backend.close``; what is left is ended with a proper last event), and returns. The
    second ends the process at once, with the code 128 + its number. Raises UsageError and
    ServerError where it cannot listen or start.
    """
    sockets = bind(settings)
    try:
        server = _Server(app, settings, lambda: on_ready(url_of(sockets[0], settings.host)))
        server.serve_until_stopped(sockets)
    finally:
        for one in sockets:
            one.close()


class RunningServer:
    """A server on a thread of its own, for tests and embedding: ``with RunningServer(…) as s``.

    url: where it is; port 0 in the settings takes a free one. Leaving stops it as a signal does.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        self._sockets = bind(settings)
        self.url = url_of(self._sockets[0], settings.host)
        self.port: int = self._sockets[0].getsockname()[1]
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._server = _Server(app, settings, self._ready.set)
        self._thread = threading.Thread(target=self._run, name="pocketr1-server", daemon=True)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.server_state.connections)

    @property
    def requests(self) -> int:
        """How many requests are being answered."""
        return len(self._server.server_state.tasks)

    def __enter__(self) -> RunningServer:
        self._thread.start()
        ready = self._ready.wait(_START_SECONDS)
        if self._error is not None:
            self._thread.join()
            raise self._error
        if not ready:
            raise ServerError("server-start", reason="TimeoutError")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it, and wait until it has stopped."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.serve_until_stopped(self._sockets)
        except BaseException as error:
            self._error = error
        finally:
            for one in self._sockets:
                one.close()
            self._ready.set()


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette, settings: Settings, on_ready: Callable[[], None]) -> None:
        limits = settings.limits
        self._app = app
        self._limits = limits
        self._on_ready = on_ready
        self._start_error: BaseException | None = None
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
            # Its lines hold paths with their queries, and tracebacks with what was asked.
            logging.getLogger(name).disabled = True
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            loop="asyncio",
            http=make_protocol(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(limits.idle_seconds) + 1,
            timeout_graceful_shutdown=max(1, round(limits.closing_seconds)),
            h11_max_incomplete_event_size=limits.header_bytes,
        )
        super().__init__(config)

    def serve_until_stopped(self, sockets: list[socket.socket]) -> None:
        """Serve; raise what kept the application from starting."""
        ended = ""
        try:
            self.run(sockets)
        except SystemExit as error:  # uvicorn's word for an application that did not start
            ended = f"exit {error.code}"
        if self._start_error is not None:
            raise self._start_error
        if ended:
            raise ServerError("server-start", reason=ended)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_tell_of_loop)
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        backend = getattr(self._app.state, "backend", None)
        if backend is not None:
            seconds = self._limits.grace_seconds
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(backend.close(seconds), seconds + 1)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal stop the server. uvicorn would raise it again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at the second time, at once."""
        if self.should_exit:
            # Nothing is to be saved: stores are written so that a crash loses little.
            os._exit(128 + sig)
        self.should_exit = True

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and keep what it raises while it starts."""
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            if scope["type"] == "lifespan" and not self.started:
                self._start_error = error
            raise


def _tell_of_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what failed in a callback by its kind alone: its text may be somebody's prompt."""
    error = context.get("exception")
    if error is not None and not isinstance(error, ConnectionError | asyncio.CancelledError):
        print(f"pocketr1: {type(error).__name__} in the server's loop", file=sys.stderr)
