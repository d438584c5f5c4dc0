"""A process eats memory beside a generation: some is given back and taken again, no token moves."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pocketr1.machine import Root, find_headroom

SCRIPT = Path(__file__).parent / "beside_an_eater.py"
MB = 1 << 20


def beside_an_eater(model: Path, where: str, group: Path | None = None) -> dict[str, Any]:
    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(model), where],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=enter,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def check(document: dict[str, Any]) -> None:
    assert document["eaten_mb"] > 0
    assert document["kinds"][0] == "gave-back"
    assert "took-again" in document["kinds"]
    assert document["events"][0]["names"] == ["kv-pages", "buffer", "weights"]
    assert document["pages_left"] < document["pages"] / 2
    assert document["least_held"] == 0
    assert document["planned"] > MB
    assert document["least_resident"] < document["planned"]
    assert document["tokens"] > 20
    assert document["same"]


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """Return the directory of a new memory control group, version 2 or 1."""
    for parent in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        group = parent / f"pocketr1-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if any((group / name).exists() for name in ("memory.max", "memory.limit_in_bytes")):
            yield group
            group.rmdir()
            return
        with contextlib.suppress(OSError):
            group.rmdir()
    pytest.skip("no memory control group can be made here")


def test_memory_of_the_machine(tiny_bundle: Path) -> None:
    available = find_headroom(Root()).machine
    if available is None or available < 3000 * MB:
        pytest.skip("too little memory to let another process eat 2 GB of it")
    document = beside_an_eater(tiny_bundle, "machine")
    if "took-again" not in document["kinds"] and document["longest_calm"] < 20:
        pytest.skip("others on this machine took what the eater let go")
    check(document)


def test_memory_of_a_control_group(tiny_bundle: Path, memory_group: Path) -> None:
    document = beside_an_eater(tiny_bundle, str(memory_group), memory_group)
    check(document)
    assert document["kinds"] == ["gave-back", "took-again"]
    assert document["held"] == 32 * MB
    assert document["resident"] == document["planned"]
    assert document["eaten_mb"] < 250  # the group's limit was never reached: nobody was killed
