"""The governor: minds memory, heat and battery between the steps of an engine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pocketr1 import messages
from pocketr1.engine.care import LOW_BATTERY, MEMORY_THRESHOLD, Care, MachineSensors, Sensors
from pocketr1.engine.heat import Heat
from pocketr1.engine.pressure import Pressure, Relief, trim_share
from pocketr1.errors import EngineError
from pocketr1.machine import Power

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine

__all__ = ["Event", "Governor", "PausedError"]

# Between two looks at the sensors, seconds.
_LOOK_SECONDS = 1.0
# A pause sleeps this long at a time, and looks whether it was cancelled.
_NAP_SECONDS = 0.1
# Above which a low battery is low no more, percent.
_RECOVERED = LOW_BATTERY + 5


class PausedError(Exception):
    """A pause for heat was interrupted before a step: nothing was computed, try again."""


@dataclass(frozen=True)
class Event:
    """Something a governor changed or has to say.

    kind: ``threads``, ``paused``, ``resumed``, ``gave-back``, ``took-again``, ``battery-low`` or
    ``unreadable``; seconds: since it governs; code and params: of its text in the catalog.
    """

    kind: str
    seconds: float
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What to tell the user, in the current language."""
        params = dict(self.params)
        if "names" in params:
            codes = [f"governor-relief-{name}" for name in params["names"]]
            known = [messages.text(c) if c in messages.CATALOG else c[16:] for c in codes]
            params["names"] = messages.text("governor-comma").join(known)
        return messages.text(self.code, **params)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: kind, seconds, the text's code and the params."""
        plain = {"kind": self.kind, "seconds": round(self.seconds, 3), "code": self.code}
        return {**plain, **self.params}


class Governor:
    """Gives memory back when others need it, and keeps the device cool and its battery for later.

    An engine asks it before every step (:meth:`Engine.govern`); it looks at the sensors once a
    second. What it does changes when tokens come and never which. Two engines of one thread, such
    as a model and its draft model, may share one.

    care: what to mind. on_event: is told each :class:`Event`, by the thread that computes; what it
    raises is dropped, as no answer is to end for a remark. events: the last hundred. sensors, clock
    (seconds) and sleep stand for the machine's in tests.
    """

    def __init__(
        self,
        care: Care | None = None,
        on_event: Callable[[Event], None] | None = None,
        *,
        sensors: Sensors | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.care = care or Care()
        self.events: deque[Event] = deque(maxlen=100)
        self._on_event = on_event
        self._sensors = sensors or MachineSensors()
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._next_look = self._began
        self._trims: deque[int] = deque()  # appended to by any thread
        self._engines: dict[Engine, tuple[Relief, ...]] = {}
        self._caches: list[Relief] = []
        self._weights: list[Relief] = []
        self._given: dict[Relief, int] = {}
        self._pressure = Pressure(self.care.memory_threshold)
        self._heat: Heat | None = None
        self._threads = self._most = self._saving = 1
        self._low = False
        self._stopped: EngineError | None = None
        self._told: set[str] = set()

    @property
    def threads(self) -> int:
        """How many threads may compute now."""
        return self._threads

    @property
    def paused(self) -> bool:
        """Whether it is too hot to compute."""
        return self._heat is not None and self._heat.paused

    @property
    def given_bytes(self) -> int:
        """Bytes given back that are to be taken again."""
        return sum(self._given.values())

    def add(self, relief: Relief) -> None:
        """Let it give back a cache, after those added before and before any pinned weights."""
        self._caches.append(relief)

    def remove(self, relief: Relief) -> None:
        """Let it mind a cache, or weights, no more; they take again what they gave back."""
        for held in (self._caches, self._weights):
            if relief in held:
                held.remove(relief)
        given = self._given.pop(relief, 0)
        if given:
            relief.take_again(given)

    def trim(self, level: int) -> None:
        """Give memory back before the next step; for Android's ``onTrimMemory``, from any thread.

        level: 5 to 80, see :func:`pocketr1.engine.pressure.trim_share`. Unused K/V pages and caches
        go at every level, half of the pinned weights from RUNNING_LOW (10) and BACKGROUND (40) on,
        all of them at RUNNING_CRITICAL (15), and from MODERATE (60) on. After half a minute they
        are taken again where there is room. Raises UsageError (``trim-level``).
        """
        trim_share(level)
        self._trims.append(level)

    def tend(
        self,
        cancelled: Callable[[], bool] = lambda: False,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Look at the sensors if it is time, act, and sleep while paused, until ``cancelled()``.

        A cancel of any of its engines ends the pause too: a draft model pauses for its model.
        Raises EngineError (``battery-stop``) where the battery is too low to go on, PausedError
        where the pause was ``interrupted()``.
        """
        self._look_if_due()
        cancels = self._cancels()
        while self.paused and not cancelled() and self._cancels() == cancels:
            if interrupted():
                raise PausedError
            self._sleep(_NAP_SECONDS)
            self._look_if_due()
        if self._stopped is not None:
            raise self._stopped

    def _cancels(self) -> list[int]:
        return [engine._cancels for engine in self._engines]

    # What Engine uses.

    def _join(self, engine: Engine, pages: Relief | None, weights: Relief | None) -> None:
        self._engines[engine] = tuple(r for r in (pages, weights) if r is not None)
        if pages is not None:
            self._caches.insert(0, pages)
        if weights is not None:
            self._weights.append(weights)
        self._most = max(each.threads for each in self._engines)
        self._threads = self._saving = self._most
        self._heat = None
        if self.care.max_temp is not None:
            self._heat = Heat(self.care.max_temp, self._most)
        for each in self._engines:
            each._use_threads(each.threads)
        self._next_look = self._clock()

    def _leave(self, engine: Engine) -> None:
        for relief in self._engines.pop(engine):
            self.remove(relief)

    def _look_if_due(self) -> None:
        now = self._clock()
        while self._trims:
            self._trim(self._trims.popleft(), now)
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        if self.care.memory_threshold or self._given:
            self._mind_memory(now)
        power = self._sensors.power() if self.care.on_battery is not None else None
        if power is not None:
            self._mind_battery(power)
        self._mind_threads(power, now)

    # Memory.

    def _mind_memory(self, now: float) -> None:
        headroom = self._sensors.headroom()
        if not headroom.known:
            if self.care.memory_threshold not in (0, MEMORY_THRESHOLD):  # asked for by the user
                self._tell_once("governor-no-memory")
            return
        known = [headroom.machine, None if headroom.group is None else headroom.group.free]
        left = min((size for size in known if size is not None), default=None)
        available = None if left is None else left // 1_000_000
        missing = self._pressure.missing(headroom, now)
        if missing:
            names, freed = self._give_back(missing)
            if freed:
                self._tell(
                    "gave-back",
                    "governor-gave-back"
                    if self._pressure.short(headroom)
                    else "governor-gave-back-stalled",
                    available_mb=available,
                    megabytes=_megabytes(freed),
                    names=names,
                )
            return
        room = self._pressure.room(headroom, now, self.given_bytes) if self._given else 0
        if room and (taken := self._take_again(room)):
            self._pressure.taken(now)
            self._tell(
                "took-again",
                "governor-took-again",
                available_mb=available,
                megabytes=_megabytes(taken),
            )

    def _give_back(self, wanted: int) -> tuple[list[str], int]:
        names: list[str] = []
        freed = 0
        for relief in (*self._caches, *self._weights):
            if freed >= wanted:
                break
            freed += self._relieve(relief, wanted - freed, names)
        return names, freed

    def _relieve(self, relief: Relief, wanted: int, names: list[str]) -> int:
        if wanted <= 0 or relief.held_bytes() <= 0:
            return 0
        freed = relief.give_back(wanted)
        if freed > 0:
            self._given[relief] = self._given.get(relief, 0) + freed
            names.append(relief.name)
        return freed

    def _take_again(self, room: int) -> int:
        """Take the dearest first; what takes nothing fills by itself, and is forgotten."""
        taken = 0
        for relief in reversed([*self._caches, *self._weights]):
            given = self._given.get(relief, 0)
            if not given or taken >= room:
                continue
            got = relief.take_again(min(given, room - taken))
            taken += got
            if got < given and (got or relief in self._weights):
                self._given[relief] = given - got
            else:
                del self._given[relief]
        return taken

    def _trim(self, level: int, now: float) -> None:
        share = trim_share(level)
        names: list[str] = []
        freed = sum(self._relieve(r, r.held_bytes(), names) for r in self._caches)
        for relief in self._weights:
            freed += self._relieve(relief, int(share * relief.held_bytes()), names)
        self._pressure.trimmed(now)
        if freed:
            self._tell(
                "gave-back",
                "governor-trimmed",
                level=level,
                megabytes=_megabytes(freed),
                names=names,
            )

    # Heat and battery.

    def _mind_battery(self, power: Power) -> None:
        self._stopped = None
        if power.on_battery is None:
            self._tell_once("governor-no-battery")
        percent = None if power.battery is None else power.battery.percent
        if not power.on_battery or percent is None:
            self._low = self._low and not (percent is not None and percent >= _RECOVERED)
            return
        if percent < LOW_BATTERY and not self._low:
            self._low = True
            self._tell("battery-low", "governor-battery-low", percent=percent)
        elif percent >= _RECOVERED:
            self._low = False
        limit = self.care.stop_below
        if limit is not None and percent < limit:
            self._stopped = EngineError("battery-stop", percent=percent, limit=limit)

    def _saving_threads(self, power: Power | None) -> int:
        if power is None or not self.care.saves or not power.on_battery:
            return self._most
        return 1 if self._low else (self._most + 1) // 2

    def _mind_threads(self, power: Power | None, now: float) -> None:
        saving, before = self._saving_threads(power), self._saving
        self._saving = saving
        if saving != before:
            percent = power.battery.percent if power is not None and power.battery else None
            shown = "?" if percent is None else str(percent)
            target = saving if self._heat is None else min(saving, self._heat.threads)
            code = "governor-on-battery" if saving < before else "governor-on-mains"
            self._use(target, code, percent=shown)
        if self._heat is not None:
            self._mind_heat(self._heat, now)

    def _mind_heat(self, heat: Heat, now: float) -> None:
        zone = self._sensors.temperature()
        celsius = None if zone is None else zone.celsius
        was_paused = heat.paused
        heat.look(celsius, now)
        if zone is None or celsius is None:
            self._tell_once("governor-no-temperature")
            if was_paused and not heat.paused:
                self._tell("resumed", "governor-resumed-blind", threads=self._threads)
            return
        read = {"zone": zone.name or "?", "celsius": celsius}
        target = min(heat.threads, self._saving)
        hotter = target < self._threads
        self._use(target, "governor-hot" if hotter else "governor-cooler", **read)
        if heat.paused and not was_paused:
            self._tell("paused", "governor-paused", **read, until=heat.cool)
        elif was_paused and not heat.paused:
            self._tell("resumed", "governor-resumed", **read, threads=self._threads)

    def _use(self, threads: int, code: str, **params: object) -> None:
        """Compute with so many threads from now on, and say so where that is a change."""
        before, self._threads = self._threads, threads
        if before == threads:
            return
        for engine in self._engines:
            engine._use_threads(min(threads, engine.threads))
        self._tell("threads", code, threads=threads, before=before, **params)

    # Words.

    def _tell(self, kind: str, code: str, **params: Any) -> None:
        event = Event(kind, self._clock() - self._began, code, params)
        self.events.append(event)
        if self._on_event is not None:
            with suppress(Exception):
                self._on_event(event)

    def _tell_once(self, code: str) -> None:
        if code not in self._told:
            self._told.add(code)
            self._tell("unreadable", code)


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)
