"""``kill -9`` at every named place of the store's work loses at most what was not committed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from store_support import Answer, Told, answers, change, prompt

from pocketr1.engine import KVStoreOptions
from pocketr1.engine.kvstore import points, verify

CHILD = Path(__file__).with_name("store_child.py")
#: Places that need a store which has to become smaller.
SHRINKING = {"evict", "evicted", "vacuum"}
LIMIT = 1_600_000


class Crashes:
    """A store that holds prompt 0, and the answers to prompts 0, 1 and 2 without any."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.base = work / "base.sqlite3"
        self.plain: list[Answer] = answers([prompt(seed) for seed in (0, 1, 2)])
        answers([prompt(0)], self.base)
        self.hits: Counter[str] = Counter()

    def kill(self, point: str, count: int) -> None:
        """Kill a process at ``point``, the ``count``th time or earlier, and look at the store."""
        path = self._prepare(point)
        limit = str(LIMIT if point in SHRINKING else 0)
        while True:
            command = [sys.executable, str(CHILD), str(path), point, str(count), limit]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode == -signal.SIGKILL:
                break
            assert done.returncode == 0, done.stderr
            assert 0 < int(done.stdout) < count, f"{point} was never reached"
            count, path = int(done.stdout), self._prepare(point)
        self.hits[point] += 1
        told = Told()
        if point != "delete":  # there a page had been damaged before
            assert verify(path).problems == ()
        found = answers([prompt(seed) for seed in (0, 1, 2)], KVStoreOptions(path, on_notice=told))
        for answer, expected in zip(found, self.plain, strict=True):
            assert answer.same_as(expected), point
        kept = {"create": 0, "created": 0, "migrate": 0, "migrated": 0, "delete": 64}
        assert set(told.codes) <= ({"kv-store-page"} if point == "delete" else set())
        if point not in SHRINKING:
            # What was committed is there, unless the child came to store it anew.
            assert found[0].restored >= kept.get(point, 256), point
        assert verify(path).problems == ()
        again = answers([prompt(seed) for seed in (0, 1, 2)], path)
        assert point in SHRINKING or [each.restored for each in again] == [256, 256, 256]

    def _prepare(self, point: str) -> Path:
        place = self.work / "store"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = place / "kv.sqlite3"
        if point in ("create", "created"):
            return path
        shutil.copy(self.base, path)
        if point in ("migrate", "migrated"):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version = 0")
                connection.commit()
        elif point == "delete":
            change(path, "UPDATE content SET bytes = zeroblob(9) WHERE id = 2")
        return path


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Crashes:
    return Crashes(tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize("point", points.POINTS)
def test_a_kill_at_every_place_is_survived(crashes: Crashes, point: str) -> None:
    crashes.kill(point, 1)


@pytest.mark.soak
def test_two_hundred_kills_are_survived(
    crashes: Crashes, capsys: pytest.CaptureFixture[str]
) -> None:
    crashes.hits.clear()
    for number in range(200):
        place, count = number % len(points.POINTS), number // len(points.POINTS)
        crashes.kill(points.POINTS[place], 1 + count % 5)
    with capsys.disabled():
        hits = ", ".join(f"{point} {crashes.hits[point]}" for point in points.POINTS)
        print(f"\nkilled 200 times: {hits}")
    assert sum(crashes.hits.values()) == 200
    assert min(crashes.hits[point] for point in points.POINTS) >= 10
