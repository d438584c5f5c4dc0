"""Replies that repeat themselves: what a reasoning model does when compression has hurt it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["LONGEST_BLOCK", "REPEATS", "SHORTEST", "LoopWatch", "is_looping"]

#: A reply loops where a block of tokens stands at least this often in a row …
REPEATS = 4
#: … and these repetitions are at least this many tokens long together …
SHORTEST = 64
#: … for blocks of up to this many tokens.
LONGEST_BLOCK = 1024


def is_looping(token_ids: Sequence[int], shortest: int = SHORTEST) -> bool:
    """Say whether a reply contains a loop: one block of tokens, exactly repeated, over and over.

    A block of 1 to 1,024 tokens counts that stands four times or more in a row and fills
    ``shortest`` tokens or more with it. Where the loop ends, and whether the reply goes on behind
    it, makes no difference. Repetitions in other words are not found; those show as replies that
    were cut off.
    """
    ids = np.asarray(token_ids, np.int64)
    for block in range(1, min(LONGEST_BLOCK, len(ids) // REPEATS) + 1):
        # A stretch that repeats with period p, n tokens long, equals itself p later n - p times.
        wanted = max(shortest, REPEATS * block) - block
        if wanted <= len(ids) - block and _longest_run(ids[block:] == ids[:-block]) >= wanted:
            return True
    return False


class LoopWatch:
    """Says of a text that is being written, at the very token, when it has become a loop.

    The definition is that of :func:`is_looping`. A token costs the same wherever it stands: it is
    compared with the 1,024 before it, and for each distance how long that has gone well is kept.
    """

    def __init__(self, shortest: int = SHORTEST) -> None:
        self._blocks = np.arange(LONGEST_BLOCK, 0, -1)
        self._wanted = np.maximum(shortest, REPEATS * self._blocks) - self._blocks
        # The newest tokens, the last LONGEST_BLOCK of which end at _end; -1 stands before the text.
        self._ids = np.full(8 * LONGEST_BLOCK, -1, np.int32)
        self._end = LONGEST_BLOCK
        self._runs = np.zeros(LONGEST_BLOCK, np.int64)

    def feed(self, token_id: int) -> bool:
        """Take the next token; return whether the text ends in a loop."""
        if self._end == len(self._ids):
            self._ids[:LONGEST_BLOCK] = self._ids[-LONGEST_BLOCK:]
            self._end = LONGEST_BLOCK
        self._runs += 1
        self._runs *= self._ids[self._end - LONGEST_BLOCK : self._end] == token_id
        self._ids[self._end] = token_id
        self._end += 1
        return bool((self._runs >= self._wanted).any())

    def clear(self) -> None:
        """Begin with a new text."""
        self._ids[:LONGEST_BLOCK] = -1
        self._end = LONGEST_BLOCK
        self._runs[:] = 0


def _longest_run(flags: np.ndarray) -> int:
    """Return the length of the longest stretch of true flags."""
    breaks = np.flatnonzero(~flags)
    if not len(breaks):
        return len(flags)
    edges = np.concatenate(([-1], breaks, [len(flags)]))
    return int(np.diff(edges).max()) - 1
