"""A machine for governors whose sensors, time and caches the test holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pocketr1.engine import Care, Governor
from pocketr1.machine import Battery, Headroom, Power, ThermalZone

MB = 1 << 20


@dataclass
class World:
    """The machine: what its sensors say, and its time, which passes only when one sleeps."""

    now: float = 1000.0
    memory: Headroom = field(default_factory=lambda: Headroom(4000 * MB))
    celsius: float | None = 30.0
    supply: Power = field(
        default_factory=lambda: Power(Battery(80, "Discharging", None), plugged=False)
    )
    looks: int = 0
    naps: list[float] = field(default_factory=list)
    # What happens while one sleeps, by the number of the nap.
    meanwhile: dict[int, Any] = field(default_factory=dict)

    def headroom(self) -> Headroom:
        self.looks += 1
        return self.memory

    def temperature(self) -> ThermalZone | None:
        return None if self.celsius is None else ThermalZone("skin", self.celsius)

    def power(self) -> Power:
        return self.supply

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)
        assert len(self.naps) < 10_000, "it sleeps for ever"
        self.meanwhile.get(len(self.naps), lambda: None)()

    def governor(self, **care: Any) -> Governor:
        return Governor(Care(**care), sensors=self, clock=self.clock, sleep=self.sleep)

    def battery(self, percent: int, plugged: bool = False) -> None:
        status = "Charging" if plugged else "Discharging"
        self.supply = Power(Battery(percent, status, None), plugged)


@dataclass(eq=False)
class Cache:
    """A relief of ``held`` bytes; one that ``fills`` by itself takes nothing."""

    name: str
    held: int
    fills: bool = False
    given: int = 0

    def held_bytes(self) -> int:
        return self.held

    def give_back(self, wanted: int) -> int:
        freed = min(wanted, self.held)
        self.held -= freed
        self.given += freed
        return freed

    def take_again(self, wanted: int) -> int:
        taken = 0 if self.fills else min(wanted, self.given)
        self.held += taken
        self.given -= taken
        return taken
