"""Whatever comes and goes, an answer is the one Engine.generate gives, and no page is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_core import VOCAB, ToyModel, ToySession

import pocketr1
from pocketr1.engine import Engine, Sampling
from pocketr1.engine.generation import Request
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions, Ticket

# Three pages.
CONTEXT = 170


@dataclass(frozen=True)
class Visit:
    """A request: its prompt is ``own`` tokens behind the first ``shared`` of a common text."""

    arrives: int
    shared: int
    own: int
    seed: int
    max_tokens: int
    temperature: float
    full_context: Literal["stop", "slide"]
    leaves: int | None
    forced_at: int | None

    def ids(self, vocab: int) -> list[int]:
        common = np.random.default_rng(0).integers(6, vocab, self.shared)
        own = np.random.default_rng(self.seed + 1).integers(6, vocab, self.own)
        return [*common.tolist(), *own.tolist()]


VISITS = st.builds(
    Visit,
    arrives=st.integers(0, 12),
    shared=st.sampled_from([0, 0, 30, 64, 65, 100, 130]),
    own=st.integers(1, 40),
    seed=st.integers(0, 2),
    max_tokens=st.integers(1, 70),
    temperature=st.sampled_from([0.0, 1.0]),
    full_context=st.sampled_from(["stop", "stop", "slide"]),
    leaves=st.one_of(st.none(), st.none(), st.integers(0, 25)),
    forced_at=st.one_of(st.none(), st.integers(1, 9)),
)
OPTIONS = st.builds(
    SchedulerOptions,
    running=st.integers(1, 5),
    waiting=st.just(100),
    kv_pages=st.integers(3, 9),
    kept_pages=st.integers(0, 9),
    chunk=st.sampled_from([1, 7, 16, 64, 512]),
)


def request(engine: Engine, visit: Visit, index: int) -> Request:
    sampling = Sampling(temperature=visit.temperature, seed=11)
    ids = visit.ids(min(engine.vocab_size, 400))
    return engine._request(ids, sampling, visit.max_tokens, (), index, visit.full_context)


def alone(engine: Engine, visit: Visit, index: int) -> tuple[list[int], str | None, bool]:
    one = request(engine, visit, index)
    generation = engine.generate(
        one.ids,
        one.sampling,
        max_tokens=one.max_tokens,
        stop_token_ids=(),
        index=index,
        full_context=visit.full_context,
    )
    for _ in generation:
        if len(generation.token_ids) == visit.forced_at:
            generation.force([7, 9])
    return generation.token_ids, generation.finish_reason, generation.context_full


def watch_pages(engine: Engine, scheduler: Scheduler) -> None:
    """Compare the counted pages with the limit, and with the core's where it has some."""
    assert scheduler.pages.used <= scheduler.page_limit
    if not isinstance(engine._session, ToySession):
        engine.trim_pages()
        assert engine.kv_bytes == scheduler.pages.used * engine._session.page_bytes


def answers(engine: Engine, visits: list[Visit], options: SchedulerOptions) -> dict[int, Ticket]:
    """Let all come and go, and return their tickets."""
    scheduler = Scheduler(engine, options)
    tickets: dict[int, Ticket] = {}
    turn = 0
    while len(tickets) < len(visits) or not scheduler.idle:
        for index, visit in enumerate(visits):
            if visit.arrives == turn:
                (tickets[index],) = scheduler.submit(request(engine, visit, index))
            if visit.leaves is not None and turn == visit.arrives + visit.leaves:
                scheduler.cancel(tickets[index])
        known = {index: len(ticket.generation.token_ids) for index, ticket in tickets.items()}
        scheduler.turn()
        watch_pages(engine, scheduler)
        for index, ticket in tickets.items():
            made = len(ticket.generation.token_ids)
            if made > known[index] and made == visits[index].forced_at and not ticket.done:
                ticket.generation.force([7, 9])
        turn += 1
        assert turn < 5000, "nothing moves"
    scheduler.close()
    assert scheduler.pages.used == 0
    return tickets


def check(engine: Engine, visits: list[Visit], options: SchedulerOptions) -> None:
    """Compare what the scheduler makes with one answer after the other."""
    compare(engine, visits, answers(engine, visits, options))


def compare(engine: Engine, visits: list[Visit], tickets: dict[int, Ticket]) -> None:
    for index, visit in enumerate(visits):
        generation = tickets[index].generation
        tokens, reason, full = alone(engine, visit, index)
        if generation.finish_reason == "closed":
            assert generation.token_ids == tokens[: len(generation.token_ids)]
        else:
            got = generation.token_ids, generation.finish_reason, generation.context_full
            assert got == (tokens, reason, full)
        assert tickets[index].error is None


@given(st.lists(VISITS, min_size=1, max_size=6), OPTIONS)
@settings(max_examples=25, deadline=None)
def test_on_a_core_that_shows_every_wrong_token(
    visits: list[Visit], options: SchedulerOptions
) -> None:
    session = ToySession(CONTEXT)
    engine = Engine(ToyModel(), session, Path("toy"))  # type: ignore[arg-type]
    assert engine.vocab_size == VOCAB
    check(engine, visits, options)
    assert not session.sequences


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with pocketr1.load(tiny_bundle, threads=1, max_context=CONTEXT) as engine:
        yield engine


@given(visits=st.lists(VISITS, min_size=2, max_size=6), options=OPTIONS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_on_the_real_core_with_its_own_count_of_pages(
    engine: Engine, visits: list[Visit], options: SchedulerOptions
) -> None:
    check(engine, visits, options)
    engine.trim_pages()
    assert engine.kv_bytes == 0


def test_with_a_store_every_prompt_is_restored_or_stored_and_the_same(tmp_path: Path) -> None:
    visits = [
        Visit(arrives, shared, 300, seed, 12, 1.0, "stop", leaves, None)
        for arrives, shared, seed, leaves in (
            (0, 300, 0, None),
            (0, 300, 0, None),
            (1, 300, 1, None),
            (2, 0, 2, 1),
            (5, 100, 0, None),
        )
    ]
    path = tmp_path / "store"
    for restored in (False, True):
        with pocketr1.load("tiny", threads=1, max_context=1024, kv_store=path) as engine:
            tickets = answers(engine, visits, SchedulerOptions(kv_pages=60, chunk=64))
            assert engine.kv_store is not None
            assert engine.kv_store.flush()
            assert (engine.kv_store.stats.restored_tokens > 0) == restored
            assert (engine.kv_store.stats.pages > 5) != restored
        with pocketr1.load("tiny", threads=1, max_context=1024) as plain:
            compare(plain, visits, tickets)
