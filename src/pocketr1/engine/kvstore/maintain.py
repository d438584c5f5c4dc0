"""Look at a store, make it smaller, and check every page of it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pocketr1.engine.kvstore.database import Database, StoredPage, explained, is_full
from pocketr1.engine.kvstore.fingerprint import PAGE_TOKENS, chained
from pocketr1.errors import EngineError, UsageError

__all__ = ["Check", "Freed", "StoreReport", "StoredModel", "inspect_store", "prune", "verify"]

_SHORTEST_ID = 4  # characters of a fingerprint that name a model
_SIDES = ("", "-wal", "-shm", ".reserve", ".reserve.new")


@dataclass(frozen=True)
class StoredModel:
    """What a store holds for one model with one set of adapters and one K/V type.

    id: the beginning of its fingerprint. prompts: ends of stored prompts. used: seconds since 1970.
    prefill, restore: tokens a second as last measured.
    """

    id: str
    name: str
    kv_format: str
    pages: int
    tokens: int
    prompts: int
    kv_bytes: int
    used: float
    prefill: float | None
    restore: float | None


@dataclass(frozen=True)
class StoreReport:
    """file_bytes: file, log and reserve; used_bytes: of the file, what holds something;
    written_bytes: given to the system to write by all processes so far that ended properly.
    """

    path: Path
    file_bytes: int
    used_bytes: int
    limit_bytes: int
    written_bytes: int
    models: tuple[StoredModel, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "path": str(self.path), "models": [asdict(m) for m in self.models]}


@dataclass(frozen=True)
class Freed:
    """pages: deleted; before, after: bytes of the file and its log."""

    pages: int
    before: int
    after: int


@dataclass(frozen=True)
class Check:
    """pages: looked at; problems: what is wrong, one text each."""

    pages: int
    problems: tuple[str, ...]


def inspect_store(path: str | os.PathLike[str]) -> StoreReport:
    """Return what a store holds. Raises EngineError as opening does, or ``kv-store-missing``."""
    with _opened(path) as database:
        rows = database.execute(
            "SELECT model.id, fingerprint, name, kv_format, page_bytes, prefill, restore,"
            " count(page.id), max(page.used) FROM model LEFT JOIN page ON page.model = model.id"
            " GROUP BY model.id ORDER BY max(page.used) DESC"
        ).fetchall()
        models = [_model(database, *row) for row in rows]
        return StoreReport(
            path=database.path,
            file_bytes=_file_bytes(database.path, ("", "-wal", ".reserve")),
            used_bytes=database.bytes_used(),
            limit_bytes=database.limit(),
            written_bytes=database.number("SELECT value FROM meta WHERE name = 'written'"),
            models=tuple(models),
        )


def prune(
    path: str | os.PathLike[str],
    *,
    limit_bytes: int | None = None,
    older_than: float | None = None,
    model: str | None = None,
    everything: bool = False,
) -> Freed:
    """Delete pages and give their room back; works on a full disk too.

    limit_bytes: the most the store may use, now and from now on; what was used least recently goes.
    older_than: prompts not used for so many seconds. model: those of the model of this name, or of
    this beginning of an id. everything: all, also where the store is damaged or of another version;
    the file itself goes then.

    Raises EngineError, and UsageError: ``kv-store-limit-value``, ``kv-store-model``.
    """
    if limit_bytes is not None and limit_bytes < 1 << 20:
        raise UsageError("kv-store-limit-value", value=limit_bytes)
    place = Path(path)
    if everything:
        return _remove(place)
    with _opened(path) as database:
        before, count = _file_bytes(place), database.number("SELECT count(*) FROM page")

        def work() -> None:
            with database.transaction():
                if model is not None:
                    _delete_model(database, model)
                if older_than is not None:
                    _delete_older(database, time.time_ns() // 1000 - int(older_than * 1e6))
                if limit_bytes is not None:
                    database.execute("UPDATE meta SET value = ? WHERE name = 'limit'", limit_bytes)
                    database.evict(limit_bytes)
            database.checkpoint(whole=True)
            database.vacuum()

        try:
            work()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            database.release_reserve()
            work()
        database.reserve()
        return Freed(
            pages=count - database.number("SELECT count(*) FROM page"),
            before=before,
            after=_file_bytes(place),
        )


def verify(
    path: str | os.PathLike[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> Check:
    """Check the file, every page's bytes, its tokens' hash and that what it continues is there.

    Raises EngineError where the file cannot be opened.
    """
    problems: list[str] = []
    done = 0
    try:
        with _opened(path) as database:
            database.execute("BEGIN")  # what others write meanwhile is not seen
            problems += _file_problems(database)
            total = database.number("SELECT count(*) FROM page")
            for number, problem in _page_problems(database):
                done = number
                if problem:
                    problems.append(problem)
                progress(number, total)
            orphans = database.number(
                "SELECT count(*) FROM content WHERE id NOT IN (SELECT id FROM page)"
            )
            if orphans:
                problems.append(f"{orphans} contents of no page")
    except EngineError as error:
        if error.code != "kv-store-damaged":
            raise
        problems.append(str(error.params["reason"]))
    return Check(done, tuple(problems))


def _model(
    database: Database,
    number: int,
    fingerprint: bytes,
    name: str,
    kv_format: str,
    page_bytes: int,
    prefill: float | None,
    restore: float | None,
    pages: int,
    used: int | None,
) -> StoredModel:
    prompts = database.number(
        "SELECT count(*) FROM page AS p WHERE model = ?"
        " AND NOT EXISTS (SELECT 1 FROM page WHERE parent = p.id)",
        number,
    )
    return StoredModel(
        id=fingerprint.hex()[:12],
        name=name,
        kv_format=kv_format,
        pages=pages,
        tokens=pages * PAGE_TOKENS,
        prompts=prompts,
        kv_bytes=pages * page_bytes,
        used=(used or 0) / 1e6,
        prefill=prefill,
        restore=restore,
    )


def _file_problems(database: Database) -> Iterator[str]:
    for (found,) in database.execute("PRAGMA quick_check(20)").fetchall():
        if found != "ok":
            yield f"SQLite: {found}"


def _page_problems(database: Database) -> Iterator[tuple[int, str | None]]:
    """Yield (number of the page, what is wrong with it)."""
    rows = database.execute(
        "SELECT page.id, page.place, page.key, page.tokens, page.checksum, fingerprint,"
        " before.key, before.place FROM page LEFT JOIN model ON model.id = page.model"
        " LEFT JOIN page AS before ON before.id = page.parent AND before.model = page.model"
        " ORDER BY page.id"
    ).fetchall()
    for number, row in enumerate(rows, 1):
        id_, place, key, tokens, checksum, fingerprint, parent_key, parent_place = row
        before = fingerprint if place == 0 else parent_key
        problem = None
        if before is None or (place and parent_place != place - 1):
            problem = "continues a page that is not there"
        elif chained(before, tokens) != key:
            problem = "is not of the tokens it says"
        elif database.content(StoredPage(id_, key, tokens, checksum, 0)) is None:
            problem = "does not match its checksum"
        yield number, None if problem is None else f"page {id_} ({key.hex()[:12]}) {problem}"


def _delete_model(database: Database, name: str) -> None:
    rows = database.execute("SELECT id, name, hex(fingerprint) FROM model").fetchall()
    chosen = [row[0] for row in rows if row[1] == name]
    if not chosen and len(name) >= _SHORTEST_ID:
        chosen = [row[0] for row in rows if row[2].lower().startswith(name.lower())]
    if not chosen:
        known = ", ".join(sorted({row[1] for row in rows})) or "-"
        raise UsageError("kv-store-model", name=name, known=known)
    for number in chosen:
        database.execute(
            "DELETE FROM content WHERE id IN (SELECT id FROM page WHERE model = ?)", number
        )
        database.execute("DELETE FROM page WHERE model = ?", number)
        database.execute("DELETE FROM model WHERE id = ?", number)


def _delete_older(database: Database, time_: int) -> None:
    """Delete pages not used since; a page stays as long as one behind it does."""
    kept = (
        "WITH RECURSIVE kept(id, parent) AS (SELECT id, parent FROM page WHERE used >= ?"
        " UNION SELECT page.id, page.parent FROM page JOIN kept ON page.id = kept.parent)"
    )
    for table in ("content", "page"):
        database.execute(f"{kept} DELETE FROM {table} WHERE id NOT IN (SELECT id FROM kept)", time_)


def _remove(path: Path) -> Freed:
    """Delete the store itself, if it is one and nobody has it open."""
    if not path.is_file():
        raise EngineError("kv-store-missing", path=path)
    before, count = _file_bytes(path), 0
    try:
        connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            (kind,) = connection.execute("PRAGMA application_id").fetchone()
            if kind != int.from_bytes(b"P1KV", "big"):
                raise EngineError("kv-store-foreign", path=path)
            with suppress(sqlite3.DatabaseError):
                (count,) = connection.execute("SELECT count(*) FROM page").fetchone()
            _lock(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise explained(error, path) from error
    for side in _SIDES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + side).unlink()
    return Freed(count, before, 0)


def _lock(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``kv-store-busy`` where another process has the store open."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise EngineError("kv-store-busy", path=path) from error
    except sqlite3.DatabaseError:
        pass  # damaged: it is to go


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Database]:
    place = Path(path)
    if not place.is_file():
        raise EngineError("kv-store-missing", path=place)
    database = Database(place)
    try:
        yield database
    except sqlite3.Error as error:
        raise explained(error, place) from error
    finally:
        with suppress(sqlite3.Error):
            database.close()


def _file_bytes(path: Path, sides: tuple[str, ...] = ("", "-wal")) -> int:
    total = 0
    for side in sides:
        with suppress(OSError):
            total += path.with_name(path.name + side).stat().st_size
    return total
