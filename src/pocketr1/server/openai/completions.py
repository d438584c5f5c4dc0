"""``/v1/completions``: a text goes on, without a chat around it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketr1.server import streams
from pocketr1.server.backend import Backend, Begun, Ended, Event, Facts, Task
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.body import read_json
from pocketr1.server.guard.limits import Limits
from pocketr1.server.openai.answers import Completion
from pocketr1.server.openai.chunks import stream
from pocketr1.server.openai.fields import CompletionFields, told_of
from pocketr1.server.openai.logprobs import LegacyLogprobs
from pocketr1.server.openai.usage import Counter, fingerprint
from pocketr1.server.openapi import operation
from pocketr1.server.validation import checked

__all__ = ["CompletionRequest", "Completions"]

TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]
# OpenAI's default of the old kind.
_MAX_TOKENS = 16


class CompletionRequest(CompletionFields):
    """The body of ``/v1/completions``: prompt is a text, a list of texts, or token ids.

    ignore_eos: go on behind the end of the text until max_tokens, to measure speed.
    """

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    suffix: str | None = None
    ignore_eos: bool | None = None

    def prompts(self) -> list[str | tuple[int, ...]]:
        """Return the prompts, each a text or token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [tuple(token for token in self.prompt if isinstance(token, int))]
        return [
            item if isinstance(item, str) else tuple(item)
            for item in self.prompt
            if not isinstance(item, int)
        ]

    def check(self, facts: Facts, limits: Limits) -> None:
        """Raise RequestError for what a model does not do, or a limit forbids."""
        super().check(facts, limits)
        prompts = self.prompts()
        if not prompts or not all(prompts):
            raise RequestError("request-prompt-empty", param="prompt")
        if sum(map(len, prompts)) > limits.prompt_chars:
            limit = limits.prompt_chars
            raise RequestError("request-chars", param="prompt", where="prompt", limit=limit)
        if len(prompts) * (self.n or 1) > limits.replies:
            limit = limits.replies
            raise RequestError("request-limit", param="prompt", where="prompt x n", limit=limit)
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise RequestError("request-best-of", param="best_of")
        if self.suffix:
            raise RequestError("request-unsupported", param="suffix", where="suffix")
        if self.echo and self.logprobs is not None:
            raise RequestError("request-echo", param="echo")

    def task(self) -> Task:
        """Return what is asked of the model, for the first prompt."""
        return Task(
            prompt=self.prompts()[0],
            sampling=self.sampling(),
            n=self.n or 1,
            max_tokens=self.max_tokens or _MAX_TOKENS,
            stop=self.stops(),
            top_logprobs=self.logprobs,
            loop_check=False,
            ignore_eos=bool(self.ignore_eos),
        )


class Completions:
    """Answers requests for completions, streaming or not."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits

    @operation(
        "Go on with a text",
        request=CompletionRequest,
        answers={200: Completion},
        events=True,
        errors=(404,),
    )
    async def create(self, request: Request) -> Response:
        """Answer a request."""
        asked = checked(CompletionRequest, await read_json(request, self._limits))
        asked.check(self._backend.facts, self._limits)
        headers = told_of(asked.ignored())
        echoes = await self._echoes(asked)
        if not asked.stream:
            document = await streams.while_connected(request, self._gather(asked, echoes))
            return JSONResponse(document, headers=headers)
        chunks = _Chunks(asked, echoes, self._head())
        return await stream(request, self._generate(asked), chunks, headers)

    async def _echoes(self, asked: CompletionRequest) -> list[str]:
        """Return the text of each prompt that is to stand before its completion."""
        if not asked.echo:
            return [""] * len(asked.prompts())
        return [
            prompt if isinstance(prompt, str) else await self._backend.detokenize(prompt)
            for prompt in asked.prompts()
        ]

    def _generate(self, asked: CompletionRequest) -> AsyncGenerator[Event, None]:
        task = asked.task()
        tasks = [replace(task, prompt=prompt) for prompt in asked.prompts()]
        if len(tasks) == 1:
            return self._backend.generate(task)
        return _merged([self._backend.generate(task) for task in tasks], task.n)

    async def _gather(self, asked: CompletionRequest, echoes: list[str]) -> dict[str, Any]:
        n = asked.n or 1
        texts = [[echo] for echo in echoes for _ in range(n)]
        ends = [""] * len(texts)
        logprobs = [LegacyLogprobs() for _ in texts]
        lists: list[dict[str, list[Any]]] = [logprob.take([], "") for logprob in logprobs]
        counter = Counter()
        async with aclosing(self._generate(asked)) as events:
            async for event in events:
                if isinstance(event, Begun):
                    counter.begin(event)
                elif isinstance(event, Ended):
                    counter.end(event)
                    ends[event.index] = _reason(event)
                else:
                    texts[event.index].append(event.text)
                    found = logprobs[event.index].take(event.logprobs, event.text)
                    for name, entries in found.items():
                        lists[event.index][name] += entries
        choices = [
            {
                "index": index,
                "text": "".join(text),
                "logprobs": None if asked.logprobs is None else lists[index],
                "finish_reason": ends[index],
            }
            for index, text in enumerate(texts)
        ]
        return {**self._head(), "choices": choices, "usage": counter.usage()}

    def _head(self) -> dict[str, Any]:
        facts = self._backend.facts
        return {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": facts.name,
            "system_fingerprint": fingerprint(facts),
        }


class _Chunks:
    """Turns events into the chunks of a stream; echoes: the text before each prompt's replies."""

    def __init__(self, asked: CompletionRequest, echoes: list[str], head: dict[str, Any]) -> None:
        self._with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        self._head = head | ({"usage": None} if self._with_usage else {})
        self._with_logprobs = asked.logprobs is not None
        self._echoes = [echo for echo in echoes for _ in range(asked.n or 1)]
        self._logprobs = [LegacyLogprobs() for _ in self._echoes]
        self._counter = Counter()

    def opening(self) -> list[dict[str, Any]]:
        """Return the prompts that are to be echoed."""
        return [self._chunk(index, echo) for index, echo in enumerate(self._echoes) if echo]

    def of(self, event: Event) -> list[dict[str, Any]]:
        """Return the chunks of an event."""
        if isinstance(event, Begun):
            self._counter.begin(event)
            return []
        if isinstance(event, Ended):
            self._counter.end(event)
            return [self._chunk(event.index, "", reason=_reason(event))]
        found = None
        if self._with_logprobs:
            found = self._logprobs[event.index].take(event.logprobs, event.text)
        return [self._chunk(event.index, event.text, found)]

    def last(self) -> list[dict[str, Any]]:
        """Return what stands at the end."""
        if not self._with_usage:
            return []
        return [{**self._head, "choices": [], "usage": self._counter.usage()}]

    def _chunk(
        self, index: int, text: str, logprobs: Any = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return {**self._head, "choices": [choice]}


def _reason(ended: Ended) -> str:
    if ended.finish_reason == "cancelled":
        raise RequestError("server-closing", status=503)
    return ended.finish_reason


async def _merged(
    sources: Sequence[AsyncGenerator[Event, None]], n: int
) -> AsyncGenerator[Event, None]:
    """Yield the events of several tasks as they come, their replies numbered through."""
    queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue(maxsize=64)

    async def pump(number: int, source: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(source):
                async for event in source:
                    if not isinstance(event, Begun):
                        event = replace(event, index=number * n + event.index)
                    await queue.put(event)
            await queue.put(None)
        except Exception as error:
            await queue.put(error)

    pumps = [asyncio.ensure_future(pump(i, source)) for i, source in enumerate(sources)]
    left = len(pumps)
    try:
        while left:
            item = await queue.get()
            if item is None:
                left -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
    finally:
        for one in pumps:
            one.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
