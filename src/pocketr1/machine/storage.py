"""How fast a directory's storage writes and reads."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["StorageSpeed", "measure_storage"]

_BLOCK = 4 << 20  # bytes written or read at a time
_SECONDS = 3.0  # of writing, and again of reading


@dataclass(frozen=True)
class StorageSpeed:
    """Bytes per second; ``None`` is not measured."""

    bytes: int  # written and read back
    write: float  # until they are on the storage
    read: float | None  # with the page cache dropped; None where it cannot be


def measure_storage(directory: Path, size: int) -> StorageSpeed | None:
    """Write at most ``size`` bytes into a new file of ``directory`` and read them back.

    Random bytes, so that a file system that compresses gains nothing; fewer of them where writing
    takes more than three seconds. The file has no name, or loses it at once, so nothing is left
    behind however this ends. ``None`` where nothing may be written.
    """
    block = os.urandom(max(1, min(_BLOCK, size)))
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            descriptor = file.fileno()
            start = time.perf_counter()
            written = 0
            while written < size and (not written or time.perf_counter() - start < _SECONDS):
                written += os.write(descriptor, block[: size - written])
            os.fsync(descriptor)
            write_seconds = time.perf_counter() - start
            return StorageSpeed(written, written / write_seconds, _read_back(descriptor))
    except OSError:
        return None


def _read_back(descriptor: int) -> float | None:
    """Return the bytes per second of reading what lies on the storage."""
    if not hasattr(os, "posix_fadvise"):
        return None
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(descriptor, 0, os.SEEK_SET)
    start = time.perf_counter()
    done = 0
    while time.perf_counter() - start < _SECONDS and (data := os.read(descriptor, _BLOCK)):
        done += len(data)
    return done / (time.perf_counter() - start) if done else None
