"""Named places of the store's work at which a test may end the process."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["POINTS", "reach", "set_hook"]

#: Every place, in the order in which a store meets them.
POINTS = (
    "open",
    "create",
    "created",
    "migrate",
    "migrated",
    "reserve",
    "begin",
    "page-row",
    "page-content",
    "before-commit",
    "after-commit",
    "evict",
    "evicted",
    "touch",
    "delete",
    "before-checkpoint",
    "after-checkpoint",
    "vacuum",
    "close",
)

_hook: Callable[[str], None] | None = None


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Have ``hook`` called with a name of POINTS whenever the store gets there."""
    global _hook
    _hook = hook


def reach(point: str) -> None:
    """Say that the store is at ``point``."""
    if _hook is not None:
        _hook(point)
