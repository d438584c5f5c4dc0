"""What an engine itself can give back: K/V pages that no sequence uses, and pinned weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketr1.engine.pressure import Relief

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine

__all__ = ["reliefs"]


class UnusedPages:
    """K/V pages that sequences gave back. They are allocated again as sequences grow."""

    name = "kv-pages"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def held_bytes(self) -> int:
        """Return the bytes of all pages: which are unused shows when they are given back."""
        return self._engine.kv_bytes

    def give_back(self, wanted: int) -> int:
        """Free every unused page."""
        return self._engine.trim_pages()

    def take_again(self, wanted: int) -> int:
        """Take nothing."""
        return 0


def reliefs(engine: Engine) -> tuple[Relief | None, Relief | None]:
    """Return the engine's pages and its pinned weights; ``None`` where it has none of a kind."""
    return UnusedPages(engine), None
