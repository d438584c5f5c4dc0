"""What a governor is asked to mind: options, and what it reads of the machine."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from pocketr1.errors import UsageError
from pocketr1.machine import (
    Headroom,
    Power,
    Root,
    ThermalZone,
    find_headroom,
    find_power,
    find_thermal,
    watched,
)

__all__ = ["LOW_BATTERY", "MEMORY_THRESHOLD", "Care", "MachineSensors", "Sensors"]

#: Bytes of available memory below which ours is given back.
MEMORY_THRESHOLD = 500_000_000
#: Percent; below it a battery is called low.
LOW_BATTERY = 15

_COOLEST, _HOTTEST = 25.0, 110.0
_PROFILE = re.compile(r"full|save|stop(?::([0-9]{1,2}))?")


@dataclass(frozen=True)
class Care:
    """Options of a :class:`Governor`.

    max_temp: degrees Celsius, 25 to 110; above it threads are shed one at a time, then the engine
        pauses. ``None`` minds no temperature.
    on_battery: while the machine runs on its battery, ``"full"`` computes as always and says when
        the battery is low (below 15%); ``"save"`` takes half the threads, and one when it is low;
        ``"stop"`` does as save and refuses to compute when it is low, ``"stop:30"`` below 30%
        (1 to 99). ``None`` does not look at it.
    memory_threshold: bytes; when less memory is available, caches and pinned weights are given
        back. 0 does not look at it, and :meth:`Governor.trim` still works.

    Raises UsageError: ``max-temp-value``, ``on-battery-value``, ``memory-threshold-value``.
    """

    max_temp: float | None = None
    on_battery: str | None = None
    memory_threshold: int = MEMORY_THRESHOLD

    def __post_init__(self) -> None:
        limit: Any = self.max_temp
        if limit is not None and not (_is_number(limit) and _COOLEST <= limit <= _HOTTEST):
            raise UsageError("max-temp-value", value=limit, low=_COOLEST, high=_HOTTEST)
        if self.on_battery is not None and _profile(self.on_battery) is None:
            raise UsageError("on-battery-value", value=self.on_battery)
        threshold: Any = self.memory_threshold
        whole = isinstance(threshold, int) and not isinstance(threshold, bool)
        if not whole or threshold < 0:
            raise UsageError("memory-threshold-value", value=threshold)

    @property
    def saves(self) -> bool:
        """Whether fewer threads compute on battery."""
        return self.on_battery is not None and self.on_battery != "full"

    @property
    def stop_below(self) -> int | None:
        """Percent of the battery below which nothing is computed; ``None`` is never."""
        match = _profile(self.on_battery)
        if match is None or not match[0].startswith("stop"):
            return None
        return int(match[1]) if match[1] else LOW_BATTERY


class Sensors(Protocol):
    """What a governor reads of the machine."""

    def headroom(self) -> Headroom:
        """Return how much memory others leave."""
        ...

    def temperature(self) -> ThermalZone | None:
        """Return the temperature a limit is held against; ``None`` where there is none to read."""
        ...

    def power(self) -> Power:
        """Return where the power comes from."""
        ...


class MachineSensors:
    """The sensors of a machine, or of a tree that stands for one."""

    def __init__(self, root: Root | None = None) -> None:
        self._root = root or Root()

    def headroom(self) -> Headroom:
        """Read ``/proc`` and the control groups."""
        return find_headroom(self._root)

    def temperature(self) -> ThermalZone | None:
        """Read the thermal zones; where none can be read, the battery's own sensor."""
        return watched(find_thermal(self._root), find_power(self._root).battery)

    def power(self) -> Power:
        """Read the power supplies."""
        return find_power(self._root)


def _profile(value: object) -> re.Match[str] | None:
    match = _PROFILE.fullmatch(value) if isinstance(value, str) else None
    return None if match is None or (match[1] is not None and int(match[1]) < 1) else match


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
