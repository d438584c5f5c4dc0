"""The routes of OpenAI's protocol."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pocketr1.server.backend import Backend
from pocketr1.server.guard.limits import Limits

__all__ = ["routes"]


def routes(backend: Backend, limits: Limits) -> list[BaseRoute]:
    """Return the routes."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return [Route("/health", health, methods=["GET"])]
