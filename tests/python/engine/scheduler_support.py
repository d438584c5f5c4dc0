"""Requests for a scheduler over the toy core, and what each is alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toy_core import VOCAB, ToyModel, ToySession

from pocketr1.engine import Engine, Generation, Sampling
from pocketr1.engine.generation import Request
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions, Ticket

CONTEXT = 400
GREEDY = Sampling(temperature=0.0)


def toy_engine(session: ToySession) -> Engine:
    return Engine(ToyModel(), session, Path("toy"))  # type: ignore[arg-type]


def options(**given: int | None) -> SchedulerOptions:
    return SchedulerOptions(**{"kv_pages": 40, "chunk": 16, **given})


def text(length: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(6, VOCAB, length).tolist()


def request(engine: Engine, ids: list[int], max_tokens: int = 8, index: int = 0) -> Request:
    return engine._request(ids, Sampling(temperature=1.0, seed=3), max_tokens, (), index, "stop")


def alone(engine: Engine, one: Request) -> Generation:
    generation = engine.generate(
        one.ids,
        one.sampling,
        max_tokens=one.max_tokens,
        stop_token_ids=one.stop_token_ids,
        index=one.index,
    )
    for _ in generation:
        pass
    return generation


def run(scheduler: Scheduler) -> int:
    turns = 0
    while not scheduler.idle:
        scheduler.turn()
        turns += 1
    return turns


def same(engine: Engine, tickets: list[Ticket]) -> bool:
    return all(
        ticket.generation.token_ids == alone(engine, ticket.generation._request).token_ids
        for ticket in tickets
    )
