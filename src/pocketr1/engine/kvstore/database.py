"""The SQLite file: how it is opened, what is in it, and how it stays small."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pocketr1.engine.kvstore.fingerprint import Identity
from pocketr1.engine.kvstore.points import reach
from pocketr1.errors import EngineError

__all__ = ["DEFAULT_LIMIT", "VERSION", "Database", "Speeds", "StoredPage", "explained", "is_full"]

APPLICATION_ID = 0x5031_4B56  # "P1KV"
#: Version of the tables; an older store is emptied, a newer one left alone.
VERSION = 1
#: Bytes a store takes unless another limit is set.
DEFAULT_LIMIT = 10**9
# Measured on pages of 1.8 MB: reading is 1.6 times as fast as with 4,096 (docs/adr/0019).
SQLITE_PAGE = 32768
RESERVE_BYTES = 4 << 20
_BUSY_SECONDS = 5.0
_CACHE_KIB = 2048
_VACUUM_PAGES = 64
_SPEED_SECONDS = 3600
_HAS_BLOBS = sys.version_info >= (3, 11)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_OPENING = threading.Lock()

_TABLES = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    # prefill, restore: tokens a second; measured: when, in seconds since 1970.
    "CREATE TABLE model(id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE,"
    " name TEXT NOT NULL, kv_format TEXT NOT NULL, page_bytes INTEGER NOT NULL,"
    " prefill REAL, restore REAL, measured INTEGER NOT NULL DEFAULT 0)",
    # parent: the page before, 0 for the first. used: microseconds since 1970.
    "CREATE TABLE page(id INTEGER PRIMARY KEY, model INTEGER NOT NULL, parent INTEGER NOT NULL,"
    " place INTEGER NOT NULL, key BLOB NOT NULL UNIQUE, tokens BLOB NOT NULL,"
    " checksum BLOB NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX page_parent ON page(parent)",
    "CREATE INDEX page_used ON page(used)",
    # Apart, so that looking pages up does not wade through them.
    "CREATE TABLE content(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
)


@dataclass(frozen=True)
class StoredPage:
    """What the store knows of a page before reading it."""

    id: int
    key: bytes
    tokens: bytes
    checksum: bytes
    used: int


@dataclass
class Speeds:
    """Tokens a second, as last measured; ``measured``: when restoring was, seconds since 1970."""

    prefill: float | None = None
    restore: float | None = None
    measured: int = 0

    def differ(self, known: Speeds) -> bool:
        """Whether it is worth a write to replace ``known``: flash wears."""
        if self.measured - known.measured > _SPEED_SECONDS:
            return True
        pairs = ((self.prefill, known.prefill), (self.restore, known.restore))
        return any(
            now is not None and (then is None or not 2 / 3 < now / then < 3 / 2)
            for now, then in pairs
        )


class Database:
    """One connection. All methods raise sqlite3.Error, which :func:`explained` puts into words.

    path: the file. writable: it is made where there is none; otherwise it must exist.
    Opening raises EngineError: ``kv-store-foreign``, ``kv-store-newer``, and what
    :func:`explained` returns.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self.read_only = False
        try:
            try:
                self._connect(writable)
            except sqlite3.OperationalError as error:
                # On a full disk there is no room for the index of the log either.
                if not (is_full(error) or _no_room(path)):
                    raise
                self.release_reserve()
                self._connect(writable)
        except (sqlite3.Error, OSError) as error:
            raise explained(error, path) from error

    def _connect(self, writable: bool) -> None:
        with _OPENING:  # no other thread connects to a file between its making and the close
            self._connection = self._open(writable)
        try:
            self._prepare(writable)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, writable: bool) -> sqlite3.Connection:
        mode = "rw"
        if writable:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._create()
            except OSError:
                # Without a log beside it, a file that nobody may write can still be read.
                if not self.path.is_file() or self._beside("-wal").exists():
                    raise
                self.read_only, mode = True, "ro&immutable=1"
        reach("open")
        name = quote(str(self.path.absolute()))
        return sqlite3.connect(
            f"file:{name}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # an engine may change its owner
        )

    def _create(self) -> None:
        """Make the file, for nobody else to read, where there is none; else see that it is ours.

        A file that is there is not opened: closing any descriptor of it would drop the locks that
        another connection of this process holds (POSIX; sqlite.org/howtocorrupt.html, 2.2).
        """
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None

    def _prepare(self, writable: bool) -> None:
        self.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.execute("BEGIN")  # of one moment: another process may be making it
        try:
            kind, version, tables = self._state()
        finally:
            self.execute("ROLLBACK")
        if kind != APPLICATION_ID and (kind, version, tables) != (0, 0, 0):
            raise EngineError("kv-store-foreign", path=self.path)
        if version > VERSION:
            raise EngineError("kv-store-newer", path=self.path, version=version, known=VERSION)
        if self.read_only:
            if version < VERSION:
                raise EngineError("kv-store-unusable", path=self.path, reason="read-only")
            return
        if tables == 0:
            self.execute(f"PRAGMA page_size = {SQLITE_PAGE}")
            self.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = NORMAL")
        self.execute("PRAGMA wal_autocheckpoint = 0")
        self.execute(f"PRAGMA journal_size_limit = {4 * RESERVE_BYTES}")
        if version < VERSION and writable:
            self._make_tables()

    def _state(self) -> tuple[int, int, int]:
        kind, version = self.number("PRAGMA application_id"), self.number("PRAGMA user_version")
        return kind, version, self.number("SELECT count(*) FROM sqlite_master")

    def _make_tables(self) -> None:
        """Create the tables, or empty a store of an older version: it is a cache."""
        with self.transaction():
            _, version, tables = self._state()
            if version >= VERSION:
                return  # another process was first
            older = tables > 0
            reach("migrate" if older else "create")
            names = self.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                self.execute(f'DROP TABLE "{name}"')
            for statement in _TABLES:
                self.execute(statement)
            self.execute("INSERT INTO meta VALUES ('limit', ?), ('written', 0)", DEFAULT_LIMIT)
            self.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.execute(f"PRAGMA user_version = {VERSION}")
        reach("migrated" if older else "created")

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def number(self, statement: str, *values: object) -> int:
        """Return the one number a query gives; 0 where it gives none."""
        row = self.execute(statement, *values).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done inside comes to be, or nothing."""
        self.execute("BEGIN IMMEDIATE")
        reach("begin")
        try:
            yield
            reach("before-commit")
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.execute("ROLLBACK")
            raise
        reach("after-commit")

    def close(self) -> None:
        """Close; harmless twice."""
        reach("close")
        self._connection.close()

    # Reading.

    def chain(self, keys: list[bytes]) -> list[StoredPage]:
        """Return the pages of the longest prefix of ``keys`` that is there."""
        found = []
        for key in keys:
            row = self.execute(
                "SELECT id, key, tokens, checksum, used FROM page WHERE key = ?", key
            ).fetchone()
            if row is None:
                break
            found.append(StoredPage(*row))
        return found

    def content(self, page: StoredPage) -> bytes | None:
        """Return a page's bytes where they are those that were written."""
        try:
            if _HAS_BLOBS:
                connection: Any = self._connection
                with connection.blobopen("content", "bytes", page.id, readonly=True) as blob:
                    data: bytes = blob.read()
            else:
                row = self.execute("SELECT bytes FROM content WHERE id = ?", page.id).fetchone()
                data = b"" if row is None else bytes(row[0])
        except sqlite3.OperationalError as error:
            if "no such rowid" not in str(error):
                raise
            return None
        return data if hashlib.sha256(data).digest() == page.checksum else None

    def speeds(self, identity: Identity) -> Speeds | None:
        """Return what is known of a model's speeds; ``None`` where the model is not."""
        row = self.execute(
            "SELECT prefill, restore, measured FROM model WHERE fingerprint = ?",
            identity.fingerprint,
        ).fetchone()
        return None if row is None else Speeds(*row)

    def bytes_used(self) -> int:
        """Return the bytes of the file that hold something."""
        pages = self.number("PRAGMA page_count") - self.number("PRAGMA freelist_count")
        return pages * self.number("PRAGMA page_size")

    def limit(self) -> int:
        """Return the most bytes the store may use."""
        return self.number("SELECT value FROM meta WHERE name = 'limit'") or DEFAULT_LIMIT

    # Writing; inside of a transaction.

    def model(self, identity: Identity) -> int:
        """Return the row of a model, new or known."""
        self.execute(
            "INSERT OR IGNORE INTO model(fingerprint, name, kv_format, page_bytes)"
            " VALUES (?, ?, ?, ?)",
            *(identity.fingerprint, identity.name, identity.kv_format, identity.page_bytes),
        )
        return self.number("SELECT id FROM model WHERE fingerprint = ?", identity.fingerprint)

    def keep_speeds(self, identity: Identity, speeds: Speeds) -> None:
        """Replace what is known of a model's speeds."""
        self.execute(
            "UPDATE model SET prefill = ?, restore = ?, measured = ? WHERE fingerprint = ?",
            *(speeds.prefill, speeds.restore, speeds.measured, identity.fingerprint),
        )

    def insert(
        self,
        model: int,
        before: bytes | None,
        place: int,
        key: bytes,
        tokens: bytes,
        data: memoryview,
        used: int,
    ) -> bool:
        """Add a page behind the one with the key ``before``; return False where that is missing."""
        parent = 0
        if before is not None:
            parent = self.number("SELECT id FROM page WHERE key = ?", before)
            if parent == 0:
                return False
        checksum = hashlib.sha256(data).digest()
        row = self.execute(
            "INSERT OR IGNORE INTO page(model, parent, place, key, tokens, checksum, used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(model, parent, place, key, tokens, checksum, used),
        )
        if row.rowcount < 1:
            return True
        reach("page-row")
        self.execute("INSERT INTO content VALUES (?, ?)", row.lastrowid, data)
        reach("page-content")
        return True

    def evict(self, wanted: int, before: int | None = None) -> int:
        """Delete pages, least recently used first and none before its successors.

        wanted: bytes that may stay in use. before: pages used then or later stay. Returns how many
        were deleted.
        """
        gone = 0
        while self.bytes_used() > wanted:
            row = self.execute(
                "SELECT id FROM page AS p WHERE used < ?"
                " AND NOT EXISTS (SELECT 1 FROM page WHERE parent = p.id) ORDER BY used, place DESC"
                " LIMIT 1",
                before if before is not None else 1 << 62,
            ).fetchone()
            if row is None:
                break
            reach("evict")
            self.execute("DELETE FROM content WHERE id = ?", row[0])
            self.execute("DELETE FROM page WHERE id = ?", row[0])
            gone += 1
            reach("evicted")
        return gone

    def hold(self, key: bytes, used: int) -> None:
        """Note that a page and all before it are in use, so that nothing evicts them."""
        self.execute(
            "WITH RECURSIVE up(id, parent) AS (SELECT id, parent FROM page WHERE key = ?"
            " UNION SELECT page.id, page.parent FROM page JOIN up ON page.id = up.parent)"
            " UPDATE page SET used = max(used, ?) WHERE id IN (SELECT id FROM up)",
            *(key, used),
        )

    def delete(self, key: bytes) -> None:
        """Delete a page and all behind it."""
        reach("delete")
        tree = (
            "WITH RECURSIVE gone(id) AS (SELECT id FROM page WHERE key = ?"
            " UNION SELECT page.id FROM page JOIN gone ON page.parent = gone.id)"
        )
        self.execute(f"{tree} DELETE FROM content WHERE id IN (SELECT id FROM gone)", key)
        self.execute(f"{tree} DELETE FROM page WHERE id IN (SELECT id FROM gone)", key)

    def touch(self, keys: list[bytes], used: int) -> None:
        """Note that pages were used."""
        reach("touch")
        for key in keys:
            self.execute("UPDATE page SET used = max(used, ?) WHERE key = ?", used, key)

    def now(self) -> int:
        """Return a time later than that of any page, whatever the clock says; microseconds."""
        latest = self.number("SELECT max(used) FROM page")
        return max(time.time_ns() // 1000, latest + 1)

    # The file; outside of a transaction.

    def checkpoint(self, *, whole: bool = False) -> None:
        """Bring the log into the file; ``whole``: and leave no log."""
        reach("before-checkpoint")
        kind = "TRUNCATE" if whole else "PASSIVE"
        self.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
        reach("after-checkpoint")

    def vacuum(self) -> None:
        """Give what is free in the file back to the system, in steps that need little room."""
        while self.number("PRAGMA freelist_count") > 0:
            before = self.number("PRAGMA freelist_count")
            self.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
            reach("vacuum")
            self.checkpoint(whole=True)
            if self.number("PRAGMA freelist_count") >= before:
                break

    def log_bytes(self) -> int:
        """Return the size of the log beside the file."""
        with suppress(OSError):
            return self._beside("-wal").stat().st_size
        return 0

    def reserve(self) -> bool:
        """Hold room beside the store with which deleting works on a full disk; False: none left.

        Where a file system can set none aside, zeros are written.
        """
        place = self._beside(".reserve")
        if _has_size(place, RESERVE_BYTES):
            return True
        fresh = self._beside(".reserve.new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _allocate(descriptor, RESERVE_BYTES)
                reach("reserve")
            finally:
                os.close(descriptor)
            fresh.replace(place)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            # Another process may have been at the same file and given it its name.
            return _has_size(place, RESERVE_BYTES) or error.errno not in _NO_SPACE
        return True

    def release_reserve(self) -> None:
        """Give the reserved room up."""
        with suppress(OSError):
            self._beside(".reserve").unlink()

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _allocate(descriptor: int, size: int) -> None:
    """Make a new file so large, in blocks of its own."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:  # macOS; file systems that cannot
        if getattr(error, "errno", None) in _NO_SPACE:
            raise
        for _ in range(size >> 16):
            os.write(descriptor, bytes(1 << 16))


def _no_room(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < 1 << 20
    except OSError:
        return False


def is_full(error: BaseException) -> bool:
    """Whether the disk, or what the file may take of it, is used up."""
    return "is full" in str(error)


def explained(error: sqlite3.Error | OSError, path: Path) -> EngineError:
    """Return what SQLite or the system says as an error of ours."""
    if isinstance(error, OSError):
        return EngineError("kv-store-unusable", path=path, reason=error.strerror or str(error))
    text = str(error)
    if "not a database" in text:
        return EngineError("kv-store-foreign", path=path)
    if "is full" in text:
        return EngineError("kv-store-full", path=path)
    if "locked" in text or "busy" in text:
        return EngineError("kv-store-busy", path=path)
    if "I/O error" in text and _no_room(path):
        return EngineError("kv-store-full", path=path)
    if "readonly" in text or "unable to open" in text or "I/O error" in text:
        return EngineError("kv-store-unusable", path=path, reason=text)
    return EngineError("kv-store-damaged", path=path, reason=text)
