"""The thread that computes: what fails in it is told to whom it concerns, and nobody hangs."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from local_support import ask, events, run, wait_for

from pocketr1.engine import Care, Engine, Governor, load
from pocketr1.engine.kvstore.writer import Writer
from pocketr1.engine.scheduler import SchedulerOptions
from pocketr1.errors import BusyError, EngineError
from pocketr1.machine import Headroom, Power, ThermalZone
from pocketr1.server.backend import Ended
from pocketr1.server.local import LocalBackend
from pocketr1.server.mailbox import Mailbox


def hold(backend: LocalBackend) -> threading.Event:
    """Let the worker do nothing until the event is set."""
    held, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        held.set()
        go_on.wait(20)

    backend._worker.call(wait)
    assert held.wait(20)
    return go_on


def broken() -> Any:
    raise SystemError("a bug")


def places(error: BaseException) -> int:
    """Return how many places an error's trace names."""
    return len(traceback.extract_tb(error.__traceback__))


async def fails(backend: LocalBackend) -> EngineError:
    """Ask, and return the error that comes soon."""
    with pytest.raises(EngineError) as caught:
        await asyncio.wait_for(events(backend, ask()), 10)
    assert caught.value.code == "server-worker"
    return caught.value


def test_a_question_whose_asker_has_gone_is_dropped() -> None:
    async def leave(backend: LocalBackend) -> Any:
        go_on = hold(backend)
        asked = []
        future = backend._worker.call(lambda _: asked.append(1))
        assert future.cancel()
        go_on.set()
        return await events(backend, ask(max_tokens=3)), asked

    found, asked = run(leave)
    assert isinstance(found[-1], Ended)
    assert asked == []


def test_an_order_that_fails_leaves_nobody_waiting_who_came_behind_it() -> None:
    async def fail(backend: LocalBackend) -> None:
        go_on = hold(backend)
        backend._worker._say(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        task = asyncio.create_task(fails(backend))
        while len(backend._worker._inbox) < 2:
            await asyncio.sleep(0.001)
        go_on.set()
        await task

    run(fail)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_orders_that_fail_at_the_end_keep_nothing_from_anybody() -> None:
    async def fail(backend: LocalBackend) -> int:
        worker, later = backend._worker, []
        assert worker._scheduler is not None

        def break_with_orders() -> Any:
            worker._say(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
            later.append(worker.call(lambda _: 7))
            worker._say(sys.exit)
            return broken()

        worker._scheduler.turn = break_with_orders  # type: ignore[method-assign]
        await fails(backend)
        return later[0].result(10)

    assert run(fail) == 7


def test_the_error_of_a_dead_thread_does_not_grow_with_every_request() -> None:
    async def ask_often(backend: LocalBackend) -> list[int]:
        assert backend._worker._scheduler is not None
        backend._worker._scheduler.turn = broken  # type: ignore[method-assign]
        return [places(await fails(backend)) for _ in range(5)]

    _, *others = run(ask_often)
    assert set(others) == {others[0]}


def test_an_error_of_many_tasks_shows_each_its_own_way() -> None:
    async def take_all() -> list[int]:
        error = EngineError("engine-busy")
        boxes = [Mailbox() for _ in range(4)]
        for box in boxes:
            box.put((), error)
        lengths = []
        for box in boxes:
            with pytest.raises(EngineError) as caught:
                await box.take()
            lengths.append(places(caught.value))
        return lengths

    assert len(set(asyncio.run(take_all()))) == 1


class Hot:
    """Sensors of a device that does not cool."""

    def headroom(self) -> Headroom:
        return Headroom(4 << 30)

    def temperature(self) -> ThermalZone:
        return ThermalZone("skin", 90.0)

    def power(self) -> Power:
        return Power(None, plugged=True)


def test_while_it_is_too_hot_to_compute_everybody_is_heard() -> None:
    def open_engine() -> Engine:
        engine = load("tiny", threads=1)
        engine.govern(Governor(Care(max_temp=45), sensors=Hot()))
        return engine

    async def crowd() -> None:
        backend = LocalBackend(open_engine, SchedulerOptions(running=1, waiting=1))
        try:
            tasks = [asyncio.create_task(events(backend, ask())) for _ in range(2)]
            await asyncio.wait_for(backend.cached(), 20)
            while backend.load().running + backend.load().waiting < 2:
                await asyncio.wait_for(backend.cached(), 20)
            with pytest.raises(BusyError):
                await asyncio.wait_for(events(backend, ask()), 20)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await wait_for(lambda: backend.load().running + backend.load().waiting == 0)
        finally:
            await backend.close()

    asyncio.run(crowd())


def test_dropping_what_is_kept_waits_for_the_disk_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    flush = Writer.flush

    def watched(writer: Writer, seconds: float) -> bool:
        threads.append(threading.current_thread().name)
        return flush(writer, seconds)

    monkeypatch.setattr(Writer, "flush", watched)

    async def drop(backend: LocalBackend) -> Any:
        await events(backend, ask("A long question. " * 60, max_tokens=4))
        await backend.drop_cached()
        return await backend.cached()

    kept = run(drop, kv_store=tmp_path / "store")
    assert (kept.pages, kept.store_pages) == (0, 0)
    assert threads and "pocketr1-engine" not in threads
