"""The routes of OpenAI's protocol, and those that say how the server fares."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from pocketr1.server.guard.limits import Limits
from pocketr1.server.metrics import Metered
from pocketr1.server.openai.chat import ChatCompletions
from pocketr1.server.openai.completions import Completions
from pocketr1.server.openai.state import State
from pocketr1.server.openai.texts import Texts

__all__ = ["routes"]


def routes(backend: Metered, limits: Limits) -> list[BaseRoute]:
    """Return the routes."""
    texts = Texts(backend, limits)
    state = State(backend)
    return [
        Route("/v1/chat/completions", ChatCompletions(backend, limits).create, methods=["POST"]),
        Route("/v1/completions", Completions(backend, limits).create, methods=["POST"]),
        Route("/v1/models", state.models, methods=["GET"]),
        Route("/v1/models/{id:path}", state.model, methods=["GET"]),
        Route("/v1/cache", state.cache, methods=["GET"]),
        Route("/v1/cache", state.drop_cache, methods=["DELETE"]),
        Route("/tokenize", texts.tokenize, methods=["POST"]),
        Route("/detokenize", texts.detokenize, methods=["POST"]),
        Route("/apply-template", texts.apply_template, methods=["POST"]),
        Route("/health", state.health, methods=["GET"]),
        Route("/metrics", state.metrics, methods=["GET"]),
    ]
