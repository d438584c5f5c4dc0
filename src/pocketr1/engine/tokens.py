"""Token ids as callers give them: checked, and turned into what the core takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pocketr1.errors import UsageError

__all__ = ["TokenArray", "TokenIds", "as_token_array"]

TokenArray: TypeAlias = npt.NDArray[np.int32]
TokenIds: TypeAlias = Iterable[int] | npt.NDArray[np.integer]


def as_token_array(ids: TokenIds, vocab_size: int) -> TokenArray:
    """Return ``ids`` as an int32 array of shape (n,), n >= 1, every id in 0..vocab_size-1.

    Raises UsageError: ``prompt-type`` (text, floats, booleans, more than one dimension),
    ``prompt-empty``, ``token-out-of-range`` (names the id and where it stands).
    """
    if isinstance(ids, str | bytes):
        raise UsageError("prompt-type", kind=type(ids).__name__)
    try:
        array = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError("prompt-type", kind=type(ids).__name__) from error
    if array.ndim == 1 and array.size == 0:
        raise UsageError("prompt-empty")
    if array.ndim != 1:
        raise UsageError("prompt-type", kind=f"array of shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise UsageError("prompt-type", kind=f"array of {array.dtype}")
    outside = np.flatnonzero((array < 0) | (array >= vocab_size))
    if outside.size:
        place = int(outside[0])
        token = int(array[place])
        raise UsageError("token-out-of-range", token=token, place=place, vocab=vocab_size)
    return np.ascontiguousarray(array, dtype=np.int32)
