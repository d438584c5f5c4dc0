"""Work that Ctrl-C need not wait for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

__all__ = ["aside"]

_T = TypeVar("_T")


def aside(function: Callable[[], _T]) -> _T:
    """Return what ``function`` returns, or raise what it raises, run in a thread of its own.

    Python acts on Ctrl-C in its main thread, and only when that comes back from C: a name server
    that does not answer keeps it there for ten seconds and more. The thread is left behind.
    """
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, name="pocketr1-hub", daemon=True).start()
    return future.result()
