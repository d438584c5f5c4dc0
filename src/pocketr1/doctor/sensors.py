"""Temperatures and battery, as far as the system lets a program read them."""

from __future__ import annotations

from dataclasses import dataclass

from pocketr1.machine import Root

__all__ = ["Battery", "Thermal", "ThermalZone", "find_battery", "find_thermal"]

_ZONES = "sys/class/thermal"
_SUPPLIES = "sys/class/power_supply"
_COLDEST, _HOTTEST = -40.0, 150.0  # degrees Celsius; what lies outside is no temperature


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
        read = [zone for zone in self.zones if zone.celsius is not None]
        return max(read, key=lambda zone: zone.celsius or 0.0, default=None)


@dataclass(frozen=True)
class Battery:
    """``None`` is unknown."""

    percent: int | None
    status: str | None  # "Charging", "Discharging", "Full", …
    celsius: float | None


def find_thermal(root: Root) -> Thermal:
    """Read ``/sys/class/thermal``, which holds thousandths of a degree (a few drivers: degrees)."""
    zones = []
    for name in root.names(_ZONES, "thermal_zone"):
        value = root.integer(f"{_ZONES}/{name}/temp", -(10**6), 10**6)
        celsius = None if value is None else value / 1000 if abs(value) >= 1000 else float(value)
        zones.append(ThermalZone(root.text(f"{_ZONES}/{name}/type"), _plausible(celsius)))
    return Thermal(tuple(zones))


def find_battery(root: Root) -> Battery | None:
    """Read the first battery of ``/sys/class/power_supply``."""
    for name in root.names(_SUPPLIES):
        supply = f"{_SUPPLIES}/{name}"
        # A mouse has a battery too, and says that it powers a device.
        if root.text(f"{supply}/type") != "Battery" or root.text(f"{supply}/scope") == "Device":
            continue
        tenths = root.integer(f"{supply}/temp", -400, 1500)
        return Battery(
            root.integer(f"{supply}/capacity", 0, 100),
            root.text(f"{supply}/status"),
            _plausible(None if tenths is None else tenths / 10),
        )
    return None


def _plausible(celsius: float | None) -> float | None:
    return celsius if celsius is not None and _COLDEST <= celsius <= _HOTTEST else None
