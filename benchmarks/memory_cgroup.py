"""A memory control group for a child process: what the kernel lets it have, and what it charged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Charged", "MemoryGroup", "make_group"]

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Charged:
    """oom_kills: processes killed; peak: bytes; failures: allocations that met the limit."""

    oom_kills: int
    peak: int
    failures: int


class MemoryGroup:
    """A group of that many bytes, without swap, that exists while this is open."""

    def __init__(self, path: Path, version: int, limit: int) -> None:
        self.path = path
        self._v1 = version == 1
        path.mkdir()
        if self._v1:
            self._write("memory.limit_in_bytes", limit)
            # Not there where the kernel does not account swap; then there must be none.
            if (path / "memory.memsw.limit_in_bytes").exists():
                self._write("memory.memsw.limit_in_bytes", limit)
            elif (path / "memory.swappiness").exists():
                self._write("memory.swappiness", 0)
        else:
            self._write("memory.max", limit)
            if (path / "memory.swap.max").exists():
                self._write("memory.swap.max", 0)

    @property
    def stat_file(self) -> Path:
        """Where a child reads what is charged to it."""
        return self.path / "memory.stat"

    def run(
        self, command: Sequence[str], timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; its output is captured."""
        # The shell enters before it becomes the command, so that all its memory counts.
        enter = f'echo $$ > {self.path}/cgroup.procs && exec "$@"'
        return subprocess.run(
            ["sh", "-c", enter, "sh", *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def charged(self) -> Charged:
        """Return what the kernel has counted so far."""
        if self._v1:
            kills = self._fields("memory.oom_control").get("oom_kill", 0)
            peak = int((self.path / "memory.max_usage_in_bytes").read_text())
            return Charged(kills, peak, int((self.path / "memory.failcnt").read_text()))
        events = self._fields("memory.events")
        peak_file = self.path / "memory.peak"
        peak = int(peak_file.read_text()) if peak_file.exists() else 0
        return Charged(events["oom_kill"], peak, events["max"])

    def close(self) -> None:
        """Remove the group; its processes have ended."""
        self.path.rmdir()

    def __enter__(self) -> MemoryGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, name: str, value: int) -> None:
        (self.path / name).write_text(str(value))

    def _fields(self, name: str) -> dict[str, int]:
        lines = (line.split() for line in (self.path / name).read_text().splitlines())
        return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def make_group(name: str, limit: int) -> MemoryGroup | str:
    """Make a group under this process's root, or say why that cannot be."""
    if (_V1 / "memory.limit_in_bytes").exists():
        parent, version = _V1, 1
    elif "memory" in _controllers():
        parent, version = _V2, 2
    else:
        return "there is no memory control group here"
    path = parent / f"pocketr1-{name}-{os.getpid()}"
    try:
        return MemoryGroup(path, version, limit)
    except OSError as error:
        if path.is_dir():
            path.rmdir()
        return f"a memory control group cannot be made in {parent}: {error.strerror}"


def _controllers() -> list[str]:
    try:
        return (_V2 / "cgroup.subtree_control").read_text().split()
    except OSError:
        return []
