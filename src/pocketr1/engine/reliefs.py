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


class PinnedWeights:
    """Weights that a memory plan keeps resident; given back they are streamed for every token."""

    name = "weights"

    def __init__(self, engine: Engine, planned: int) -> None:
        self._engine = engine
        self._planned = planned
        self._given = 0

    def held_bytes(self) -> int:
        """Return the bytes that are resident."""
        return self._engine.resident_bytes

    def give_back(self, wanted: int) -> int:
        """Keep ``wanted`` bytes less, by whole slices of tensors."""
        before = self._engine.resident_bytes
        self._engine.set_resident_limit(max(0, before - wanted))
        freed = before - self._engine.resident_bytes
        self._given += freed
        return freed

    def take_again(self, wanted: int) -> int:
        """Keep ``wanted`` bytes more as they are streamed by; with the last of them, the plan's."""
        taken = min(wanted, self._given)
        self._given -= taken
        limit = self._engine.resident_bytes + taken if self._given else self._planned
        self._engine.set_resident_limit(min(limit, self._planned))
        return taken


def reliefs(engine: Engine) -> tuple[Relief | None, Relief | None]:
    """Return the engine's pages and its pinned weights; ``None`` without a memory plan."""
    planned = engine.weight_budget
    return UnusedPages(engine), None if planned is None else PinnedWeights(engine, planned)
