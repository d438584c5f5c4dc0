"""A running server with short patience, and a client that writes bytes as it likes."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fake_backend import FakeBackend, Script
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pocketr1.server.app import Settings, build_app
from pocketr1.server.guard.body import read_json
from pocketr1.server.guard.limits import Limits
from pocketr1.server.http import RunningServer

__all__ = [
    "CLIENT",
    "ECHO",
    "STREAM",
    "Answer",
    "ask",
    "get",
    "patient",
    "post",
    "serving",
    "talk",
    "until",
]

#: Long enough for a test that must not wait for it, short enough for one that does.
SHORT = Limits(
    header_seconds=0.4,
    body_seconds=0.6,
    idle_seconds=0.5,
    write_seconds=0.5,
    grace_seconds=0.2,
    closing_seconds=1,
)
PATIENCE = 20.0
#: Making a client takes longer than most tests; this one keeps no connection.
CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
#: Routes of the tests beside those of the application: one returns the JSON it gets, one streams.
ECHO = "/test/echo"
STREAM = "/test/stream"
_FDS = Path("/proc/self/fd")


@dataclass
class Answer:
    """What came back: the status (0: nothing, the connection was cut), headers, body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The slug of the error."""
        return str(json.loads(self.body)["error"]["code"])


@contextmanager
def serving(limits: Limits = SHORT, *scripts: Script, **settings: Any) -> Iterator[RunningServer]:
    """Run a server on a fake model."""
    told = Settings(**{"port": 0, "page": False, **settings}, limits=limits)
    app = build_app(FakeBackend(*scripts), told)
    app.router.routes.insert(0, Route(ECHO, _echo(limits), methods=["GET", "POST"]))
    app.router.routes.insert(0, Route(STREAM, _stream))
    with RunningServer(app, told) as server:
        yield server


@contextmanager
def patient(server: RunningServer) -> Iterator[None]:
    """Check that the server lives behind what is done, and that nothing of it is left over."""
    until(lambda: server.connections == 0)
    descriptors, threads = _descriptors(), threading.active_count()
    yield
    until(lambda: server.connections == 0)
    assert CLIENT.get(server.url + "/health").status_code == 200
    until(lambda: server.connections == 0 and server.requests == 0)
    until(lambda: _descriptors() <= descriptors)
    # The loop's resolver or file thread, and the one that parses large bodies.
    until(lambda: threading.active_count() <= threads + 2)


def until(true: Callable[[], bool]) -> None:
    """Wait until ``true()``; it is a failure when it does not become so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def talk(server: RunningServer, *pieces: bytes, half_close: bool = False) -> bytes:
    """Send pieces; return everything that comes until the server closes."""
    came = bytearray()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was cut while we were still talking
        try:
            while data := client.recv(65536):
                came += data
        except ConnectionError:
            pass
    return bytes(came)


def ask(server: RunningServer, *pieces: bytes, half_close: bool = False) -> Answer:
    """Send pieces; return the first answer."""
    came = talk(server, *pieces, half_close=half_close)
    if not came:
        return Answer(0)
    head, _, body = came.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    if "content-length" in headers:
        body = body[: int(headers["content-length"])]
    return Answer(int(lines[0].split(" ")[1]), headers, body)


def get(target: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return the bytes of a GET that ends its connection."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(target: str, body: bytes, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return the bytes of a POST of JSON."""
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _echo(limits: Limits) -> Callable[[Request], Awaitable[Response]]:
    async def echo(request: Request) -> Response:
        return JSONResponse(await read_json(request, limits))

    return echo


async def _stream(request: Request) -> Response:
    """Send ``count`` pieces of ``size`` bytes, ``delay`` seconds apart."""
    wanted = {"count": "10", "size": "10", "delay": "0"} | dict(request.query_params)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(int(wanted["count"])):
            await asyncio.sleep(float(wanted["delay"]))
            yield b"." * int(wanted["size"])
        yield b"over"

    return StreamingResponse(pieces(), media_type="text/event-stream")


def _descriptors() -> int:
    return len(list(_FDS.iterdir())) if _FDS.is_dir() else 0
