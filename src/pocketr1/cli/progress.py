"""How far long work is, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from pocketr1 import messages
from pocketr1.cli.output import is_terminal

__all__ = ["progress_bar"]

# (code of the stage, done, total, what is at work)
Advance = Callable[..., None]
# Where nobody watches, one line now and then is enough.
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_bar() -> Iterator[Advance]:
    """Yield a function ``advance(code, done, total, detail="")``; the bar shows once it is called.

    ``code`` is the stage's text in the catalog; a new stage gets a new bar. On a terminal it is a
    bar with the time left, otherwise a line every ten seconds.
    """
    if not is_terminal(sys.stderr):
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        tasks = {}

        def advance(code: str, done: int, total: int, detail: str = "") -> None:
            if code not in tasks:
                tasks[code] = bar.add_task(messages.text(code), total=total, detail="")
            bar.update(tasks[code], completed=done, total=total, detail=detail)

        yield advance


def _lines() -> Advance:
    began: dict[str, float] = {}
    shown: dict[str, float] = {}

    def advance(code: str, done: int, total: int, detail: str = "") -> None:
        now = monotonic()
        start = began.setdefault(code, now)
        last = shown.setdefault(code, now)
        whole = done >= total and last != float("inf")
        if now - last < _SECONDS_BETWEEN_LINES and not whole:
            return
        shown[code] = float("inf") if whole else now
        left = (now - start) * (total - done) / done if done else 0.0
        share = 100 * done // total if total else 100
        text = messages.text(code)
        print(f"{text} {share}% ({left:.0f} s) {detail}".rstrip(), file=sys.stderr, flush=True)

    return advance
