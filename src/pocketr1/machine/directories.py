"""Where a user's files go."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_directory", "data_directory", "state_directory"]

_CACHE = "POCKETR1_CACHE"
_DATA = "POCKETR1_DATA_DIR"


def cache_directory(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return where what can be made again is kept: bundles of GGUF files, keys and values.

    ``cache``; without it, the environment's POCKETR1_CACHE, XDG_CACHE_HOME/pocketr1, or
    ~/.cache/pocketr1.
    """
    if cache is not None:
        return Path(cache)
    if os.environ.get(_CACHE):
        return Path(os.environ[_CACHE])
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "pocketr1"


def data_directory(data: str | os.PathLike[str] | None = None) -> Path:
    """Return where what cannot be made again is kept: conversations.

    ``data``; without it, the environment's POCKETR1_DATA_DIR, XDG_DATA_HOME/pocketr1, or
    ~/.local/share/pocketr1. The directory may not be there yet.
    """
    if data is not None:
        return Path(data)
    if os.environ.get(_DATA):
        return Path(os.environ[_DATA])
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "pocketr1"


def state_directory() -> Path:
    """Return where lies what a program remembers of its use: the terminal's lines.

    XDG_STATE_HOME/pocketr1, or ~/.local/state/pocketr1.
    """
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "pocketr1"
