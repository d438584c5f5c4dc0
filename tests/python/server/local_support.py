"""Questions to the shipped model, asked as the server asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pocketr1.engine import Sampling
from pocketr1.engine.scheduler import SchedulerOptions
from pocketr1.server.backend import Event, Piece, Task
from pocketr1.server.local import LocalBackend

QUESTION = "What is 17 times 23?"
SEEDED = Sampling(seed=5)
WILD = Sampling(temperature=4.0, top_p=1.0, seed=5)
LONG = Sampling(temperature=1.5, top_p=1.0, seed=5)


def ask(text: str = QUESTION, **options: Any) -> Task:
    options.setdefault("sampling", SEEDED)
    options.setdefault("max_tokens", 60)
    return Task([{"role": "user", "content": text}], **options)


async def events(backend: LocalBackend, task: Task) -> list[Event]:
    return [event async for event in backend.generate(task)]


def text(found: list[Event], kind: str, index: int = 0) -> str:
    pieces = [e for e in found if isinstance(e, Piece) and (e.index, e.kind) == (index, kind)]
    return "".join(piece.text for piece in pieces)


def run(
    work: Callable[[LocalBackend], Awaitable[Any]],
    options: SchedulerOptions | None = None,
    **load_options: Any,
) -> Any:
    """Do something with a backend of the shipped model, and close it."""
    load_options.setdefault("threads", 1)

    async def whole() -> Any:
        backend = LocalBackend.open("tiny", options, **load_options)
        try:
            return await asyncio.wait_for(work(backend), 60)
        finally:
            await backend.close()

    return asyncio.run(whole())


async def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not happen")
