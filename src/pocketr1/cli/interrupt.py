"""Ctrl-C while the core computes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketr1.engine import Engine

__all__ = ["cancel_on_interrupt"]

_SECONDS_BETWEEN_CANCELS = 0.05


@contextmanager
def cancel_on_interrupt(*engines: Engine) -> Iterator[None]:
    """Let Ctrl-C cancel what the engines compute, instead of raising KeyboardInterrupt.

    Python runs its signal handlers only between two bytecodes of the main thread, which may be
    seconds away while a long prompt is computed. The byte that ``set_wakeup_fd`` has written at
    once wakes a thread, and that one cancels, again and again until the block is left: work that
    begins only now must not escape. Main thread only; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    left = threading.Event()

    def watch() -> None:
        while number := os.read(reader, 1):
            while number[0] == signal.SIGINT and not left.is_set():
                for engine in engines:
                    engine.cancel()
                left.wait(_SECONDS_BETWEEN_CANCELS)

    watcher = threading.Thread(target=watch, name="pocketr1-interrupt", daemon=True)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        left.set()
        os.close(writer)
        watcher.join()
        os.close(reader)
