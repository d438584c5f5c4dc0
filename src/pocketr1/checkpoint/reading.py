"""Bytes out of a weight file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.errors import CheckpointError

__all__ = ["read_into"]


def read_into(path: Path, offset: int, out: NDArray[Any], tensor: str) -> None:
    """Fill a contiguous array from a file's bytes at ``offset``; ``tensor`` is named in errors.

    Raises:
        CheckpointError: ``checkpoint-read`` where the file is gone, unreadable or cut short.
    """
    view = out.reshape(-1).view(np.uint8).data
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            filled = 0
            while filled < len(view):
                count = file.readinto(view[filled:])
                if not count:
                    reason = f"it ends within {tensor}"
                    raise CheckpointError("checkpoint-read", where=str(path), reason=reason)
                filled += count
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(path), reason=reason) from error
