"""Which CPUs the engine runs on, and how many threads it takes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doctor_devices as devices
import pytest

import pocketr1
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import Root, affinity, cpu_list, fast_cpus, find_cpu

needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of its own, whose affinity goes with it."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def threads_of_this_process() -> dict[int, set[int]]:
    ids = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    return {task: os.sched_getaffinity(task) for task in ids}


@needs_two
def test_the_engines_threads_run_where_they_are_told(tiny_bundle: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    before = threads_of_this_process()

    def work() -> None:
        with pocketr1.load(tiny_bundle, cpus=[cpu], threads=3) as engine:
            engine.logits([1, 2, 3])
            after = threads_of_this_process()
            new = {task: cpus for task, cpus in after.items() if task not in before}
            assert list(new.values()) == [{cpu}] * 3  # this thread and two workers
            assert all(after[task] == before[task] for task in before)

    in_a_thread(work)


@needs_two
def test_as_many_threads_as_cpus_are_named(tiny_bundle: Path) -> None:
    cpu = min(os.sched_getaffinity(0))

    def work() -> None:
        with pocketr1.load(tiny_bundle, cpus=[cpu]) as engine:
            assert engine.threads == 1

    in_a_thread(work)


def test_without_a_number_the_fast_cores_count(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = find_cpu(devices.PHONE.write(tmp_path))
    monkeypatch.setattr(affinity, "find_cpu", lambda _: phone)
    monkeypatch.setattr(affinity, "usable_cpus", lambda: 8)
    with pocketr1.load(tiny_bundle) as engine:
        assert engine.threads == phone.fast == 5


def test_fast_leaves_the_little_cores_out(tmp_path: Path) -> None:
    root = devices.PHONE.write(tmp_path)
    little = {
        c for cluster in find_cpu(root).clusters if cluster.kind == "little" for c in cluster.cpus
    }
    fast = fast_cpus(root)
    assert len(fast) == 5 and not little.intersection(fast)


@pytest.mark.parametrize(("text", "cpus"), [("0", (0,)), ("0-2,5", (0, 1, 2, 5))])
def test_a_list_of_cpus_is_read_as_the_kernel_writes_it(text: str, cpus: tuple[int, ...]) -> None:
    assert cpu_list(text) == cpus


def test_fast_is_a_list_too() -> None:
    assert set(cpu_list("fast")) <= os.sched_getaffinity(0)
    assert cpu_list("fast") == fast_cpus(Root())


@pytest.mark.parametrize("text", ["", "x", "3-1", "-1", "1,,2", "all"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        cpu_list(text)
    assert caught.value.code == "cpus-value"


@pytest.mark.parametrize("cpus", [[], [4095], [-1], [1 << 70], ["a"], 3])
def test_cpus_that_are_not_there_are_refused(tiny_bundle: Path, cpus: Any) -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(UsageError) as caught:
        pocketr1.load(tiny_bundle, cpus=cpus)
    assert caught.value.code == "cpus-value"
    assert os.sched_getaffinity(0) == before


@needs_two
def test_a_model_that_is_not_there_leaves_the_thread_where_it_was(tmp_path: Path) -> None:
    def work() -> None:
        before = os.sched_getaffinity(0)
        with pytest.raises(EngineError):
            pocketr1.load(tmp_path / "no-such", cpus=[min(before)])
        assert os.sched_getaffinity(0) == before

    in_a_thread(work)


@needs_two
def test_a_thread_held_to_one_cpu_computes_with_one(tiny_bundle: Path) -> None:
    def work() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        with pocketr1.load(tiny_bundle) as engine:
            assert engine.threads == 1

    in_a_thread(work)
