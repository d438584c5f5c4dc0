"""How much memory there is, and how much of it this process may take."""

from __future__ import annotations

from dataclasses import dataclass

from pocketr1.machine.cgroup import memory_limit
from pocketr1.machine.root import Root, integer

__all__ = ["Memory", "available_memory", "find_memory"]


@dataclass(frozen=True)
class Memory:
    """Bytes; ``None`` is unknown."""

    installed: int | None  # of the machine
    available: int | None  # without swapping, as the kernel or the control group sees it
    cgroup_limit: int | None  # the smallest limit of the process's control groups
    swap: int | None  # all swap, on storage and compressed
    swap_free: int | None
    zram: int | None  # that part of swap which is compressed memory

    @property
    def total(self) -> int | None:
        """What is installed or allowed, whichever is less."""
        known = [size for size in (self.installed, self.cgroup_limit) if size is not None]
        return min(known, default=None)


def find_memory(root: Root) -> Memory:
    """Read ``/proc/meminfo``, ``/proc/swaps`` and the control groups."""
    table = root.fields("proc/meminfo")
    installed = _kilobytes(table, "MemTotal", low=1)
    available = _available(table)
    if installed is not None and available is not None and available > installed:
        available = None
    limit, free = memory_limit(root)
    if limit is not None and installed is not None and limit >= installed:
        limit = None  # no limit at all
    known = [size for size in (available, free) if size is not None]
    return Memory(
        installed=installed,
        available=min(known, default=None),
        cgroup_limit=limit,
        swap=_kilobytes(table, "SwapTotal"),
        swap_free=_kilobytes(table, "SwapFree"),
        zram=_zram(root),
    )


def available_memory(root: Root) -> int | None:
    """Return the bytes the kernel could hand out without swapping, control groups left aside."""
    return _available(root.fields("proc/meminfo"))


def _available(table: dict[str, str]) -> int | None:
    available = _kilobytes(table, "MemAvailable")
    if available is not None:
        return available
    free = _kilobytes(table, "MemFree")  # kernels before 3.14
    cached = _kilobytes(table, "Cached")
    return None if free is None or cached is None else free + cached


def _kilobytes(table: dict[str, str], key: str, low: int = 0) -> int | None:
    words = table.get(key, "").split()
    value = integer(words[0] if words else None, low, 1 << 40)
    return None if value is None else value * 1024


def _zram(root: Root) -> int | None:
    """Sum up the swap devices called zram; ``None`` where the list is not readable."""
    rows = [line.split() for line in root.lines("proc/swaps")]
    if not rows:
        return None
    sizes = [integer(row[2], 0, 1 << 40) for row in rows[1:] if len(row) > 2 and "zram" in row[0]]
    return sum(size * 1024 for size in sizes if size is not None)
