"""Where a user's files go."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_directory"]

_ENVIRONMENT = "POCKETR1_CACHE"


def cache_directory(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return where what can be made again is kept: bundles of GGUF files, keys and values.

    ``cache``; without it, the environment's POCKETR1_CACHE, XDG_CACHE_HOME/pocketr1, or
    ~/.cache/pocketr1.
    """
    if cache is not None:
        return Path(cache)
    if os.environ.get(_ENVIRONMENT):
        return Path(os.environ[_ENVIRONMENT])
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "pocketr1"
