"""``/tokenize``, ``/detokenize`` and ``/apply-template``: what the model gets to see."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketr1.server.backend import Backend
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.body import read_json
from pocketr1.server.guard.limits import Limits
from pocketr1.server.openai.answers import Detokenized, Templated, Tokenized
from pocketr1.server.openai.chat_request import ChatFields, refuse_media
from pocketr1.server.openapi import operation
from pocketr1.server.validation import Fields, checked

__all__ = ["Texts"]

TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]


class TokenizeRequest(Fields):
    """The body of ``/tokenize``: content, or prompt, which means the same.

    added_tokens: let ``<think>`` and the like count as tokens; in a message they are text.
    """

    content: str | None = None
    prompt: str | None = None
    added_tokens: bool | None = None


class DetokenizeRequest(Fields):
    """The body of ``/detokenize``."""

    tokens: list[TokenId]


class TemplateRequest(ChatFields):
    """The body of ``/apply-template``: those fields of a chat request that make its prompt."""


class Texts:
    """Answers about texts, tokens and prompts."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits

    @operation("Tokenize a text", request=TokenizeRequest, answers={200: Tokenized})
    async def tokenize(self, request: Request) -> Response:
        """Answer ``/tokenize``."""
        asked = checked(TokenizeRequest, await read_json(request, self._limits))
        if (asked.content is None) == (asked.prompt is None):
            raise RequestError("request-one-of", param="content", names="content, prompt")
        text = asked.content if asked.content is not None else asked.prompt or ""
        ids = await self._backend.tokenize(text, added_tokens=bool(asked.added_tokens))
        most = self._backend.facts.max_context
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": most})

    @operation("The text of tokens", request=DetokenizeRequest, answers={200: Detokenized})
    async def detokenize(self, request: Request) -> Response:
        """Answer ``/detokenize``."""
        asked = checked(DetokenizeRequest, await read_json(request, self._limits))
        return JSONResponse({"content": await self._backend.detokenize(asked.tokens)})

    @operation("The prompt of a conversation", request=TemplateRequest, answers={200: Templated})
    async def apply_template(self, request: Request) -> Response:
        """Answer ``/apply-template``."""
        body = await read_json(request, self._limits)
        refuse_media(body)
        asked = checked(TemplateRequest, body)
        asked.check_chat(self._limits)
        found = await self._backend.encode(asked.prompt(), think=asked.think)
        ids = list(found.ids)
        return JSONResponse(
            {"prompt": found.text, "tokens": ids, "count": len(ids), "thinking": found.thinking}
        )
