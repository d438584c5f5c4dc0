"""The limits a control group sets, version 1 and 2.

Every group on the way from the process's own to the top may set one, and the smallest counts. In a
container the path in ``/proc/self/cgroup`` may be the host's, which does not exist below the mount;
the mount itself is then the container's group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pocketr1.machine.root import Root, integer

__all__ = ["Group", "cpu_quota", "memory_groups", "memory_limit"]

_MOUNT = "sys/fs/cgroup"
_UNLIMITED = 1 << 60  # version 1 writes about 2^63 where there is no limit
_INACTIVE = "inactive_file"  # page cache that is given back on demand


@dataclass(frozen=True)
class Group:
    """A control group that limits memory; bytes, ``None`` is unknown.

    anonymous: memory of all its processes that no file backs.
    """

    limit: int
    free: int | None
    anonymous: int | None


def memory_limit(root: Root) -> tuple[int | None, int | None]:
    """Return the bytes this process may use in all, and how many of them are still free."""
    groups = list(memory_groups(root))
    return (
        min((group.limit for group in groups), default=None),
        min((group.free for group in groups if group.free is not None), default=None),
    )


def memory_groups(root: Root) -> Iterator[Group]:
    """Yield the groups that the process is in and that limit memory, its own first."""
    for group, limit_name, usage_name, inactive, anonymous in (
        *((g, "memory.max", "memory.current", _INACTIVE, "anon") for g in _groups(root, "")),
        *(
            (
                g,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                f"total_{_INACTIVE}",
                "total_rss",
            )
            for g in _groups(root, "memory")
        ),
    ):
        limit = root.integer(f"{group}/{limit_name}", 1, _UNLIMITED)
        if limit is None:
            continue
        usage = root.integer(f"{group}/{usage_name}")
        stat = root.fields(f"{group}/memory.stat", " ") if usage is not None else {}
        cache = integer(stat.get(inactive)) or 0
        free = None if usage is None else max(0, limit - max(0, usage - cache))
        yield Group(limit, free, integer(stat.get(anonymous)))


def cpu_quota(root: Root) -> float | None:
    """Return how many CPUs' time this process may use, such as 1.5."""
    quotas: list[float] = []
    for group in _groups(root, ""):
        words = (root.text(f"{group}/cpu.max") or "").split()
        if len(words) == 2:
            quotas += _quota(integer(words[0], 1), integer(words[1], 1))
    for group in _groups(root, "cpu"):
        quotas += _quota(
            root.integer(f"{group}/cpu.cfs_quota_us", 1),
            root.integer(f"{group}/cpu.cfs_period_us", 1),
        )
    return min(quotas, default=None)


def _quota(time: int | None, period: int | None) -> list[float]:
    return [] if time is None or period is None else [time / period]


def _groups(root: Root, controller: str) -> Iterator[str]:
    """Yield the directories of the process's group and of all above it; ``""`` is version 2."""
    for line in root.lines("proc/self/cgroup"):
        number, _, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if not colon or controller not in names.split(",") or (not controller and number != "0"):
            continue
        mounts = [f"{_MOUNT}/{names}", f"{_MOUNT}/{controller}"] if controller else [_MOUNT]
        mounts += [] if controller else [f"{_MOUNT}/unified"]
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..", ".")]
        for mount in dict.fromkeys(mounts):
            for depth in range(len(parts), -1, -1):
                yield "/".join([mount, *parts[:depth]])
        return
