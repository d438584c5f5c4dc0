"""The SQLite file of conversations: how it is opened, its tables, and what its errors mean."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pocketr1.errors import HistoryError

__all__ = ["APPLICATION_ID", "VERSION", "Database"]

APPLICATION_ID = 0x5031_4356  # "P1CV"
#: Version of the tables. A newer store is left alone.
VERSION = 1
_BUSY_SECONDS = 10.0

# The steps from one version to the next; the first makes the tables, which
# docs/reference/conversations.md describes.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE conversation("
        " id TEXT PRIMARY KEY, title TEXT NOT NULL, renamed INTEGER NOT NULL,"
        " created REAL NOT NULL, updated REAL NOT NULL, system TEXT, settings TEXT NOT NULL,"
        " model TEXT NOT NULL, leaf TEXT)",
        "CREATE INDEX conversation_updated ON conversation(updated, id)",
        # content stands before reasoning: a search that reads the one skips the pages of the other.
        "CREATE TABLE message("
        " number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
        " conversation TEXT NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,"
        " parent TEXT, role TEXT NOT NULL, created REAL NOT NULL, state TEXT NOT NULL,"
        " finish_reason TEXT, owner TEXT, model TEXT NOT NULL, stats TEXT NOT NULL, error TEXT,"
        " content TEXT NOT NULL, reasoning TEXT NOT NULL)",
        "CREATE INDEX message_conversation ON message(conversation)",
        "CREATE INDEX message_running ON message(owner) WHERE state = 'running'",
        # What a running reply has grown by. Adding to the message itself would write all of it
        # again each time.
        "CREATE TABLE growth("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " message INTEGER NOT NULL REFERENCES message(number) ON DELETE CASCADE,"
        " reasoning TEXT NOT NULL, content TEXT NOT NULL)",
        "CREATE INDEX growth_message ON growth(message)",
    ),
)


class Database:
    """One connection, which threads may share.

    path: the file; it and its directory are made, for their owner alone, where they are missing.
    ``None`` keeps everything in memory. read_only: only look; nothing is made or changed, and the
    file must be there.

    Every method raises HistoryError: ``history-damaged``, ``history-foreign``, ``history-newer``,
    ``history-unusable``, ``history-busy``, ``history-full``.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._explaining():
            self._connection = self._look() if read_only else self._open()
        try:
            self._check()
            if not read_only:
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement and return what it gives."""
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).fetchall()

    def changed(self, statement: str, *values: object) -> int:
        """Run one statement and return how many rows it changed."""
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).rowcount

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All that is done inside comes to be, or nothing.

        durable: it outlives a loss of power, not only of the process.
        """
        with self._lock:
            self.rows(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self._lock:
            self.rows("BEGIN")
            try:
                yield
            finally:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def scrub(self, *, shrink: bool = False, wait: bool = True) -> None:
        """Leave no copy of what was deleted in the log beside the file; shrink: give room back.

        Raises ``history-busy`` where another process reads for so long that the log must stay, at
        once without ``wait``.
        """
        if self.path is None:
            return
        with self._lock:
            if not wait:
                self.rows("PRAGMA busy_timeout = 0")
            try:
                if shrink:
                    self.rows("VACUUM")
                ((busy, _, _),) = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self.rows(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")
        if busy:
            raise HistoryError("history-busy", path=self.path)

    def close(self) -> None:
        """Close; harmless twice."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        except FileExistsError:
            # By its name: closing a descriptor of the file would drop the locks that another
            # connection of this process holds (sqlite.org/howtocorrupt.html, 2.2).
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
        return self._connect("mode=rw")

    def _look(self) -> sqlite3.Connection:
        assert self.path is not None
        # Even a reader makes the log's files where they are missing, unless it is told that nobody
        # writes: without a log nobody does.
        logged = self.path.with_name(f"{self.path.name}-wal").exists()
        return self._connect("mode=ro" if logged else "mode=ro&immutable=1")

    def _connect(self, how: str) -> sqlite3.Connection:
        assert self.path is not None
        return sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?{how}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _check(self) -> None:
        """Raise HistoryError for a file that is none of ours."""
        with self.snapshot():  # another process may be making it at this moment
            kind = self._number("PRAGMA application_id")
            version = self._number("PRAGMA user_version")
            tables = self._number("SELECT count(*) FROM sqlite_master")
        if kind != APPLICATION_ID and (kind, version, tables) != (0, 0, 0):
            raise HistoryError("history-foreign", path=self.path)
        if version > VERSION:
            raise HistoryError("history-newer", path=self.path, version=version, known=VERSION)

    def _prepare(self) -> None:
        self.rows("PRAGMA foreign_keys = ON")
        self.rows("PRAGMA secure_delete = ON")
        if self.path is not None:
            self.rows("PRAGMA journal_mode = WAL")
        if self._number("PRAGMA user_version") < VERSION:
            self._migrate()

    def _migrate(self) -> None:
        with self.transaction():
            # Another process may have been first.
            for step in _STEPS[self._number("PRAGMA user_version") :]:
                for statement in step:
                    self.rows(statement)
            self.rows(f"PRAGMA application_id = {APPLICATION_ID}")
            self.rows(f"PRAGMA user_version = {VERSION}")

    def _number(self, statement: str) -> int:
        return int(self.rows(statement)[0][0])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise _explained(error, self.path) from error


def _explained(error: sqlite3.Error | OSError, path: Path | None) -> HistoryError:
    """Return what SQLite or the system says as an error of ours."""
    where = path or ":memory:"
    text = str(error)
    if isinstance(error, OSError):
        text = error.strerror or text
    elif "not a database" in text:
        return HistoryError("history-foreign", path=where)
    elif "locked" in text or "busy" in text:
        return HistoryError("history-busy", path=where)
    elif "malformed" in text or "corrupt" in text:
        return HistoryError("history-damaged", path=where, reason=text)
    if "is full" in text or "No space" in text or ("I/O error" in text and _no_room(path)):
        return HistoryError("history-full", path=where)
    return HistoryError("history-unusable", path=where, reason=text)


def _no_room(path: Path | None) -> bool:
    try:
        return path is not None and shutil.disk_usage(path.parent).free < 1 << 20
    except OSError:
        return False
