"""``/v1/chat/completions``."""

from __future__ import annotations

import secrets
import time
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketr1.server import streams
from pocketr1.server.backend import Backend, Begun, Ended, Event, Piece
from pocketr1.server.guard.body import read_json
from pocketr1.server.guard.limits import Limits
from pocketr1.server.openai.answers import ChatCompletion
from pocketr1.server.openai.chat_reply import ChatReply, Gathered
from pocketr1.server.openai.chat_request import ChatRequest, refuse_media
from pocketr1.server.openai.chunks import stream
from pocketr1.server.openai.fields import told_of
from pocketr1.server.openai.usage import Counter, fingerprint
from pocketr1.server.openapi import operation
from pocketr1.server.validation import checked

__all__ = ["ChatCompletions"]


class ChatCompletions:
    """Answers chats, streaming or not."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits

    @operation(
        "Answer a conversation",
        request=ChatRequest,
        answers={200: ChatCompletion},
        events=True,
        errors=(404,),
    )
    async def create(self, request: Request) -> Response:
        """Answer a request."""
        body = await read_json(request, self._limits)
        refuse_media(body)
        asked = checked(ChatRequest, body)
        asked.check(self._backend.facts, self._limits)
        headers = told_of(asked.ignored())
        if not asked.stream:
            document = await streams.while_connected(request, self._gather(asked))
            return JSONResponse(document, headers=headers)
        chunks = _Chunks(asked, self._head("chat.completion.chunk"))
        return await stream(request, self._backend.generate(asked.task()), chunks, headers)

    async def _gather(self, asked: ChatRequest) -> dict[str, Any]:
        task = asked.task()
        replies = [(ChatReply(asked), Gathered()) for _ in range(task.n)]
        reasons = [""] * task.n
        counter = Counter()
        async with aclosing(self._backend.generate(task)) as events:
            async for event in events:
                if isinstance(event, Begun):
                    counter.begin(event)
                    continue
                reply, gathered = replies[event.index]
                if isinstance(event, Piece):
                    deltas = reply.take(event)
                    gathered.add_logprobs(reply.logprobs(event))
                else:
                    counter.end(event)
                    deltas, reasons[event.index] = reply.end(event)
                for delta in deltas:
                    gathered.add(delta)
        choices = [
            {
                "index": index,
                "message": gathered.message(),
                "logprobs": gathered.logprobs(bool(asked.logprobs)),
                "finish_reason": reasons[index],
            }
            for index, (_, gathered) in enumerate(replies)
        ]
        head = self._head("chat.completion")
        return {**head, "choices": choices, "usage": counter.usage()}

    def _head(self, kind: str) -> dict[str, Any]:
        facts = self._backend.facts
        return {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": facts.name,
            "system_fingerprint": fingerprint(facts),
        }


class _Chunks:
    """Turns events into the chunks of a stream."""

    def __init__(self, asked: ChatRequest, head: dict[str, Any]) -> None:
        self._with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        self._head = head | ({"usage": None} if self._with_usage else {})
        self._replies = [ChatReply(asked) for _ in range(asked.n or 1)]
        self._counter = Counter()

    def opening(self) -> list[dict[str, Any]]:
        """Return nothing: a reply opens when its prompt is computed."""
        return []

    def of(self, event: Event) -> list[dict[str, Any]]:
        """Return the chunks of an event."""
        if isinstance(event, Begun):
            self._counter.begin(event)
            opening = {"role": "assistant", "content": ""}
            return [self._chunk(index, opening) for index in range(len(self._replies))]
        reply = self._replies[event.index]
        if isinstance(event, Ended):
            self._counter.end(event)
            deltas, reason = reply.end(event)
            chunks = [self._chunk(event.index, delta) for delta in deltas]
            return [*chunks, self._chunk(event.index, {}, reason=reason)]
        deltas = reply.take(event)
        logprobs = reply.logprobs(event)
        if logprobs is not None and not deltas:
            deltas = [{}]
        return [
            self._chunk(event.index, delta, None if number else logprobs)
            for number, delta in enumerate(deltas)
        ]

    def last(self) -> list[dict[str, Any]]:
        """Return what stands at the end."""
        if not self._with_usage:
            return []
        return [{**self._head, "choices": [], "usage": self._counter.usage()}]

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return {**self._head, "choices": [choice]}
