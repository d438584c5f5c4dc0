"""What an engine itself can give back: K/V pages that no sequence uses, and pinned weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketr1.engine.pressure import Relief

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine

__all__ = ["reliefs"]


def reliefs(engine: Engine) -> tuple[Relief | None, Relief | None]:
    """Return the engine's pages and its pinned weights; ``None`` where it has none of a kind."""
    return None, None
