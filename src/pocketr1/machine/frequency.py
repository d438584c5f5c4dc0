"""How fast the cores run at this moment."""

from __future__ import annotations

from collections.abc import Iterable

from pocketr1.machine.root import Root

__all__ = ["current_mhz"]

_DEVICES = "sys/devices/system/cpu"


def current_mhz(root: Root, cpus: Iterable[int]) -> float | None:
    """Return the mean frequency of ``cpus`` in MHz: from cpufreq, else from ``/proc/cpuinfo``."""
    cpus = set(cpus)
    read = (
        root.integer(f"{_DEVICES}/cpu{cpu}/cpufreq/scaling_cur_freq", 1, 1 << 24) for cpu in cpus
    )
    values = [kilohertz / 1000 for kilohertz in read if kilohertz is not None]
    if not values:
        values = list(_from_cpuinfo(root, cpus))
    return sum(values) / len(values) if values else None


def _from_cpuinfo(root: Root, cpus: set[int]) -> Iterable[float]:
    number = -1
    for line in root.lines("proc/cpuinfo"):
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and value.isdecimal():
            number = int(value)
        elif key == "cpu MHz" and number in cpus:
            try:
                yield float(value)
            except ValueError:
                continue
