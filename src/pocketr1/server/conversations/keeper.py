"""The store of conversations beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pocketr1.chat.history import History

__all__ = ["Keeper"]

_T = TypeVar("_T")


class Keeper:
    """Does what is asked of the store in a thread of its own, in the order in which it is asked.

    path: the file. It is opened at the first use, and again at the next where that failed: a store
    that cannot be used keeps the server from nothing else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._history: History | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pocketr1-history")

    async def do(self, work: Callable[[History], _T]) -> _T:
        """Return what ``work`` does with the store; raises what it raises.

        Once begun it is done, also where the caller is cancelled.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    async def close(self) -> None:
        """Do what has been asked for, and close the store."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _do(self, work: Callable[[History], _T]) -> _T:
        if self._history is None:
            self._history = History(self.path)
        return work(self._history)

    def _close(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None
