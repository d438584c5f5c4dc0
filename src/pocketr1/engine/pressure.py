"""Memory that others need: how much to give back, and when it may be taken again."""

from __future__ import annotations

from typing import Protocol

from pocketr1.errors import UsageError
from pocketr1.machine import Headroom

__all__ = ["Pressure", "Relief", "trim_share"]

# More is given back than is missing, and left alone when it is taken again, bytes: so that small
# movements of others change nothing.
_SLACK = 64 << 20
_LEAST_TAKEN = 16 << 20
# A control group of a small container: this share of its limit, where that is below the threshold.
_GROUP_SHARE = 10
# Some task waited for memory this share of the last ten seconds: pressure, also where there is up
# to twice the threshold.
_STALL = 0.1
# How long memory must suffice before some is taken, seconds; doubled whenever that was wrong.
_CALM_SECONDS = 5.0
_LONGEST_CALM = 80.0
_CALM_AFTER_TRIM = 30.0

#: From which of Android's levels on what share of the pinned weights is given back; unused pages
#: and caches always are. Levels below 20 come while the app is in front.
_TRIM_SHARES = ((60, 1.0), (40, 0.5), (20, 0.0), (15, 1.0), (10, 0.5), (5, 0.0))


class Relief(Protocol):
    """Memory that can be given back while text is being generated, and changes no answer."""

    name: str

    def held_bytes(self) -> int:
        """Return what it could give back now."""
        ...

    def give_back(self, wanted: int) -> int:
        """Give back ``wanted`` bytes or what there is, more where it goes by pieces; return it."""
        ...

    def take_again(self, wanted: int) -> int:
        """Take up to ``wanted`` bytes; return how many. 0: it fills by itself when used."""
        ...


class Pressure:
    """Decides how many bytes to give back or take. Time is given, in seconds."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._calm = _CALM_SECONDS
        self._calm_since: float | None = None
        self._took = float("-inf")

    def missing(self, headroom: Headroom, now: float) -> int:
        """Return the bytes to give back; 0 where there is no pressure."""
        spare = self._spare(headroom)
        stalled = headroom.stall is not None and headroom.stall >= _STALL
        near = headroom.machine is None or headroom.machine < 2 * self._threshold
        if (spare is None or spare >= 0) and not (stalled and near):
            if self._calm_since is None:
                self._calm_since = now
            return 0
        if self._calm_since is not None and now - self._took < _LONGEST_CALM:
            self._calm = min(2 * self._calm, _LONGEST_CALM)  # what was taken last was too much
        self._calm_since = None
        return _SLACK + max(0, -spare if spare is not None else 0)

    def short(self, headroom: Headroom) -> bool:
        """Whether less than the threshold is available, as far as that is known."""
        spare = self._spare(headroom)
        return spare is not None and spare < 0

    def room(self, headroom: Headroom, now: float, given: int) -> int:
        """Return how many of the ``given`` bytes may be taken again now; to be asked after missing.

        It is little enough that the threshold is kept, with room to spare, when they are taken.
        """
        if self._calm_since is None or now - self._calm_since < self._calm:
            return 0
        spare = self._spare(headroom)
        room = given if spare is None else min(given, spare - 2 * _SLACK)
        return room if room >= min(given, _LEAST_TAKEN) else 0

    def taken(self, now: float) -> None:
        """Learn that memory was taken: that must prove right before more is."""
        if now - self._took >= 2 * _LONGEST_CALM:
            self._calm = _CALM_SECONDS
        self._took = self._calm_since = now

    def trimmed(self, now: float) -> None:
        """Learn that the system asked for memory: nothing is taken for a while."""
        self._calm_since = now + _CALM_AFTER_TRIM - self._calm

    def _spare(self, headroom: Headroom) -> int | None:
        """Return the bytes above the threshold, the least of what is known; below zero: missing."""
        spares = []
        if headroom.machine is not None:
            spares.append(headroom.machine - self._threshold)
        group = headroom.group
        if group is not None and group.free is not None:
            spares.append(group.free - min(self._threshold, group.limit // _GROUP_SHARE))
        return min(spares, default=None)


def trim_share(level: int) -> float:
    """Return the share of the pinned weights to give back at one of Android's trim levels.

    The levels are ComponentCallbacks2's: 5 RUNNING_MODERATE, 10 RUNNING_LOW, 15 RUNNING_CRITICAL,
    20 UI_HIDDEN, 40 BACKGROUND, 60 MODERATE, 80 COMPLETE; one in between counts as the lower.
    Raises UsageError (``trim-level``) below 5 and for what is no whole number.
    """
    if isinstance(level, bool) or not isinstance(level, int) or level < _TRIM_SHARES[-1][0]:
        raise UsageError("trim-level", value=level)
    return next(share for least, share in _TRIM_SHARES if level >= least)
