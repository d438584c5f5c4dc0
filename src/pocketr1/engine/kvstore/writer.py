"""The thread that writes: pages come in one by one and are committed as they come."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pocketr1.engine.kvstore.database import Database, explained, is_full
from pocketr1.engine.kvstore.fingerprint import Identity
from pocketr1.engine.kvstore.notices import Notices
from pocketr1.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Page", "Writer"]

# Pages that wait; one is being written, of which SQLite holds up to two copies.
_WAITING = 2
_COMMIT_PAGES = 4
_REST_SECONDS = 60.0
# The log is brought into the file when it is longer than this, or nothing came for a while: what
# several commits changed is then written once.
_LOG_BYTES = 8 << 20
_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class Page:
    """A page to be written. turn: numbers the prompts of this process.

    before: the key of the page before it, ``None`` for the first. place: 0 for the first.
    """

    identity: Identity
    turn: int
    place: int
    before: bytes | None
    key: bytes
    tokens: bytes
    data: npt.NDArray[np.uint8]


@dataclass
class Written:
    """pages, kv_bytes: of K/V; file_bytes: what was given to the system to write for them."""

    pages: int = 0
    kv_bytes: int = 0
    file_bytes: int = 0


Job = Callable[[Database], None]


class Writer:
    """Writes in the background, with a connection of its own.

    limit: bytes the store may use from now on; ``None`` leaves what it was told before.
    What fails is noted, and nothing more is written where that would fail again.
    """

    def __init__(self, path: Path, notices: Notices, limit: int | None) -> None:
        self.written = Written()
        self._path = path
        self._notices = notices
        self._limit = limit
        self._pages: deque[Page] = deque()
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._busy = self._flushing = self._stopping = self._off = False
        self._turn = self._stamp = -1
        self._resting_until = 0.0
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="pocketr1-kv-store", daemon=True)
        self._thread.start()

    @property
    def off(self) -> bool:
        """Whether nothing is written, for now or any more."""
        return self._off or time.monotonic() < self._resting_until

    def has_room(self, seconds: float = 0.0) -> bool:
        """Whether a page can be taken, now or within some seconds."""
        with self._changed:
            self._changed.wait_for(self._may_take, seconds)
            return self._may_take() and not self.off

    def put(self, page: Page) -> None:
        """Take a page; there must be room."""
        with self._changed:
            self._pages.append(page)
            self._changed.notify_all()

    def post(self, job: Job) -> None:
        """Take something small that is to be done inside of a transaction."""
        with self._changed:
            if not self.off:
                self._jobs.append(job)
                self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all that was taken is in the file, log emptied; return whether it is."""
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            return self._changed.wait_for(self._is_idle, seconds)

    def stop(self, seconds: float) -> None:
        """Write what was taken and end, within some seconds or not at all."""
        if self._process != os.getpid():
            return  # a forked child has no such thread
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _may_take(self) -> bool:
        return self.off or (len(self._pages) < _WAITING and not self._stopping)

    def _is_idle(self) -> bool:
        return self._off or not (self._pages or self._jobs or self._busy or self._flushing)

    def _run(self) -> None:
        try:
            database = Database(self._path)
        except EngineError as error:
            self._give_up(error)
            return
        if database.read_only:
            self._give_up(EngineError("kv-store-read-only", path=self._path))
            database.close()
            return
        try:
            self._work(database)
        except (sqlite3.Error, OSError) as error:
            self._fail(database, error)
        except Exception as error:  # the engine would wait for a thread that is gone
            self._give_up(EngineError("kv-store-unusable", path=self._path, reason=repr(error)))
        with suppress(sqlite3.Error, OSError):
            database.close()
        with self._changed:
            self._off, self._flushing = True, False
            self._changed.notify_all()

    def _work(self, database: Database) -> None:
        if not database.reserve():
            raise sqlite3.OperationalError("disk is full")
        if self._limit is not None and self._limit != database.limit():
            with database.transaction():
                database.execute("UPDATE meta SET value = ? WHERE name = 'limit'", self._limit)
        unlogged = 0
        while (work := self._wait(_IDLE_SECONDS if unlogged else None)) is not None:
            before = _bytes_written()
            try:
                if work:
                    self._batch(database)
                    unlogged += _bytes_written() - before or 1
                # What was written is not known everywhere; how long the log is, is.
                long = max(unlogged, database.log_bytes()) > _LOG_BYTES
                if unlogged and (not work or long or self._is_flushed()):
                    database.checkpoint()
                    unlogged = 0
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                self._rest(explained(error, self._path))
            with self._changed:
                self.written.file_bytes += _bytes_written() - before
                self._busy = False
                if not (self._pages or self._jobs or unlogged):
                    self._flushing = False
                self._changed.notify_all()
        before = _bytes_written()
        with suppress(sqlite3.OperationalError):
            if self.written.pages:
                self._count(database)
            database.checkpoint(whole=True)
        self.written.file_bytes += _bytes_written() - before

    def _count(self, database: Database) -> None:
        """Add what this process wrote, and what bringing the log in will, to the store's total."""
        total = self.written.file_bytes + database.log_bytes()
        with database.transaction():
            database.execute("UPDATE meta SET value = value + ? WHERE name = 'written'", total)

    def _wait(self, seconds: float | None) -> bool | None:
        """Wait for something to write: ``True``; ``False`` after some seconds without, or where
        the log is to be emptied; ``None`` when nothing will come any more.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._pages or self._jobs or self._stopping or self._flushing, seconds
            )
            self._busy = bool(self._pages or self._jobs)
            if self._stopping and not self._busy:
                return None
            return self._busy

    def _is_flushed(self) -> bool:
        """Whether somebody waits for what is written by now."""
        with self._changed:
            return self._flushing and not (self._pages or self._jobs)

    def _batch(self, database: Database) -> None:
        """Commit what waits; a lock is never held while waiting for more."""
        with self._changed:
            jobs = list(self._jobs)
            self._jobs.clear()
        pages = kv_bytes = 0
        with database.transaction():
            for job in jobs:
                job(database)
            limit = database.limit()
            while pages < _COMMIT_PAGES and (page := self._next_page()) is not None:
                if self._insert(database, page, limit):
                    pages += 1
                    kv_bytes += page.data.nbytes
        self.written.pages += pages
        self.written.kv_bytes += kv_bytes

    def _next_page(self) -> Page | None:
        with self._changed:
            page = self._pages.popleft() if self._pages else None
            self._changed.notify_all()
            return page

    def _insert(self, database: Database, page: Page, limit: int) -> bool:
        if page.turn != self._turn:
            self._turn, self._stamp = page.turn, database.now()
            if page.before is not None:
                database.hold(page.before, self._stamp)
        if database.chain([page.key]):
            database.touch([page.key], self._stamp)
            return False  # another conversation that begins alike was first
        data = page.data.data  # no copy
        room = limit - len(data) - (1 << 17)
        database.evict(room, self._stamp)
        if database.bytes_used() > room:
            return False  # the prompt alone is larger; its beginning is kept
        model = database.model(page.identity)
        return database.insert(
            model, page.before, page.place, page.key, page.tokens, data, self._stamp
        )

    def _rest(self, notice: EngineError) -> None:
        """Another process is at it: leave out what waits, and what comes in the next minute."""
        self._notices.add(notice)
        with self._changed:
            self._resting_until = time.monotonic() + _REST_SECONDS
            self._pages.clear()
            self._jobs.clear()
            self._changed.notify_all()

    def _fail(self, database: Database, error: sqlite3.Error | OSError) -> None:
        if is_full(error):
            with suppress(sqlite3.Error, OSError):
                give_way(database)
        self._give_up(explained(error, self._path))

    def _give_up(self, notice: EngineError) -> None:
        self._notices.add(notice)
        with self._changed:
            self._off, self._busy = True, False
            self._pages.clear()
            self._jobs.clear()
            self._changed.notify_all()


def give_way(database: Database) -> None:
    """Make the store smaller on a full disk: an eighth of it goes, and the file with it."""
    database.release_reserve()
    with database.transaction():
        database.evict(database.bytes_used() * 7 // 8)
    database.vacuum()
    database.reserve()


def _bytes_written() -> int:
    """Return how many bytes the calling thread has given to the system to write.

    Linux counts them. Elsewhere it is 0, and the store says that it does not know.
    """
    try:
        with Path("/proc/thread-self/io").open("rb") as file:
            for line in file:
                if line.startswith(b"wchar:"):
                    return int(line[6:])
    except (OSError, ValueError):
        pass
    return 0
