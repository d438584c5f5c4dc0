"""Which of a file's pages the system holds in memory, and having it let go of them."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["STILL_WARM", "drop", "resident_share"]

#: A cold start that finds more of its files in memory than this share is none.
STILL_WARM = 0.02


def drop(files: Iterable[Path]) -> None:
    """Ask the system to forget the files' pages; it keeps those that some process has mapped."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for path in files:
        with contextlib.suppress(OSError), path.open("rb") as file:
            # Pages that are not yet written out stay.
            os.fsync(file.fileno())
            advise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_share(files: Iterable[Path]) -> float | None:
    """Return the share of the files' pages that are in memory; ``None`` where none can say."""
    resident = pages = 0
    for path in files:
        try:
            with path.open("rb") as file:
                found = _resident(file.fileno())
        except (OSError, ValueError, AttributeError):
            return None
        resident += found[0]
        pages += found[1]
    return resident / pages if pages else None


def _resident(descriptor: int) -> tuple[int, int]:
    """Return (pages in memory, pages); mincore(2)."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    vector = (ctypes.c_ubyte * pages)()
    # A private, writable mapping: only its address lets itself be taken. Nothing is written.
    with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        try:
            failed = libc.mincore(
                ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), vector
            )
        finally:
            del first
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(byte & 1 for byte in bytes(vector)), pages
