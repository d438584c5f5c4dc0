"""Bring a file over a line that breaks, from its very byte on, and never more than was listed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pocketr1.errors import HubError
from pocketr1.hub.origin import RemoteFile

__all__ = ["Body", "LostError", "Patience", "transfer"]


@dataclass(frozen=True)
class Patience:
    """How long to bear with a bad line. Times are seconds."""

    tries: int = 6  # in a row that bring nothing new
    connect_s: float = 10.0
    read_s: float = 30.0  # between two pieces of an answer
    wait_s: float = 1.0  # before the second try; doubles with each
    longest_wait_s: float = 60.0  # also where the server asks for more


@dataclass(frozen=True)
class Body:
    """An answer's bytes, on their way."""

    begin: int  # of the file: the first byte that comes; 0 where the server ignores ranges
    total: int | None  # the whole file's size, as the server says now
    chunks: Iterator[bytes]


class LostError(Exception):
    """A try that failed and is worth another; ``cause`` is raised where it was the last."""

    def __init__(self, cause: Exception, wait_s: float = 0.0) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.wait_s = wait_s  # as the server asks


def transfer(
    ask: Callable[[int], AbstractContextManager[Body]],
    file: RemoteFile,
    partial: Path,
    advance: Callable[[int], None],
    address: str,
    patience: Patience,
) -> None:
    """Bring ``file`` into ``partial``, going on behind what that holds; returns when it is on disk.

    Args:
        ask: requests the file from a byte on; raises LostError, then or while the body is read.
        file: what is to come.
        partial: where to.
        advance: told the bytes that are there, then as more come; negative where it starts anew.
        address: of the repository, for messages.
        patience: how often to try again. Tries count anew after each that brought new bytes.

    Raises:
        HubError: ``hub-size`` where the server has more or fewer bytes than were listed,
            ``hub-answer`` where it sends other bytes than those asked for.
        Exception: what ``ask`` raised, or the last LostError's cause.
    """
    with partial.open("ab", buffering=0) as opened:
        size = furthest = failed = 0

        def drop() -> None:
            nonlocal size
            advance(-size)
            opened.truncate(size := 0)

        size = opened.tell()
        advance(size)
        if size > file.size:
            drop()
        while size < file.size:
            try:
                with ask(size) as body:
                    if body.total not in (None, file.size):
                        raise HubError("hub-size", where=address, file=file.name)
                    if body.begin not in (0, size):
                        reason = f"{file.name}: asked for byte {size}, it sends {body.begin}"
                        raise HubError("hub-answer", where=address, reason=reason)
                    if body.begin != size:
                        drop()
                    for chunk in body.chunks:
                        if size + len(chunk) > file.size:
                            drop()
                            raise HubError("hub-size", where=address, file=file.name)
                        view = memoryview(chunk)
                        while view:
                            view = view[opened.write(view) :]
                        size += len(chunk)
                        advance(len(chunk))
                if size < file.size:
                    raise LostError(OSError(f"it ended at byte {size} of {file.size}"))
            except LostError as lost:
                if size > furthest:
                    furthest, failed = size, 0
                failed += 1
                if failed >= patience.tries:
                    raise lost.cause from None
                wait = max(patience.wait_s * 2 ** (failed - 1), lost.wait_s)
                time.sleep(min(wait, patience.longest_wait_s))
        os.fsync(opened.fileno())
