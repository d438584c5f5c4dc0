"""How much memory others leave, and whether they wait for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pocketr1.machine.cgroup import Group, memory_groups
from pocketr1.machine.memory import available_memory
from pocketr1.machine.process import anonymous_bytes
from pocketr1.machine.root import Root

__all__ = ["Headroom", "find_headroom", "memory_stall"]

_STALLS = "proc/pressure/memory"
# Anonymous memory of others in the control group that is more than a shell and a supervisor.
_OTHERS = 32 << 20


@dataclass(frozen=True)
class Headroom:
    """Bytes, and shares of time; ``None`` is unknown.

    machine: what may be taken without swapping, as the kernel sees it. group: of the control groups
    that others hold memory in, the one that has least left; one that is ours alone does not count,
    for there what is missing is our own, which a budget bounds and no other waits for. stall: share
    of the last ten seconds in which some task waited for memory, 0 to 1.
    """

    machine: int | None = None
    group: Group | None = None
    stall: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything tells that memory runs short."""
        return any(value is not None for value in (self.machine, self.group, self.stall))


def find_headroom(root: Root) -> Headroom:
    """Read ``/proc/meminfo``, ``/proc/pressure/memory`` and the control groups."""
    own = anonymous_bytes(root)
    shared = [
        (group.free, number, group)
        for number, group in enumerate(memory_groups(root))
        if not (own is None or group.free is None or group.anonymous is None)
        and group.anonymous - own >= _OTHERS
    ]
    tightest = min(shared)[2] if shared else None
    return Headroom(available_memory(root), tightest, memory_stall(root))


def memory_stall(root: Root) -> float | None:
    """Return the share of the last ten seconds in which some task waited for memory.

    From PSI, which kernels before 4.20, and many phones' apps, do not have.
    """
    for line in root.lines(_STALLS):
        words = line.split()
        if words[:1] != ["some"]:
            continue
        for word in words[1:]:
            name, _, value = word.partition("=")
            if name == "avg10":
                return _share(value)
    return None


def _share(text: str) -> float | None:
    try:
        percent = float(text)
    except ValueError:
        return None
    return percent / 100 if math.isfinite(percent) and 0 <= percent <= 100 else None
