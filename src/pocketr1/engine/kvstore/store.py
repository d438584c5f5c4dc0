"""The store of one engine: what is read from it at once, what is left to the writer."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketr1.engine.kvstore.database import Database, Speeds, StoredPage, explained
from pocketr1.engine.kvstore.fingerprint import Identity, page_keys, page_tokens
from pocketr1.engine.kvstore.notices import Notices, warn
from pocketr1.engine.kvstore.writer import Page, Writer
from pocketr1.errors import EngineError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from pocketr1.engine.tokens import TokenArray

__all__ = ["LEAST_PAGES", "KVStore", "KVStoreOptions", "KVStoreStats"]

#: A prompt of fewer whole pages than this (256 tokens) is not written: computing it again takes
#: about as long as finding it, and flash wears.
LEAST_PAGES = 4

_CLOSE_SECONDS = 5.0
# When a page was used is written down again after this many microseconds: flash wears.
_TOUCH_AFTER = 3600 * 10**6
# Fewer tokens than this say little about a speed.
_TIMED_TOKENS = 256
# For so many seconds it is believed that restoring is slower; then it is tried again.
_BELIEVED = 3600


@dataclass(frozen=True)
class KVStoreOptions:
    """path: the store's file. limit_bytes: the most it may take, from now on and for every process;
    ``None`` leaves it (10^9 in a new one). on_notice: told what is wrong with the store, on the
    engine's thread, each thing once; by default a Python warning.
    """

    path: str | os.PathLike[str]
    limit_bytes: int | None = None
    on_notice: Callable[[EngineError], None] = warn

    def check(self) -> None:
        """Raise UsageError: ``kv-store-limit-value``."""
        limit = self.limit_bytes
        if limit is not None and (type(limit) is not int or limit < 1 << 20):
            raise UsageError("kv-store-limit-value", value=limit)


@dataclass
class KVStoreStats:
    """What a store did for this engine.

    restored_tokens, restore_seconds: tokens whose keys and values came from it. pages, kv_bytes:
    newly stored. file_bytes: what was given to the system to write for that, log and bookkeeping
    included; 0 where the system does not count (it is not Linux).
    """

    restored_tokens: int = 0
    restore_seconds: float = 0.0
    pages: int = 0
    kv_bytes: int = 0
    file_bytes: int = 0

    def since(self, before: KVStoreStats) -> KVStoreStats:
        """Return what came after ``before``."""
        return KVStoreStats(
            *(
                now - then
                for now, then in zip(vars(self).values(), vars(before).values(), strict=True)
            )
        )


class KVStore:
    """Keys and values of prompts, kept in a file for other processes and later days.

    Made by ``load(kv_store=…)``; ``Engine.kv_store``. It never changes an answer: a page is used
    where the fingerprint of model, tokenizer, adapters and K/V type, all tokens up to its end and
    its checksum are the same. What is wrong with it becomes a notice, and the prompt is computed.

    path: the file.
    """

    def __init__(
        self,
        options: KVStoreOptions,
        model: Path,
        files: Mapping[str, Any],
        *,
        tokenizer: str | None,
        kv_format: str,
        page_bytes: int,
    ) -> None:
        self.path = Path(options.path)
        self._limit = options.limit_bytes
        self._notices = Notices(options.on_notice)
        self._about = (model, files)
        self._fixed = {"tokenizer": tokenizer, "kv_format": kv_format, "page_bytes": page_bytes}
        self._adapters: dict[str, str] = {}
        self._identity: Identity | None = None
        self._database: Database | None = None
        self._writer: Writer | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._restored = KVStoreStats()
        self._turns = 0
        self._speeds = Speeds()
        self._failed = False
        self._open()
        self._notices.deliver()

    @property
    def usable(self) -> bool:
        """Whether the store is read, once there is something in it."""
        return not self._failed

    @property
    def writable(self) -> bool:
        """Whether pages are written, as far as is known."""
        if self._failed or (self._database is not None and self._database.read_only):
            return False
        return self._writer is None or not self._writer.off

    @property
    def notices(self) -> tuple[EngineError, ...]:
        """What has been wrong with the store so far."""
        return self._notices.all

    @property
    def identity(self) -> Identity:
        """Whose pages are looked for."""
        if self._identity is None:
            path, files = self._about
            fixed: dict[str, Any] = self._fixed
            self._identity = Identity.of(path, files, adapters=self._adapters, **fixed)
        return self._identity

    @property
    def stats(self) -> KVStoreStats:
        """What the store did so far; complete after :meth:`flush`."""
        if self._writer is None:
            return replace(self._restored)
        written = self._writer.written
        return replace(
            self._restored,
            pages=written.pages,
            kv_bytes=written.kv_bytes,
            file_bytes=written.file_bytes,
        )

    @property
    def pays(self) -> bool:
        """Whether restoring is faster than prefill, as far as is known."""
        speeds = self._speeds
        if speeds.prefill is None or speeds.restore is None:
            return True
        return speeds.restore > speeds.prefill or time.time() - speeds.measured > _BELIEVED

    def flush(self, seconds: float = _CLOSE_SECONDS) -> bool:
        """Wait until what was computed is committed; return whether it is."""
        done = self.settle(seconds)
        self._notices.deliver()
        return done

    def settle(self, seconds: float = _CLOSE_SECONDS) -> bool:
        """Wait as :meth:`flush` does, in any thread; notices wait for the engine's."""
        return self._writer is None or self._writer.flush(seconds)

    def close(self) -> None:
        """Write what is left, within 5 s, and close the file. Harmless twice."""
        self._keep_speeds()
        self._failed = True
        if self._finalizer is not None:
            self._finalizer()
        self._close_database()
        self._notices.deliver()

    # What Engine and Turn use.

    def set_adapter(
        self, tensor: str, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
    ) -> None:
        """Note that a tensor has an adapter from now on: other pages belong to it."""
        digest = hashlib.sha256(f"{a.shape}{b.shape}".encode())
        digest.update(np.ascontiguousarray(a, "<f4").tobytes())
        digest.update(np.ascontiguousarray(b, "<f4").tobytes())
        self._adapters[tensor] = digest.hexdigest()
        self._change_identity()

    def clear_adapter(self, tensor: str) -> None:
        """Note that a tensor's adapter is gone."""
        self._adapters.pop(tensor, None)
        self._change_identity()

    def wanted(self) -> bool:
        """Whether a prompt is to be looked up and kept; ``False`` where prefill is faster."""
        return self.usable and self.pays

    def keys(self, ids: TokenArray) -> list[bytes]:
        """Return the keys of the whole pages of ``ids``."""
        return page_keys(self.identity.fingerprint, ids)

    def find(self, keys: list[bytes], ids: TokenArray) -> list[StoredPage]:
        """Return the stored pages of the longest prefix."""
        self._open()
        if self._database is None:
            return []
        try:
            found = self._database.chain(keys)
        except sqlite3.Error as error:
            self._give_up(error)
            return []
        for place, page in enumerate(found):
            if page.tokens != page_tokens(ids, place):
                self.drop(page)
                return found[:place]
        return found

    def read(self, page: StoredPage) -> npt.NDArray[np.uint8] | None:
        """Return a page's bytes, shape (page_bytes,); ``None``, and drop it, where they are bad."""
        if self._database is None:
            return None
        try:
            data = self._database.content(page)
            if data is None and not self._database.chain([page.key]):
                return None  # another process has just deleted it
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        if data is None or len(data) != self.identity.page_bytes:
            self.drop(page)
            return None
        return np.frombuffer(data, np.uint8)

    def drop(self, page: StoredPage) -> None:
        """Delete a page that is not what it should be, and those behind it."""
        self._notices.add(EngineError("kv-store-page", path=self.path))
        key = page.key
        self._post(lambda database: database.delete(key))

    def used(self, pages: list[StoredPage]) -> None:
        """Note that pages were of use."""
        now = time.time_ns() // 1000
        keys = [page.key for page in pages if page.used < now - _TOUCH_AFTER]
        if keys and not (self._database is None or self._database.read_only):
            self._post(lambda database: database.touch(keys, now))

    def restored(self, tokens: int, seconds: float) -> None:
        """Take note of what restoring took."""
        self._restored.restored_tokens += tokens
        self._restored.restore_seconds += seconds
        if tokens >= _TIMED_TOKENS and seconds > 0:
            self._speeds.restore = _blend(self._speeds.restore, tokens / seconds)
            self._speeds.measured = int(time.time())

    def computed(self, tokens: int, seconds: float) -> None:
        """Take note of what prefill took."""
        if tokens >= _TIMED_TOKENS and seconds > 0:
            self._speeds.prefill = _blend(self._speeds.prefill, tokens / seconds)

    def next_turn(self) -> int:
        """Return the number of a new prompt."""
        self._turns += 1
        return self._turns

    def writer(self) -> Writer:
        """Return the writer, which starts when first needed."""
        if self._writer is None:
            self._writer = Writer(self.path, self._notices, self._limit)
            self._finalizer = weakref.finalize(self, self._writer.stop, _CLOSE_SECONDS)
        return self._writer

    def _post(self, job: Callable[[Database], None]) -> None:
        with suppress(RuntimeError):  # there is no room for a thread: it is left out
            self.writer().post(job)

    def put(self, turn: int, place: int, keys: list[bytes], tokens: bytes, data: Any) -> None:
        """Give a page to the writer, which must have room."""
        before = keys[place - 1] if place else None
        page = Page(self.identity, turn, place, before, keys[place], tokens, data)
        self.writer().put(page)

    def failed(self, error: Exception) -> None:
        """Note that a prompt could not be handed over."""
        self._notices.add(EngineError("kv-store-unusable", path=self.path, reason=repr(error)))

    def deliver(self) -> None:
        """Tell what has gone wrong."""
        self._notices.deliver()

    def _change_identity(self) -> None:
        self._keep_speeds()
        self._identity, self._speeds = None, Speeds()
        self._learn_speeds()

    def _open(self) -> None:
        """Open the file to read, where there is one; the writer makes it."""
        if self._database is not None or self._failed or not os.path.exists(self.path):  # noqa: PTH110 - Path's raises
            return
        try:
            self._database = Database(self.path)
        except EngineError as error:
            self._notices.add(error)
            self._failed = True
            return
        if self._database.read_only:
            self._notices.add(EngineError("kv-store-read-only", path=self.path))
        self._learn_speeds()

    def _learn_speeds(self) -> None:
        if self._database is None:
            return
        try:
            known = self._database.speeds(self.identity)
        except sqlite3.Error as error:
            self._give_up(error)
            return
        if known is not None:
            self._speeds = known

    def _keep_speeds(self) -> None:
        """Write the speeds down for the next process, where that changes anything."""
        if not self.writable or (self._database is None and self._writer is None):
            return
        identity, speeds = self.identity, replace(self._speeds)
        if self._database is not None:
            with suppress(sqlite3.Error):
                known = self._database.speeds(identity)
                if known is None and self._writer is None:
                    return  # nothing of this model was ever stored
                if known is not None and not speeds.differ(known):
                    return
        self._post(lambda database: database.keep_speeds(identity, speeds))

    def _give_up(self, error: sqlite3.Error) -> None:
        self._failed = True
        self._notices.add(explained(error, self.path))
        self._close_database()

    def _close_database(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def _blend(before: float | None, now: float) -> float:
    return now if before is None else (before + now) / 2
