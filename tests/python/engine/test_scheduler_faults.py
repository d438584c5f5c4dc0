"""What fails beside the answers ends none of them, and holds none of them up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from governed_world import World
from scheduler_support import CONTEXT, options, request, run, same, text, toy_engine
from toy_core import ToySession

import pocketr1
from pocketr1.engine import Engine, Governor, KVStore, KVStoreOptions
from pocketr1.engine.kvstore import turn as turns
from pocketr1.engine.kvstore.writer import Writer
from pocketr1.engine.scheduler import Scheduler, Ticket
from pocketr1.errors import EngineError


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Engine]:
    """The shipped model with a store, whose listener fails."""

    def fail(notice: EngineError) -> None:
        raise BrokenPipeError("the terminal is gone")

    store = KVStoreOptions(tmp_path / "store", on_notice=fail)
    with pocketr1.load("tiny", threads=1, max_context=1024, kv_store=store) as engine:
        yield engine


@pytest.fixture
def adaptable(tmp_path: Path, tiny_checkpoint: Path) -> Iterator[Engine]:
    path = tmp_path / "store"
    with pocketr1.load(tiny_checkpoint, threads=1, max_context=1024, kv_store=path) as engine:
        yield engine


def adapt(engine: Engine) -> None:
    rows = engine.spec.layers[0].kv_heads * engine.spec.head_dim
    a = np.ones((1, engine.spec.hidden_size), np.float32)
    engine.set_adapter("layers.0.k.weight", a, np.ones((rows, 1), np.float32))


def store_of(engine: Engine) -> KVStore:
    assert engine.kv_store is not None
    return engine.kv_store


def tend(scheduler: Scheduler) -> None:
    """Do what is left for the store, until nothing is."""
    for _ in range(40):
        if not scheduler.tend():
            return
        store_of(scheduler.engine).settle()
    raise AssertionError("it goes on for ever")


def half_computed(engine: Engine, rows: int, prompt: int = 900) -> tuple[Scheduler, Ticket]:
    """Return an answer of which ``rows`` tokens of its prompt are computed, beside a stream."""
    scheduler = Scheduler(engine, options(chunk=rows))
    scheduler.submit(request(engine, text(9), 100))
    scheduler.turn()
    (ticket,) = scheduler.submit(request(engine, text(prompt, 1)))
    scheduler.turn()
    assert ticket.todo is not None and len(ticket.todo) == prompt - rows
    return scheduler, ticket


# --- the K/V store ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "error"),
    [("put", MemoryError()), ("writer", RuntimeError("can't start new thread"))],
)
def test_pages_that_cannot_be_handed_over_are_left_out(
    stored: Engine, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(KVStore, method, fail)
    scheduler = Scheduler(stored, options())
    tickets = scheduler.submit(*(request(stored, text(300, n), 4, n) for n in range(2)))
    run(scheduler)
    tend(scheduler)
    scheduler.close()
    assert [ticket.error for ticket in tickets] == [None, None]
    assert [notice.code for notice in store_of(stored).notices] == ["kv-store-unusable"]
    assert same(stored, tickets)


def test_a_prompt_whose_reader_left_half_way_is_stored_that_far_and_done(stored: Engine) -> None:
    scheduler, ticket = half_computed(stored, 320)
    scheduler.cancel(ticket)
    tend(scheduler)
    store_of(stored).settle()
    assert store_of(stored).stats.pages == 5


def test_of_one_that_was_hardly_begun_nothing_is_stored(stored: Engine) -> None:
    scheduler, ticket = half_computed(stored, 130)
    scheduler.cancel(ticket)
    tend(scheduler)
    store_of(stored).settle()
    assert store_of(stored).stats.pages == 0


def test_what_an_adapter_changed_half_way_is_not_stored(
    adaptable: Engine,
) -> None:
    scheduler, ticket = half_computed(adaptable, 320)
    adapt(adaptable)
    run(scheduler)
    tend(scheduler)
    store_of(adaptable).settle()
    assert ticket.error is None
    assert store_of(adaptable).stats.pages == 0


def test_what_was_left_to_store_when_an_adapter_changed_is_left_out(adaptable: Engine) -> None:
    scheduler = Scheduler(adaptable, options())
    scheduler.submit(request(adaptable, text(900), 1))
    run(scheduler)
    assert scheduler.tend()
    adapt(adaptable)
    tend(scheduler)
    store_of(adaptable).settle()
    assert store_of(adaptable).stats.pages <= 2


def test_what_is_forgotten_while_it_is_computed_is_not_stored(stored: Engine) -> None:
    scheduler, _ = half_computed(stored, 320)
    scheduler.forget()
    run(scheduler)
    tend(scheduler)
    store_of(stored).settle()
    assert store_of(stored).stats.pages == 0


class FullDisk:
    """A writer that never has room; its waiting passes no real time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(Writer, "has_room", lambda _, seconds=0.0: self._wait(seconds))
        clock = SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: self.now)
        monkeypatch.setattr(turns, "time", clock)
        monkeypatch.setattr("pocketr1.engine.prefixes.monotonic", clock.monotonic)

    def _wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_closing_waits_for_a_disk_once_and_not_for_every_prompt(
    stored: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    scheduler = Scheduler(stored, options())
    scheduler.submit(*(request(stored, text(300, n), 4, n) for n in range(3)))
    run(scheduler)
    assert len(scheduler.prefixes) == 3
    scheduler.close()
    assert disk.now == pytest.approx(5.0)


def test_memory_that_is_missing_is_made_without_waiting_for_a_disk(
    stored: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    scheduler = Scheduler(stored, options())
    scheduler.submit(request(stored, text(300)))
    run(scheduler)
    step = stored._step_rows

    def fail(*_args: object, **_options: object) -> None:
        monkeypatch.setattr(stored, "_step_rows", step)
        raise EngineError("memory", where="K/V cache", reason="none left")

    monkeypatch.setattr(stored, "_step_rows", fail)
    (ticket,) = scheduler.submit(request(stored, text(20, 1)))
    run(scheduler)
    assert ticket.error is None
    assert (len(scheduler.prefixes), disk.now) == (0, 0.0)


# --- the governor -----------------------------------------------------------------------------


def reliefs(governor: Governor) -> list[str]:
    return [relief.name for relief in governor._caches]


def test_a_governor_minds_what_is_kept_as_long_as_there_is_a_scheduler() -> None:
    engine = toy_engine(ToySession(CONTEXT))
    governor, other = World().governor(), World().governor()
    engine.govern(governor)
    for _ in range(3):
        list(engine.generate_many([text(20), text(30)], max_tokens=2))
    assert reliefs(governor) == ["kv-pages"]
    scheduler = Scheduler(engine, options())
    scheduler.turn()
    assert reliefs(governor) == ["kv-pages", "kept-prefixes"]
    engine.govern(other)
    scheduler.turn()
    assert (reliefs(governor), reliefs(other)) == ([], ["kv-pages", "kept-prefixes"])
    scheduler.close()
    assert reliefs(other) == ["kv-pages"]


def test_a_governor_of_two_outlives_one_whose_scheduler_was_not_closed() -> None:
    model, draft = toy_engine(ToySession(CONTEXT)), toy_engine(ToySession(CONTEXT))
    governor = World().governor()
    model.govern(governor)
    draft.govern(governor)
    scheduler = Scheduler(model, options())
    scheduler.submit(request(model, text(130)))
    run(scheduler)
    model.close()
    draft.trim(80)
    assert len(draft.logits([3, 4])) == 2


def test_while_it_is_too_hot_a_turn_ends_when_somebody_wants_to_be_heard() -> None:
    world, session = World(celsius=60.0), ToySession(CONTEXT)
    engine = toy_engine(session)
    engine.govern(world.governor(max_temp=45))
    scheduler = Scheduler(engine, options())
    tickets = scheduler.submit(request(engine, text(20)))
    scheduler.interrupted = lambda: len(world.naps) >= 3
    assert scheduler.turn() == []
    assert (len(world.naps), session.step_sizes) == (3, [])
    tickets += scheduler.submit(request(engine, text(30, 1)))
    scheduler.interrupted = lambda: False
    world.meanwhile = {9: lambda: setattr(world, "celsius", 40.0)}
    run(scheduler)
    assert len(world.naps) == 10  # it looks once a second
    engine.govern(None)
    assert same(engine, tickets)
