"""What is kept of a person on this device, and how it is erased.

Three things hold what somebody wrote or was answered: the conversations, the terminal's lines, and
the store of keys and values, which holds prompts in computed form and as tokens. Bundles of GGUF
files hold models alone, and there is no log that holds a prompt.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pocketr1.chat.history import FILE, History
from pocketr1.chat.history.database import Database
from pocketr1.chat.history.owner import lives
from pocketr1.engine.kvstore import inspect_store, prune
from pocketr1.errors import EngineError, HistoryError, PocketR1Error
from pocketr1.machine import cache_directory, data_directory, state_directory

__all__ = ["KINDS", "Erased", "Kept", "Kind", "Places", "erase", "first_notice", "kept"]

Kind: TypeAlias = Literal["conversations", "kv-store", "history"]
KINDS: tuple[Kind, ...] = ("conversations", "kv-store", "history")

_NOTICE = "privacy-notice"
# Of the notice: a higher number shows it again.
_NOTICE_VERSION = "1"
# Beside an SQLite file: its logs, and the room that the K/V store keeps for a full disk.
_SIDES = ("", "-wal", "-shm", "-journal", ".reserve", ".reserve.new")


@dataclass(frozen=True)
class Places:
    """Where each kind lies: two SQLite files and a text file."""

    conversations: Path = field(default_factory=lambda: data_directory() / FILE)
    kv_store: Path = field(default_factory=lambda: cache_directory() / "kv.sqlite3")
    history: Path = field(default_factory=lambda: state_directory() / "chat_history")

    def of(self, kind: Kind) -> Path:
        """Return the place of ``kind``."""
        return {
            "conversations": self.conversations,
            "kv-store": self.kv_store,
            "history": self.history,
        }[kind]


@dataclass(frozen=True)
class Kept:
    """What is kept of one kind.

    bytes: of the file and those beside it, 0 where there is none. count: conversations, prompts or
    lines; None where it cannot be told. oldest, newest: seconds since 1970. problem: why the file
    cannot be read.
    """

    kind: Kind
    path: Path
    bytes: int
    count: int | None = 0
    oldest: float | None = None
    newest: float | None = None
    problem: PocketR1Error | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "bytes": self.bytes,
            "count": self.count,
            "oldest": self.oldest,
            "newest": self.newest,
            "problem": None if self.problem is None else self.problem.code,
        }


@dataclass(frozen=True)
class Erased:
    """What became of one kind: the bytes it gave back, or why it is still there."""

    kind: Kind
    path: Path
    bytes: int
    problem: PocketR1Error | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        problem = None if self.problem is None else self.problem.code
        return {
            "kind": self.kind,
            "path": str(self.path),
            "bytes": self.bytes,
            "problem": problem,
        }


def kept(places: Places) -> list[Kept]:
    """Return what is kept, one entry per kind. Nothing is made or changed for it."""
    return [_conversations(places.conversations), _store(places.kv_store), _lines(places.history)]


def erase(places: Places, kinds: Iterable[Kind] = KINDS) -> list[Erased]:
    """Erase what is kept of ``kinds``, and return what became of each.

    Conversations are deleted in the file, which is overwritten where they were, log included: a
    server that has the file open goes on with it. While a reply is being written, nothing of them
    is erased. A K/V store goes as a file, unless another process has it open. One kind that cannot
    be erased keeps no other from it.
    """
    work = {"conversations": _erase_conversations, "kv-store": _erase_store, "history": _remove}
    erased = []
    for kind in kinds:
        path = places.of(kind)
        before, problem = _size(path), None
        try:
            if path.exists():
                work[kind](path)
        except PocketR1Error as error:
            problem = error
        except OSError as error:
            reason = error.strerror or str(error)
            problem = PocketR1Error("privacy-remove", path=path, reason=reason)
        erased.append(Erased(kind, path, max(0, before - _size(path)), problem))
    return erased


def first_notice(data: Path | None = None) -> bool:
    """Whether what is kept has not been told yet; from now on it has.

    data: the data directory, which remembers it; ``None`` for the default. Where that may not be
    written it is told each time.
    """
    mark = data_directory(data) / _NOTICE
    with suppress(OSError):
        if mark.read_text(encoding="utf-8").strip() == _NOTICE_VERSION:
            return False
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A mark cut short says nothing, so that the notice comes once more.
        mark.write_text(f"{_NOTICE_VERSION}\n", encoding="utf-8")
    return True


def _conversations(path: Path) -> Kept:
    size = _size(path)
    if not path.exists() or not path.stat().st_size:
        return Kept("conversations", path, size)
    try:
        database = Database(path, read_only=True)
        try:
            rows = database.rows("SELECT count(*), min(created), max(updated) FROM conversation")
        finally:
            database.close()
    except HistoryError as error:
        return Kept("conversations", path, size, None, problem=error)
    ((count, oldest, newest),) = rows
    return Kept("conversations", path, size, count, oldest, newest)


def _store(path: Path) -> Kept:
    size = _size(path)
    if not path.exists():
        return Kept("kv-store", path, size)
    try:
        models = inspect_store(path).models
    except EngineError as error:
        return Kept("kv-store", path, size, None, problem=error)
    newest = max((model.used for model in models if model.pages), default=None)
    return Kept("kv-store", path, size, sum(model.prompts for model in models), None, newest)


def _lines(path: Path) -> Kept:
    try:
        lines = path.read_bytes().count(b"\n")
        newest = path.stat().st_mtime
    except FileNotFoundError:
        return Kept("history", path, 0)
    except OSError as error:
        reason = error.strerror or str(error)
        problem = PocketR1Error("privacy-read", path=path, reason=reason)
        return Kept("history", path, _size(path), None, problem=problem)
    return Kept("history", path, _size(path), lines, None, newest)


def _erase_conversations(path: Path) -> None:
    try:
        with History(path) as history:
            if _writers(path):
                raise HistoryError("privacy-running", path=path)
            history.erase()
            if history.unscrubbed:
                raise HistoryError("history-busy", path=path)
    except HistoryError as error:
        if error.code != "history-damaged":
            raise
        for side in _SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)


def _writers(path: Path) -> list[str]:
    """Return the processes that write replies just now."""
    database = Database(path)
    try:
        rows = database.rows("SELECT DISTINCT owner FROM message WHERE state = 'running'")
    finally:
        database.close()
    locks = path.with_name(f"{path.name}.writers")
    return [str(name) for (name,) in rows if lives(locks, str(name))]


def _erase_store(path: Path) -> None:
    prune(path, everything=True)


def _remove(path: Path) -> None:
    """Delete a small file, overwritten before."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _size(path: Path) -> int:
    total = 0
    for side in _SIDES:
        with suppress(OSError):
            total += path.with_name(path.name + side).stat().st_size
    return total
