"""How much of joining prompts a step computes beside the answers that stream: measured."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["MOST_ROWS", "ChunkSize"]

#: Rows of prompts in one step where nobody waits for the next token.
MOST_ROWS = 512

# A step with a piece of a prompt may take so many times what one without it takes.
_STRETCH = 2.5
_FEWEST = 8
# Before anything was measured.
_FIRST = 32
_KEPT_TIMES = 9


class ChunkSize:
    """Chooses how many rows of prompts go into the next step.

    Steps that only decode are timed by their number of rows; steps with prompts tell what each of
    their rows costs more. Medians of the last nine, so that one disturbance decides nothing. Times
    decide when a token comes, never which.

    fixed: so many rows always, while answers stream.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._plain: dict[int, deque[float]] = {}
        self._extra: deque[float] = deque(maxlen=_KEPT_TIMES)

    def rows(self, streams: int) -> int:
        """Return how many rows of prompts go beside ``streams`` answers."""
        if not streams:
            return MOST_ROWS
        if self._fixed is not None:
            return self._fixed
        plain = self._plain_seconds(streams)
        if plain is None or not self._extra:
            return _FIRST
        row = median(self._extra)
        if row <= 0:
            return MOST_ROWS
        rows = int((_STRETCH - 1) * plain / row)
        return max(_FEWEST, min(rows // _FEWEST * _FEWEST, MOST_ROWS))

    def took(self, streams: int, rows: int, seconds: float) -> None:
        """Take note of a step of ``streams`` answers' rows and ``rows`` of prompts."""
        if not rows:
            self._plain.setdefault(streams, deque(maxlen=_KEPT_TIMES)).append(seconds)
            return
        plain = self._plain_seconds(streams)
        if streams and plain is not None:
            self._extra.append((seconds - plain) / rows)

    def _plain_seconds(self, streams: int) -> float | None:
        """Return what a step takes without prompts; of the next fewer answers, or more."""
        if not self._plain:
            return None
        fewer = [count for count in self._plain if count <= streams]
        return median(self._plain[max(fewer) if fewer else min(self._plain)])
