"""Where the power comes from, as far as the system lets a program read it."""

from __future__ import annotations

from dataclasses import dataclass

from pocketr1.machine.root import Root

__all__ = ["Battery", "Power", "find_battery", "find_power"]

_SUPPLIES = "sys/class/power_supply"
_NOT_A_CHARGER = ("Battery", "UPS", "BMS", "Unknown")
_FILLED = ("Charging", "Full", "Not charging")


@dataclass(frozen=True)
class Battery:
    """All batteries of the machine as one; ``None`` is unknown."""

    percent: int | None
    status: str | None  # "Charging", "Discharging", "Full", …
    celsius: float | None


@dataclass(frozen=True)
class Power:
    """battery: ``None`` where there is none to be seen; plugged: ``None`` is unknown."""

    battery: Battery | None
    plugged: bool | None

    @property
    def on_battery(self) -> bool | None:
        """Whether the battery feeds the machine; ``None`` is unknown.

        What a charger says of itself counts before what the battery says.
        """
        if self.battery is None:
            return None
        if self.plugged:
            return False
        if self.battery.status == "Discharging":
            return True
        if self.battery.status in _FILLED:
            return False
        return None if self.plugged is None else True


def find_power(root: Root) -> Power:
    """Read ``/sys/class/power_supply``: batteries and chargers, those of a mouse left out.

    Android names its supplies ``battery``, ``ac``, ``usb`` and ``wireless``; the kernel's own types
    (Mains, USB, Wireless) are the same everywhere.
    """
    batteries = []
    online = []
    for name in root.names(_SUPPLIES):
        supply = f"{_SUPPLIES}/{name}"
        if root.text(f"{supply}/scope") == "Device":
            continue
        kind = root.text(f"{supply}/type")
        if kind == "Battery":
            batteries.append(_battery(root, supply))
        elif kind is not None and kind not in _NOT_A_CHARGER:
            online.append(root.integer(f"{supply}/online", 0, 16))
    known = [bool(value) for value in online if value is not None]
    plugged = any(known) if any(known) or (online and None not in online) else None
    return Power(_together(batteries), plugged)


def find_battery(root: Root) -> Battery | None:
    """Read the batteries alone."""
    return find_power(root).battery


def _battery(root: Root, supply: str) -> Battery:
    tenths = root.integer(f"{supply}/temp", -400, 1500)
    return Battery(
        root.integer(f"{supply}/capacity", 0, 100),
        root.text(f"{supply}/status"),
        None if tenths is None else tenths / 10,
    )


def _together(batteries: list[Battery]) -> Battery | None:
    if len(batteries) < 2:
        return batteries[0] if batteries else None
    percents = [b.percent for b in batteries if b.percent is not None]
    statuses = [b.status for b in batteries if b.status is not None]
    # While one of two is emptied, the other is idle ("Unknown" or "Not charging").
    first = [s for kind in ("Discharging", "Charging") for s in statuses if s == kind]
    return Battery(
        round(sum(percents) / len(percents)) if percents else None,
        next(iter([*first, *statuses]), None),
        max((b.celsius for b in batteries if b.celsius is not None), default=None),
    )
