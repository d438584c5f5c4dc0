"""Figures for Prometheus, in its text format, and the backend that counts them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketr1 import __version__
from pocketr1.chat import Message as ChatMessage
from pocketr1.server.backend import (
    Backend,
    Cached,
    Encoded,
    Ended,
    Event,
    Facts,
    Load,
    Piece,
    Task,
)

__all__ = ["CountRequests", "Histogram", "Metered", "Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKEN_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class Histogram:
    """Counts values by upper bounds."""

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._about = about
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        """Yield it in Prometheus's format."""
        yield f"# HELP {self._name} {self._about}"
        yield f"# TYPE {self._name} histogram"
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{self._name}_bucket{{le="{bound}"}} {total}'
        yield f"{self._name}_sum {self._sum:.6f}"
        yield f"{self._name}_count {total}"


class Metrics:
    """What is counted besides :class:`Load`."""

    def __init__(self) -> None:
        self.queue = Histogram(
            "pocketr1_queue_seconds", "Time a reply waited before its prompt was begun", _SECONDS
        )
        self.first_token = Histogram(
            "pocketr1_time_to_first_token_seconds", "From a request to its first token", _SECONDS
        )
        self.token = Histogram(
            "pocketr1_time_per_token_seconds", "Time between the tokens of a reply", _TOKEN_SECONDS
        )
        self.requests: dict[tuple[str, str, int], int] = {}

    def count_request(self, method: str, route: str, status: int) -> None:
        """Count an answered request."""
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def text(self, backend: Backend) -> str:
        """Return everything in Prometheus's text format, version 0.0.4."""
        facts, load = backend.facts, backend.load()
        lines = list(_gauge("pocketr1_info", "The model and the version", _info(facts)))
        for name, about, value in _gauges(load):
            lines += _gauge(f"pocketr1_{name}", about, {"": value})
        pages = {
            '{state="used"}': load.kv_pages_used,
            '{state="kept"}': load.kv_pages_kept,
            '{state="limit"}': load.kv_pages_limit,
        }
        lines += _gauge("pocketr1_kv_pages", "Pages of keys and values", pages)
        for name, about, value in _counters(load):
            lines += _sample(f"pocketr1_{name}", "counter", about, {"": value})
        answered = {
            f'{{method="{_escaped(m)}",route="{_escaped(r)}",status="{s}"}}': count
            for (m, r, s), count in sorted(self.requests.items())
        }
        lines += _sample("pocketr1_requests_total", "counter", "Requests answered", answered)
        for histogram in (self.queue, self.first_token, self.token):
            lines += histogram.lines()
        return "\n".join(lines) + "\n"


class Metered:
    """A backend that counts what passes through it.

    closing: it was told to close.
    """

    def __init__(self, backend: Backend) -> None:
        self.metrics = Metrics()
        self.closing = False
        self._backend = backend

    @property
    def facts(self) -> Facts:
        """What the model is."""
        return self._backend.facts

    async def generate(self, task: Task) -> AsyncGenerator[Event, None]:
        """Yield what happens, and count it."""
        began = time.perf_counter()
        waiting = set(range(task.n))
        async with aclosing(self._backend.generate(task)) as events:
            async for event in events:
                if isinstance(event, Piece) and event.index in waiting:
                    waiting.discard(event.index)
                    self.metrics.first_token.add(time.perf_counter() - began)
                elif isinstance(event, Ended):
                    self.metrics.queue.add(event.queue_seconds)
                    if event.completion_tokens > 1:
                        each = event.decode_seconds / (event.completion_tokens - 1)
                        self.metrics.token.add(each)
                yield event

    async def encode(self, prompt: Sequence[ChatMessage] | str, *, think: bool = True) -> Encoded:
        """Return a prompt's tokens."""
        return await self._backend.encode(prompt, think=think)

    async def tokenize(self, text: str, *, added_tokens: bool = False) -> list[int]:
        """Return the tokens of a text."""
        return await self._backend.tokenize(text, added_tokens=added_tokens)

    async def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of tokens."""
        return await self._backend.detokenize(ids)

    def load(self) -> Load:
        """Return how busy it is."""
        return self._backend.load()

    async def cached(self) -> Cached:
        """Return what is kept of prompts."""
        return await self._backend.cached()

    async def drop_cached(self, *, every_model: bool = False) -> None:
        """Forget it."""
        await self._backend.drop_cached(every_model=every_model)

    async def close(self, grace: float = 0.0) -> None:
        """Take no more tasks, and close."""
        self.closing = True
        await self._backend.close(grace)


class CountRequests:
    """Counts answers by route and status: an ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path_format", "other")
                method = scope["method"] if route != "other" else "other"
                self._metrics.count_request(method, route, message["status"])
            await send(message)

        await self._app(scope, receive, counted)


def _gauges(load: Load) -> list[tuple[str, str, float]]:
    budget = load.memory_budget
    return [
        ("running_replies", "Replies under way", load.running),
        ("waiting_replies", "Replies that wait", load.waiting),
        ("kv_bytes", "Memory of keys and values", load.kv_bytes),
        ("resident_bytes", "Resident memory of the process", load.rss_bytes),
        *([] if budget is None else [("memory_budget_bytes", "The memory budget", budget)]),
    ]


def _counters(load: Load) -> list[tuple[str, str, float]]:
    return [
        ("prompt_tokens_total", "Tokens of prompts", load.prompt_tokens_total),
        ("cached_tokens_total", "Tokens of prompts known before", load.cached_tokens_total),
        ("generated_tokens_total", "Tokens generated", load.generated_tokens_total),
        ("replies_total", "Replies ended", load.replies_total),
        ("refused_total", "Requests refused for want of room", load.refused_total),
        ("preempted_total", "Replies set back for others", load.preempted_total),
        ("steps_total", "Steps of the model", load.steps_total),
        ("step_seconds_total", "Time in them", load.step_seconds_total),
    ]


def _info(facts: Facts) -> dict[str, float]:
    labels = {
        "version": __version__,
        "model": facts.name,
        "architecture": facts.architecture,
        "bits_per_weight": f"{facts.bits_per_weight:.2f}",
    }
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return {f"{{{inner}}}": 1}


def _gauge(name: str, about: str, values: Mapping[str, float]) -> list[str]:
    return _sample(name, "gauge", about, values)


def _sample(name: str, kind: str, about: str, values: Mapping[str, Any]) -> list[str]:
    head = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return [*head, *(f"{name}{labels} {value}" for labels, value in values.items())]


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
