"""Measurements give figures, leave nothing behind and never end the diagnosis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pocketr1 import isas
from pocketr1.doctor.speed import measure_memory
from pocketr1.machine import measure_storage, process, usable_cpus


@pytest.mark.parametrize("isa", isas())
def test_memory_is_measured_with_every_instruction_set(isa: str) -> None:
    speed = measure_memory(("w8g128", "w4g64"), buffer=1, threads=1, isa=isa)
    assert speed is not None
    assert (speed.isa, speed.threads) == (isa, 1)
    assert speed.buffer_bytes >= 16 << 20
    assert set(speed.multiply) == {"w8g128", "w4g64"}
    # Adding is no slower than multiplying, and both are machines, not clocks that stand still.
    assert 1e6 < min(speed.multiply.values()) <= max(speed.multiply.values()) < 1e13
    assert 1e6 < speed.read < 1e13


def test_memory_that_is_refused_is_no_figure() -> None:
    assert measure_memory(("w8g128",), buffer=1 << 60, threads=1, isa="scalar") is None


def test_storage_is_measured_and_nothing_stays(tmp_path: Path) -> None:
    speed = measure_storage(tmp_path, 9 << 20)
    assert speed is not None
    assert 1 <= speed.bytes <= 9 << 20
    assert speed.write > 0
    assert speed.read is None or speed.read > 0
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_storage_is_measured_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []

    def interrupt(descriptor: int) -> None:
        seen.append(list(tmp_path.iterdir()))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure_storage(tmp_path, 1 << 20)
    # The file has no name even while it is there, so that a kill leaves nothing either.
    assert seen == [[]]
    assert list(tmp_path.iterdir()) == []


def test_a_full_or_forbidden_place_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure_storage(tmp_path / "missing", 1 << 20) is None

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert measure_storage(tmp_path, 1 << 20) is None
    assert list(tmp_path.iterdir()) == []


def test_threads_follow_the_quota_of_a_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "cpu_quota", lambda root: None)
    all_of_them = usable_cpus()
    for quota, expected in ((0.2, 1), (1.0, 1), (1.5, min(2, all_of_them)), (1e9, all_of_them)):
        monkeypatch.setattr(process, "cpu_quota", lambda root, quota=quota: quota)
        assert usable_cpus() == expected
