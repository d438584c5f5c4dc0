"""Mixed load for long, readers that leave at any moment: no memory, page or thread is lost.

POCKETR1_SOAK_SECONDS sets how long; half an hour by default.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pocketr1.engine import Sampling
from pocketr1.engine.scheduler import SchedulerOptions
from pocketr1.errors import BusyError, ContextFullError
from pocketr1.machine import rss_bytes
from pocketr1.server.backend import Ended, Task
from pocketr1.server.local import LocalBackend

SECONDS = float(os.environ.get("POCKETR1_SOAK_SECONDS", "1800"))
CLIENTS = 24
# What may come on top of the resident set once the first fifth of the time is over.
GROWTH = 24 << 20
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@dataclass
class Counts:
    """What happened, and the resident set as time went by, in bytes."""

    ended: int = 0
    left: int = 0
    busy: int = 0
    refused: int = 0
    rss: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)


def task(chance: random.Random) -> Task:
    """Return some request: long and short, chat and text, one reply or several."""
    common = "Once upon a time there was a number. " * chance.choice([0, 0, 1, 8, 40])
    words = " ".join(str(chance.randrange(1000)) for _ in range(chance.choice([3, 20, 200])))
    options: dict[str, Any] = {
        "sampling": Sampling(temperature=1.0, top_p=1.0, seed=chance.randrange(1 << 30)),
        "max_tokens": chance.choice([1, 20, 100, 400]),
        "n": chance.choice([1, 1, 1, 3]),
        "top_logprobs": chance.choice([None, None, 2]),
        "stop": chance.choice([(), ("7",)]),
        "think_budget": chance.choice([None, 0, 30]),
    }
    if chance.random() < 0.15:
        wild = Sampling(temperature=3.0, top_p=1.0, seed=chance.randrange(1 << 30))
        options |= {"sampling": wild, "max_tokens": 600, "stop": (), "loop_check": False}
    if chance.random() < 0.1:
        options |= {"json_schema": SCHEMA, "max_tokens": 100}
    if chance.random() < 0.2:
        return Task(common + words, **options)
    if chance.random() < 0.02:
        return Task("too long " * 5000, **options)
    return Task([{"role": "user", "content": common + words}], **options)


async def client(backend: LocalBackend, number: int, until: float, counts: Counts) -> None:
    """Ask again and again; leave in the middle, cancel, or read slowly now and then."""
    chance = random.Random(number)
    while time.monotonic() < until:
        reading = asyncio.create_task(read(backend, task(chance), chance, counts))
        if chance.random() < 0.2:
            await asyncio.wait({reading}, timeout=chance.random() * 0.5)
            if not reading.done():
                reading.cancel()
                counts.left += 1
        await asyncio.wait({reading})
        if not reading.cancelled() and (error := reading.exception()) is not None:
            raise error
        await asyncio.sleep(chance.random() * 0.02)


async def read(backend: LocalBackend, asked: Task, chance: random.Random, counts: Counts) -> None:
    leaves = chance.randrange(30) if chance.random() < 0.2 else None
    slow = chance.random() < 0.1
    stream = backend.generate(asked)
    try:
        place = 0
        async for event in stream:
            counts.ended += isinstance(event, Ended)
            if place == leaves:
                counts.left += 1
                break
            if slow:
                await asyncio.sleep(0.01)
            place += 1
    except BusyError as error:
        counts.busy += 1
        assert error.retry_after >= 1
        await asyncio.sleep(chance.random() * 0.5)
    except ContextFullError:
        counts.refused += 1
    finally:
        await stream.aclose()


async def watch(backend: LocalBackend, until: float, counts: Counts) -> None:
    """Look at the process a hundred times."""
    while time.monotonic() < until:
        await asyncio.sleep(SECONDS / 100)
        gc.collect()
        counts.rss.append(rss_bytes())
        counts.threads.add(threading.active_count())
        load = backend.load()
        assert load.kv_pages_used + load.kv_pages_kept <= load.kv_pages_limit


async def soak(store: Path) -> Counts:
    """Load the shipped model, and ask it for so long."""
    counts = Counts()
    options = SchedulerOptions(running=8, waiting=10, kv_pages=18)
    backend = LocalBackend.open("tiny", options, threads=1, max_context=1024, kv_store=store)
    try:
        await read(backend, task(random.Random(0)), random.Random(0), counts)
        until = time.monotonic() + SECONDS
        await asyncio.gather(
            watch(backend, until, counts),
            *(client(backend, number, until, counts) for number in range(CLIENTS)),
        )
        for _ in range(200):
            if backend.load().running + backend.load().waiting == 0:
                break
            await asyncio.sleep(0.02)
        load = backend.load()
        assert (load.running, load.waiting, load.kv_pages_used) == (0, 0, 0)
        await backend.drop_cached()
        load = backend.load()
        assert (load.kv_pages_kept, load.kv_bytes) == (0, 0)
        assert load.preempted_total > 0
    finally:
        await backend.close()
    return counts


@pytest.mark.soak
def test_half_an_hour_of_mixed_load_loses_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    counts = asyncio.run(soak(tmp_path / "store"))
    assert counts.ended > 0
    assert counts.left > 0
    assert counts.busy > 0
    # Writers, clients and asyncio's own helper come in the first fifth, and nobody after.
    fifth = len(counts.rss) // 5
    settled, rest = counts.rss[fifth : 2 * fifth], counts.rss[2 * fifth :]
    assert max(rest) <= max(settled) + GROWTH
    assert max(counts.threads) - min(counts.threads) <= 1
    assert threading.active_count() <= before + 1
    print(
        f"{counts.ended} replies ended, {counts.left} readers left, {counts.busy} came too many, "
        f"{counts.refused} did not fit; resident {min(rest) >> 20} to {max(rest) >> 20} MiB, "
        f"threads {sorted(counts.threads)}"
    )
