"""What went wrong with the store, told once and on the thread that uses the engine."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import suppress

from pocketr1.errors import EngineError

__all__ = ["KVStoreWarning", "Notices", "warn"]


class KVStoreWarning(UserWarning):
    """The K/V store cannot be used as asked; answers are computed without it."""


def warn(notice: EngineError) -> None:
    """Give a notice as a Python warning."""
    warnings.warn(str(notice), KVStoreWarning, stacklevel=2)


class Notices:
    """Collects notices from any thread; each code is told once.

    tell: hears them. What it raises is dropped, and the notice stays in :attr:`all`: a terminal
    that is gone must not end an answer.
    """

    def __init__(self, tell: Callable[[EngineError], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._seen: dict[str, EngineError] = {}
        self._waiting: list[EngineError] = []

    def add(self, notice: EngineError) -> None:
        """Keep a notice until it is told."""
        with self._lock:
            if notice.code not in self._seen:
                self._seen[notice.code] = notice
                self._waiting.append(notice)

    def deliver(self) -> None:
        """Tell what has come since the last time; for the thread that uses the engine."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for notice in waiting:
            with suppress(Exception):
                self._tell(notice)

    @property
    def all(self) -> tuple[EngineError, ...]:
        """Every notice so far."""
        with self._lock:
            return tuple(self._seen.values())
