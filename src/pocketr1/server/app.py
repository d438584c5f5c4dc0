"""The application: what is served, on which routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from pocketr1.errors import PocketR1Error
from pocketr1.server import openai, openapi, page
from pocketr1.server.backend import Backend
from pocketr1.server.conversations import Conversations
from pocketr1.server.errors import RequestError, error_response
from pocketr1.server.guard.guard import Guard
from pocketr1.server.guard.limits import Limits
from pocketr1.server.metrics import CountRequests, Metered
from pocketr1.server.streams import ClientGoneError

__all__ = ["Settings", "build_app", "closing"]

AnyBackend = TypeVar("AnyBackend", bound=Backend)


@dataclass(frozen=True)
class Settings:
    """What the server was told.

    host, port: where it listens. api_key: what a request must bring, ``None`` for nothing.
    allowed_hosts: more names by which it may be asked (``Host`` header). allowed_origins: more
    origins whose pages may ask. log_prompts: write prompts to the log. data: where conversations
    lie, ``None`` for the default directory. page: serve the page for people.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    log_prompts: bool = False
    limits: Limits = field(default_factory=Limits)
    data: Path | None = None
    page: bool = True


def build_app(backend: Backend, settings: Settings) -> Starlette:
    """Return the ASGI application that serves ``backend``."""
    metered = Metered(backend)
    conversations = Conversations(metered, settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await conversations.close()

    app = Starlette(
        routes=_routes(metered, settings, conversations),
        lifespan=lifespan,
        middleware=[
            Middleware(CountRequests, metrics=metered.metrics),
            Middleware(Guard, settings=settings),
        ],
        exception_handlers={
            PocketR1Error: _known,
            HTTPException: _of_routing,
            ClientGoneError: _gone,
        },
    )
    app.state.backend = metered
    app.state.settings = settings
    return app


@contextmanager
def closing(backend: AnyBackend) -> Iterator[AnyBackend]:
    """Close a backend at the end, where no event loop runs; harmless when it is closed."""
    try:
        yield backend
    finally:
        asyncio.run(backend.close())


def _routes(backend: Metered, settings: Settings, conversations: Conversations) -> list[BaseRoute]:
    routes = [*openai.routes(backend, settings.limits), *conversations.routes()]
    people = page.routes() if settings.page else []
    return [*routes, openapi.route(routes), *people]


async def _known(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PocketR1Error)
    return error_response(error)


async def _of_routing(request: Request, error: Exception) -> Response:
    """Answer for starlette's router: no such route, or not this method."""
    assert isinstance(error, HTTPException)
    code = {404: "request-route", 405: "request-method"}.get(error.status_code, "request-refused")
    path = request.url.path[:200]
    known = RequestError(code, status=error.status_code, path=path, method=request.method[:20])
    response = error_response(known)
    response.headers.update(error.headers or {})
    return response


async def _gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody: the client has gone."""
    return Response(status_code=499)
