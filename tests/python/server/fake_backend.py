"""A model that says what a test told it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pocketr1.errors import PocketR1Error, UsageError
from pocketr1.server.backend import (
    Alternative,
    Begun,
    Cached,
    Encoded,
    Ended,
    Event,
    Facts,
    Load,
    Piece,
    Task,
    TokenLogprob,
)
from pocketr1.server.errors import RequestError

__all__ = ["FakeBackend", "Script"]


@dataclass(frozen=True)
class Script:
    """What a task gets.

    reasoning, answer: pieces. prefill, delay: seconds before the first piece, and between pieces.
    error: raised before the first event; late_error: behind the last piece.
    """

    reasoning: Sequence[str] = ("Let me ", "think.")
    answer: Sequence[str] = ("Hello", " there", ".")
    finish_reason: Literal["stop", "length", "cancelled"] = "stop"
    prefill: float = 0.0
    delay: float = 0.0
    cached_tokens: int = 0
    error: PocketR1Error | None = None
    late_error: PocketR1Error | None = None
    stop_string: str | None = None
    context_full: bool = False
    ended: Mapping[str, Any] = field(default_factory=dict)


class FakeBackend:
    """Answers the n-th task with the n-th script, and from then on with the last.

    tasks: what it was asked. running: replies under way. closed: how many replies were left before
    their end. A token is a Unicode character: its id is the code point.
    """

    def __init__(self, *scripts: Script, facts: Facts | None = None) -> None:
        self.scripts = scripts or (Script(),)
        self.tasks: list[Task] = []
        self.running = 0
        self.closed = 0
        self.closing = False
        self.kept = Cached(pages=3, bytes=3 << 10)
        self.dropped: list[bool] = []  # of all models?
        self.busy = Load(kv_pages_limit=64, memory_budget=None)
        self._facts = facts or Facts(
            name="fake",
            created=1_700_000_000,
            architecture="qwen2",
            parameters=1_000,
            weight_bytes=500,
            bits_per_weight=4.0,
            max_context=4096,
            details={"isa": "scalar"},
        )

    @property
    def facts(self) -> Facts:
        return self._facts

    async def generate(self, task: Task) -> AsyncGenerator[Event, None]:
        script = self.scripts[min(len(self.tasks), len(self.scripts) - 1)]
        self.tasks.append(task)
        if self.closing:
            raise RequestError("server-closing", status=503)
        if script.error is not None:
            raise script.error
        self.running += task.n
        left = task.n
        try:
            await asyncio.sleep(script.prefill)
            prompt = await self._prompt(task)
            thinking = task.think and not isinstance(task.prompt, str | tuple)
            yield Begun(len(prompt), script.cached_tokens, task.sampling.seed or 7, thinking)
            for index in range(task.n):
                counts = {"reasoning": 0, "answer": 0}
                reasoning = script.reasoning if thinking else ()
                kinds: list[tuple[Literal["reasoning", "answer"], str]] = [
                    *(("reasoning", text) for text in reasoning),
                    *(("answer", text) for text in script.answer),
                ]
                for kind, text in kinds:
                    await asyncio.sleep(script.delay)
                    counts[kind] += len(text)
                    yield _piece(task, index, kind, text)
                if script.late_error is not None:
                    raise script.late_error
                yield Ended(
                    index,
                    script.finish_reason,
                    completion_tokens=sum(counts.values()),
                    reasoning_tokens=counts["reasoning"],
                    context_full=script.context_full,
                    stop_string=script.stop_string,
                    **script.ended,
                )
                left -= 1
                self.running -= 1
        finally:
            self.running -= left
            self.closed += left

    async def encode(self, prompt: Sequence[Any] | str, *, think: bool = True) -> Encoded:
        if isinstance(prompt, str):
            return Encoded(prompt, tuple(map(ord, prompt)), False)
        text = "".join(f"[{m['role']}]{m.get('content') or ''}" for m in prompt)
        text += "[assistant]" + ("<think>\n" if think else "")
        return Encoded(text, tuple(map(ord, text)), think)

    async def tokenize(self, text: str, *, added_tokens: bool = False) -> list[int]:
        return list(map(ord, text))

    async def detokenize(self, ids: Sequence[int]) -> str:
        if max(ids, default=0) > 0x10FFFF:
            raise UsageError("token-id", value=max(ids), most=0x10FFFF)
        return "".join(map(chr, ids))

    def load(self) -> Load:
        return self.busy

    async def cached(self) -> Cached:
        return self.kept

    async def drop_cached(self, *, every_model: bool = False) -> None:
        self.kept = Cached()
        self.dropped.append(every_model)

    async def close(self, grace: float = 0.0) -> None:
        self.closing = True

    async def _prompt(self, task: Task) -> Sequence[int]:
        if isinstance(task.prompt, tuple):
            return task.prompt
        return (await self.encode(task.prompt, think=task.think)).ids


def _piece(task: Task, index: int, kind: Literal["reasoning", "answer"], text: str) -> Piece:
    ids = tuple(map(ord, text))
    if task.top_logprobs is None:
        return Piece(index, kind, text, ids)
    logprobs = []
    for char in text:
        chosen = Alternative(ord(char), char.encode(), -0.5)
        other = [Alternative(65 + n, bytes([65 + n]), -1.0 - n) for n in range(task.top_logprobs)]
        logprobs.append(TokenLogprob(chosen, (chosen, *other)[: task.top_logprobs]))
    return Piece(index, kind, text, ids, tuple(logprobs))
