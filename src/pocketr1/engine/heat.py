"""Too hot: fewer threads, then a pause, and back with hysteresis."""

from __future__ import annotations

__all__ = ["Heat"]

# How far below the limit it must be before threads come back, degrees Celsius.
_COOLER = 3.0
# Between two changes; what a thread less does to a phone's skin shows only after a while.
_SETTLE_SECONDS = 5.0
# A pause does not last for a sensor that has fallen silent.
_LOST_SECONDS = 30.0


class Heat:
    """Decides how many threads a temperature allows.

    Above ``limit`` one thread is shed, and another every five seconds while it stays there; with
    one left it pauses. At ``limit`` less three degrees it goes on with one thread, and another
    comes back every five seconds. In between nothing changes.
    """

    def __init__(self, limit: float, threads: int) -> None:
        self.limit = limit
        self.threads = threads
        self.paused = False
        self._most = threads
        self._changed = float("-inf")
        self._seen = float("-inf")

    @property
    def cool(self) -> float:
        """The temperature at which threads come back."""
        return self.limit - _COOLER

    def look(self, celsius: float | None, now: float) -> None:
        """Learn the temperature at a time in seconds; ``None`` could not be read."""
        if celsius is None:
            if self.paused and now - self._seen >= _LOST_SECONDS:
                self.paused, self._changed = False, now
            return
        self._seen = now
        settled = now - self._changed >= _SETTLE_SECONDS
        if celsius > self.limit and not self.paused and settled:
            if self.threads > 1:
                self.threads -= 1
            else:
                self.paused = True
            self._changed = now
        elif celsius <= self.cool and self.paused:
            self.paused, self._changed = False, now
        elif celsius <= self.cool and self.threads < self._most and settled:
            self.threads += 1
            self._changed = now
