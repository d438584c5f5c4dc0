"""Which process writes a reply, and whether it still lives.

A reply that is found ``running`` is either being written by another process, the server or a
terminal, or was left behind by one that died. A process that writes replies holds a lock on a file
of its own; the kernel drops it however the process ends, so a lock that can be had tells of a dead
one. A process id could be another's by now, and a time stamp could be that of one that sleeps.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["Owner", "forget", "lives"]


class Owner:
    """The process that writes replies. name: what their rows say.

    directory: where the lock files lie; ``None`` where nobody else can look.
    """

    def __init__(self, directory: Path | None) -> None:
        self.name = secrets.token_hex(8)
        self._directory = directory
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Take the lock, before the first reply is begun; harmless twice. Raises OSError."""
        if self._descriptor is not None or self._directory is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(_file(self._directory, self.name), flags, 0o600)
        # Where locks are not supported another process may take a reply for abandoned; it is told
        # right when it ends.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._descriptor = descriptor

    def release(self) -> None:
        """Drop the lock; harmless twice."""
        if self._descriptor is None or self._directory is None:
            return
        forget(self._directory, self.name)
        os.close(self._descriptor)
        self._descriptor = None


def lives(directory: Path, name: str) -> bool:
    """Whether the process that calls itself ``name`` still holds its lock."""
    try:
        descriptor = os.open(_file(directory, name), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def forget(directory: Path, name: str) -> None:
    """Delete the lock file of a process that is gone."""
    with suppress(OSError):
        _file(directory, name).unlink()


def _file(directory: Path, name: str) -> Path:
    return directory / f"{name}.lock"
