"""Who may use a session: the process that loaded it, one thread at a time."""

from __future__ import annotations

import os
import threading

from pocketr1.errors import EngineError

__all__ = ["Ownership"]


class Ownership:
    """The owner of one session: the process and the thread that created it.

    The core's K/V pages and thread pool belong to one caller; another thread is refused instead of
    raced with, and a forked child (which inherits the memory but not the threads) is told so.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._thread_name = threading.current_thread().name

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread of this process is the owner."""
        return self._process == os.getpid() and self._thread == threading.get_ident()

    @property
    def is_this_process(self) -> bool:
        """Whether the session was created in this process, not in a parent it was forked from."""
        return self._process == os.getpid()

    def check(self) -> None:
        """Refuse anyone but the owner: EngineError ``engine-forked`` or ``engine-thread``."""
        if not self.is_this_process:
            raise EngineError("engine-forked", owner=self._process, caller=os.getpid())
        if self._thread != threading.get_ident():
            caller = threading.current_thread().name
            raise EngineError("engine-thread", owner=self._thread_name, caller=caller)

    def take(self) -> None:
        """Make the calling thread the owner; a forked child is refused (``engine-forked``)."""
        if not self.is_this_process:
            raise EngineError("engine-forked", owner=self._process, caller=os.getpid())
        self._thread = threading.get_ident()
        self._thread_name = threading.current_thread().name
