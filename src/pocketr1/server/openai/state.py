"""``/v1/models``, ``/v1/cache``, ``/health`` and ``/metrics``: what there is, and how it fares."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pocketr1.server.errors import RequestError
from pocketr1.server.metrics import Metered
from pocketr1.server.openai.answers import CacheState, Health, ModelInfo, ModelList
from pocketr1.server.openapi import operation

__all__ = ["State"]


class State:
    """Answers about the model and the server."""

    def __init__(self, backend: Metered) -> None:
        self._backend = backend

    @operation("The models", answers={200: ModelList})
    async def models(self, _request: Request) -> Response:
        """Answer ``/v1/models``."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    @operation("One model", answers={200: ModelInfo}, errors=(404,))
    async def model(self, request: Request) -> Response:
        """Answer ``/v1/models/{id}``."""
        name = request.path_params["id"]
        if name != self._backend.facts.name:
            known = self._backend.facts.name
            raise RequestError(
                "request-model", status=404, param="id", name=name[:100], known=known
            )
        return JSONResponse(self._model())

    @operation("What is kept of prompts", answers={200: CacheState})
    async def cache(self, _request: Request) -> Response:
        """Answer ``/v1/cache``."""
        found = await self._backend.cached()
        store = None
        if found.store_path is not None:
            store = {
                "path": found.store_path,
                "pages": found.store_pages,
                "bytes": found.store_bytes,
            }
        memory = {"pages": found.pages, "bytes": found.bytes}
        return JSONResponse({"memory": memory, "store": store})

    @operation("Forget what is kept of prompts", answers={204: None})
    async def drop_cache(self, _request: Request) -> Response:
        """Answer ``DELETE /v1/cache``."""
        await self._backend.drop_cached()
        return Response(status_code=204)

    @operation("Whether it takes requests", answers={200: Health, 503: Health})
    async def health(self, _request: Request) -> Response:
        """Answer ``/health``."""
        if self._backend.closing:
            return JSONResponse({"status": "closing"}, 503)
        if not self._backend.load().alive:
            return JSONResponse({"status": "failed"}, 503)
        return JSONResponse({"status": "ok"})

    @operation("Figures for Prometheus", answers={200: "text/plain"})
    async def metrics(self, _request: Request) -> Response:
        """Answer ``/metrics``."""
        text = self._backend.metrics.text(self._backend)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    def _model(self) -> dict[str, Any]:
        facts = self._backend.facts
        return {
            "id": facts.name,
            "object": "model",
            "created": facts.created,
            "owned_by": "pocketr1",
            "meta": {
                "architecture": facts.architecture,
                "parameters": facts.parameters,
                "weight_bytes": facts.weight_bytes,
                "bits_per_weight": facts.bits_per_weight,
                "max_context": facts.max_context,
            },
        }
