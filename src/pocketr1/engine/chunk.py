"""How much of joining prompts a step computes beside the answers that stream: measured."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["MOST_ROWS", "ChunkSize"]

#: Rows of prompts in one step where nobody waits for the next token.
MOST_ROWS = 512

# A step with a piece of a prompt may take so many times what one without it takes.
_STRETCH = 2.0
_FEWEST = 8
# Before a piece was measured.
_FIRST = 32
_KEPT_PIECES = 9
_KEPT_PLAIN = 3
# After so many steps with pieces comes one without, so that it is known what that takes by now.
_PLAIN_AFTER = 8
# A step with a piece that took less than this share of a plain one shows that figure to be old.
_OLD = 0.8


class ChunkSize:
    """Chooses how many rows of prompts go into the next step.

    Steps that only decode are timed by their number of rows; steps with prompts tell what each of
    their rows costs more. What disturbs a step makes it longer, so the shortest of the last plain
    ones counts; of what a row costs, the median. A piece is never more than twice the longest that
    was measured lately. Times decide when a token comes, never which.

    fixed: so many rows always, while answers stream.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._plain: dict[int, deque[float]] = {}
        # Rows of a piece, and what each of them cost more than a plain step.
        self._pieces: deque[tuple[int, float]] = deque(maxlen=_KEPT_PIECES)
        self._since_plain = 0

    def rows(self, streams: int) -> int:
        """Return how many rows of prompts go beside ``streams`` answers; 0 now and then."""
        if not streams:
            return MOST_ROWS
        if self._fixed is not None:
            return self._fixed
        plain = self._plain_seconds(streams)
        if plain is None or self._since_plain >= _PLAIN_AFTER:
            return 0
        if not self._pieces:
            return _FIRST
        row = median(cost for _, cost in self._pieces)
        most = min(MOST_ROWS, max(_FIRST, 2 * max(rows for rows, _ in self._pieces)))
        rows = most if row <= 0 else min(int((_STRETCH - 1) * plain / row), most)
        return max(_FEWEST, rows // _FEWEST * _FEWEST)

    def took(self, streams: int, rows: int, seconds: float) -> None:
        """Take note of a step of ``streams`` answers' rows and ``rows`` of prompts."""
        if not streams:
            return
        self._since_plain = self._since_plain + 1 if rows else 0
        plain = self._plain_seconds(streams)
        if not rows:
            self._plain.setdefault(streams, deque(maxlen=_KEPT_PLAIN)).append(seconds)
        elif plain is not None and seconds < _OLD * plain:
            self._since_plain = _PLAIN_AFTER
        elif plain is not None:
            self._pieces.append((rows, (seconds - plain) / rows))

    def _plain_seconds(self, streams: int) -> float | None:
        """Return what a step takes without prompts; of the next fewer answers, or more."""
        if not self._plain:
            return None
        fewer = [count for count in self._plain if count <= streams]
        return min(self._plain[max(fewer) if fewer else min(self._plain)])
