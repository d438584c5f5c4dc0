"""What stands before every route: who asks, from where, and how much."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketr1.errors import PocketR1Error
from pocketr1.server.errors import RequestError, error_response, fault
from pocketr1.server.guard.body import read_json
from pocketr1.server.guard.headers import add_headers
from pocketr1.server.guard.hosts import Hosts
from pocketr1.server.guard.keys import COOKIE, Keys
from pocketr1.server.guard.origins import Origins
from pocketr1.server.guard.shape import METHODS, body_limit, check_shape

if TYPE_CHECKING:
    from pocketr1.server.app import Settings

__all__ = ["Guard"]

_LOG = logging.getLogger("pocketr1.server")
_SESSION = "/api/session"
_SESSION_BYTES = 4096
_SESSION_SECONDS = 30 * 86400
#: What a browser needs before it can be asked for the key, and what a watchdog asks.
_OPEN_PATHS = frozenset(
    {"/", "/health", "/favicon.ico", "/favicon.svg", "/manifest.webmanifest", _SESSION}
)
_OPEN_FOLDER = "/assets/"


class Guard:
    """ASGI middleware around the application.

    In this order: the request's shape, its host, its origin, its key. What it refuses, no route
    sees. It also bounds what a route reads, adds the headers of :mod:`.headers`, and turns an
    exception nobody caught into an answer and a line of the log that names where it was raised and
    its kind: its text may be somebody's prompt.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._limits = settings.limits
        self._log_prompts = settings.log_prompts
        self._hosts = Hosts(settings.host, settings.allowed_hosts)
        self._origins = Origins(settings.allowed_origins)
        self._keys = None if settings.api_key is None else Keys(settings.api_key, self._limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        # What signs a browser in is the key itself.
        log = self._log_prompts and path.rstrip("/") != _SESSION
        body = _Body(scope, receive, body_limit(path, self._limits), log)
        answer = _Answer(send)
        try:
            early = await self._admit(Request(scope, body.receive), answer)
            if early is None:
                await self._app(scope, body.receive, answer.send)
            else:
                await early(scope, body.receive, answer.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, PocketR1Error):
                error = fault(error, f"while answering {scope['method']}")
            # Behind the first byte there is no way to tell but to break off, which uvicorn does.
            if not answer.begun:
                await error_response(error)(scope, body.receive, answer.send)

    async def _admit(self, request: Request, answer: _Answer) -> Response | None:
        """Return the answer where no route is to give one. Raises PocketR1Error to refuse."""
        check_shape(request, self._limits)
        method, path, headers = request.method, request.scope["path"], request.headers
        hosts = headers.getlist("host")
        server = request.scope.get("server")
        host = self._hosts.check(hosts[0] if len(hosts) == 1 else None, server and server[0])
        answer.origin = self._origins.check(method, path, headers, host)
        if method == "OPTIONS":
            if answer.origin is None or "access-control-request-method" not in headers:
                raise RequestError("request-unknown-method", status=405, method=method)
            return self._origins.preflight(headers)
        if self._keys is None:
            return None
        if path == _SESSION:
            return await self._session(request, self._keys)
        if path not in _OPEN_PATHS and not path.startswith(_OPEN_FOLDER):
            self._keys.check(request)
        return None

    async def _session(self, request: Request, keys: Keys) -> Response:
        if request.method == "DELETE":
            keys.sign_out(request)
            answer = Response(status_code=204)
            answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
            return answer
        if request.method != "POST":
            method = request.method
            raise RequestError("request-unknown-method", status=405, method=method)
        document = await read_json(request, replace(self._limits, body_bytes=_SESSION_BYTES))
        key = document.get("key") if isinstance(document, dict) else None
        if not isinstance(key, str):
            raise RequestError("key-field", param="key")
        token = keys.sign_in(key, request)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=_SESSION_SECONDS,
            path="/",
            secure=request.scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return answer


class _Answer:
    """Passes an answer on with the headers that all have."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.origin: str | None = None
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            add_headers(headers)
            headers.add_vary_header("Origin")
            if self.origin is not None:
                headers["access-control-allow-origin"] = self.origin
                headers["access-control-expose-headers"] = "Retry-After"
            if message["status"] == 401:
                headers.setdefault("www-authenticate", 'Bearer realm="pocketr1"')
            if message["status"] == 405:
                headers.setdefault("allow", ", ".join(METHODS))
        await self._send(message)


class _Body:
    """The request's body, no longer than it may be."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, log: bool) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._left = limit
        self._kept: bytearray | None = bytearray() if log else None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            data = message.get("body", b"")
            self._left -= len(data)
            if self._left < 0:
                raise RequestError("body-large", status=413, limit=self._limit)
            if self._kept is not None:
                self._kept += data
                if not message.get("more_body", False):
                    self._log(bytes(self._kept))
                    self._kept = None
        return message

    def _log(self, body: bytes) -> None:
        target = self._scope["path"] + ("?" if self._scope["query_string"] else "")
        target += self._scope["query_string"].decode("ascii", "replace")
        # repr: a line break in a request must not begin a line of the log.
        shown = repr(f"{target} {body.decode('utf-8', 'replace')}")[1:-1]
        _LOG.warning("%s %s", self._scope["method"], shown)
