"""How many answers at once, and how many K/V pages they may hold together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketr1.engine.pages import pages_of
from pocketr1.errors import UsageError
from pocketr1.machine import Root, find_memory

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine

__all__ = ["SchedulerOptions", "kept_limit", "most_running", "page_limit"]

_RUNNING = 16
# A memory plan has scratch for the logits of about so many rows.
_PLANNED_RUNNING = 8


@dataclass(frozen=True)
class SchedulerOptions:
    """How many answers at once, and in how much memory.

    running: answers computed together, 1 or more; ``None``: 16, or 8 within a memory budget.
    waiting: answers that may wait for their turn, 0 or more.
    kv_pages: most K/V pages, of 64 tokens, that all hold together, a shared one counted once; at
        least what one full context takes. ``None``: what the memory plan has for them, or half of
        the memory available when the scheduler is made, at most ``running`` full contexts.
    kept_pages: how many of them may hold finished prompts for others that begin alike, as long as
        nobody needs the room; ``None``: half.
    chunk: rows of joining prompts in a step while answers stream; ``None``: measured, so that a
        step takes at most about twice what it takes without them.
    """

    running: int | None = None
    waiting: int = 64
    kv_pages: int | None = None
    kept_pages: int | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("running", 1),
            ("waiting", 0),
            ("kv_pages", 1),
            ("kept_pages", 0),
            ("chunk", 1),
        ):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise UsageError("scheduler-value", name=name, value=value, least=least)


def most_running(engine: Engine, asked: int | None) -> int:
    """Return how many answers are computed together."""
    if asked is not None:
        return asked
    return _RUNNING if engine.plan is None else _PLANNED_RUNNING


def page_limit(engine: Engine, asked: int | None, running: int) -> int:
    """Return the most K/V pages: those asked for or planned, the fewer; or by available memory.

    Never fewer than one full context takes, so that an answer that is alone always fits. Raises
    UsageError (``scheduler-pages``) where fewer are asked for.
    """
    least = pages_of(engine.max_context)
    if asked is not None and asked < least:
        raise UsageError("scheduler-pages", value=asked, least=least, context=engine.max_context)
    if engine.plan is not None:
        planned = max(least, engine.plan.kv // engine._session.page_bytes)
        return planned if asked is None else min(asked, planned)
    if asked is not None:
        return asked
    available = find_memory(Root()).available
    if available is None:
        return least * running
    affordable = available // 2 // engine._session.page_bytes
    return max(least, min(affordable, least * running))


def kept_limit(pages: int, asked: int | None) -> int:
    """Return how many of the pages may be kept for prompts to come."""
    return pages // 2 if asked is None else min(asked, pages)
