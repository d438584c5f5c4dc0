"""Temperatures, as far as the system lets a program read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pocketr1.machine.power import Battery
from pocketr1.machine.root import Root

__all__ = ["Thermal", "ThermalZone", "degrees", "find_thermal", "watched"]

_ZONES = "sys/class/thermal"
# Degrees Celsius; what lies outside is no temperature of a device that computes. Zero is what
# sensors say that are not connected.
_COLDEST, _HOTTEST = 0.0, 125.0

# What the hand feels, and makers throttle by; then what computes. Names are the drivers' own:
# Qualcomm's xo-therm and quiet-therm lie on the board away from the heat, Tensor has VIRTUAL-SKIN,
# MediaTek mtktscpu, Exynos BIG, MID and LITTLE.
_KINDS = (
    re.compile(r"skin|quiet|xo[-_]?therm|shell|surface|back[-_]?(temp|therm|cover)", re.IGNORECASE),
    re.compile(
        r"cpu|soc|tsens|pkg|package|coretemp|k10temp|acpitz|apss?\b|cluster|"
        r"^(big|mid|little|ap)$|mtktsap",
        re.IGNORECASE,
    ),
)
_BATTERY = re.compile(r"batt|charg", re.IGNORECASE)


@dataclass(frozen=True)
class ThermalZone:
    """One sensor."""

    name: str | None  # "cpu-thermal"
    celsius: float | None


@dataclass(frozen=True)
class Thermal:
    """All sensors; on many phones apps may list but not read them, or not even list them."""

    zones: tuple[ThermalZone, ...]

    @property
    def readable(self) -> int:
        """How many tell a temperature."""
        return sum(zone.celsius is not None for zone in self.zones)

    @property
    def hottest(self) -> ThermalZone | None:
        """The sensor with the highest temperature."""
        return _hottest(self.zones)


def find_thermal(root: Root) -> Thermal:
    """Read ``/sys/class/thermal``: thousandths of a degree, of a few drivers tenths or degrees."""
    zones = []
    for name in root.names(_ZONES, "thermal_zone"):
        value = root.integer(f"{_ZONES}/{name}/temp", -(10**6), 10**6)
        zones.append(ThermalZone(root.text(f"{_ZONES}/{name}/type"), degrees(value)))
    return Thermal(tuple(zones))


def watched(thermal: Thermal, battery: Battery | None) -> ThermalZone | None:
    """Return the sensor that a limit is held against: the hottest of the first kind that there is.

    The kinds are skin (what the hand feels), CPU and SoC, all others, and the battery's own.
    """
    read = [zone for zone in thermal.zones if zone.celsius is not None]
    for kind in _KINDS:
        found = _hottest([zone for zone in read if kind.search(zone.name or "")])
        if found is not None:
            return found
    others = _hottest([zone for zone in read if not _BATTERY.search(zone.name or "")])
    if others is not None:
        return others
    if battery is not None and battery.celsius is not None:
        return ThermalZone("battery", battery.celsius)
    return _hottest(read)


def degrees(value: int | None) -> float | None:
    """Return degrees Celsius of a driver's number, whose unit its size tells; ``None`` of nonsense.

    From 1,000 on thousandths, from 126 on tenths (12.6 °C), below that degrees.
    """
    if value is None:
        return None
    unit = 1000 if value >= 1000 else 10 if value > _HOTTEST else 1
    celsius = value / unit
    return celsius if _COLDEST < celsius < _HOTTEST else None


def _hottest(zones: Sequence[ThermalZone]) -> ThermalZone | None:
    read = [zone for zone in zones if zone.celsius is not None]
    return max(read, key=lambda zone: zone.celsius or 0.0, default=None)
