"""Writing so that a crash leaves either the old state or the new."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketr1.errors import CompressionError

__all__ = ["existing_parent", "explain_write_errors", "sync_directory", "write_all", "write_file"]

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into ``compress-disk-full`` or ``compress-write``, naming ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            free = shutil.disk_usage(existing_parent(path)).free
            raise CompressionError("compress-disk-full", path=path, free=free // 10**6) from error
        reason = error.strerror or str(error)
        raise CompressionError("compress-write", path=path, reason=reason) from error


def existing_parent(path: Path) -> Path:
    """Return ``path`` or the nearest directory above it that exists."""
    path = path.absolute()
    return next((p for p in (path, *path.parents) if p.is_dir()), Path("/"))


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data`` at the descriptor's position."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all; returns when it is on disk."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Put a directory's entries on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
