"""Stop strings: text is held back while it may still become one."""

from __future__ import annotations

from collections.abc import Iterable

from pocketr1.errors import UsageError

__all__ = ["StopMatcher"]


class StopMatcher:
    """Releases streamed text up to the stop string that is complete first.

    ``push`` returns the text that is certain to come before any stop string; what could be the
    beginning of one waits. After a match ``stopped`` is the string that was found, and neither it
    nor anything behind it is ever released.

    Raises UsageError (``stop-empty``) for an empty stop string.
    """

    def __init__(self, stop: Iterable[str]) -> None:
        self._stop = (stop,) if isinstance(stop, str) else tuple(stop)
        if any(not isinstance(text, str) or not text for text in self._stop):
            raise UsageError("stop-empty")
        self._held = ""
        self.stopped: str | None = None

    def push(self, text: str) -> str:
        """Take the next piece of text, return what may be shown."""
        if self.stopped is not None:
            return ""
        self._held += text
        # The first to be complete, so that it does not matter how the text was cut into pieces.
        found = [(p + len(s), p, s) for s in self._stop if (p := self._held.find(s)) >= 0]
        if found:
            _, place, self.stopped = min(found)
            shown, self._held = self._held[:place], ""
            return shown
        keep = max((self._overlap(s) for s in self._stop), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def finish(self) -> str:
        """Return the text still held back: the stream is over, no stop string came."""
        shown, self._held = self._held, ""
        return shown

    def _overlap(self, stop: str) -> int:
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)
