"""Replies that repeat themselves: what a reasoning model does when compression has hurt it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["LONGEST_BLOCK", "REPEATS", "SHORTEST", "is_looping"]

#: A reply loops where a block of tokens stands at least this often in a row …
REPEATS = 4
#: … and these repetitions are at least this many tokens long together …
SHORTEST = 64
#: … for blocks of up to this many tokens.
LONGEST_BLOCK = 1024


def is_looping(token_ids: Sequence[int]) -> bool:
    """Say whether a reply contains a loop: one block of tokens, exactly repeated, over and over.

    A block of 1 to 1,024 tokens counts that stands four times or more in a row and fills 64 tokens
    or more with it. Where the loop ends, and whether the reply goes on behind it, makes no
    difference. Repetitions in other words are not found; those show as replies that were cut off.
    """
    ids = np.asarray(token_ids, np.int64)
    for block in range(1, min(LONGEST_BLOCK, len(ids) // REPEATS) + 1):
        # A stretch that repeats with period p, n tokens long, equals itself p later n - p times.
        wanted = max(SHORTEST, REPEATS * block) - block
        if wanted <= len(ids) - block and _longest_run(ids[block:] == ids[:-block]) >= wanted:
            return True
    return False


def _longest_run(flags: np.ndarray) -> int:
    """Return the length of the longest stretch of true flags."""
    breaks = np.flatnonzero(~flags)
    if not len(breaks):
        return len(flags)
    edges = np.concatenate(([-1], breaks, [len(flags)]))
    return int(np.diff(edges).max()) - 1
