"""The store of keys and values that ``run`` and ``chat`` use, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from pocketr1.cli.output import say
from pocketr1.errors import EngineError

if TYPE_CHECKING:
    from pocketr1.engine import Engine, KVStoreOptions
    from pocketr1.engine.kvstore import KVStoreStats

__all__ = ["KVStats", "KVStore", "StoreWatch", "store_options", "store_path"]

KVStore: TypeAlias = Annotated[
    str | None, typer.Option("--kv-store", metavar="FILE|off", help="cli-option-kv-store")
]
KVStats: TypeAlias = Annotated[bool, typer.Option("--kv-stats", help="cli-option-kv-stats")]

_FILE = "kv.sqlite3"


def store_path(kv_store: str | None, cache: str | None = None) -> Path:
    """Return where the store is: as asked for, or in the directory of the cache."""
    if kv_store is not None:
        return Path(kv_store)
    from pocketr1.machine import cache_directory

    return cache_directory(cache) / _FILE


def store_options(kv_store: str | None, cache: str | None = None) -> KVStoreOptions | None:
    """Return what ``load`` is given; ``None`` for ``off``."""
    if kv_store == "off":
        return None
    from pocketr1.engine import KVStoreOptions

    return KVStoreOptions(store_path(kv_store, cache), on_notice=_tell)


class StoreWatch:
    """What the store does from now on, for one answer."""

    def __init__(self, engine: Engine) -> None:
        self._store = engine.kv_store
        self._before = self._stats()

    def document(self) -> dict[str, Any] | None:
        """Wait until the answer's pages are stored; return the counts, ``None`` without a store."""
        if self._store is None:
            return None
        self._store.flush()
        found = self._stats().since(self._before)
        self._before = self._stats()
        return {
            "path": str(self._store.path),
            "restored_tokens": found.restored_tokens,
            "restore_s": round(found.restore_seconds, 6),
            "stored_pages": found.pages,
            "stored_kv_bytes": found.kv_bytes,
            "written_bytes": found.file_bytes,
        }

    def tell(self, document: dict[str, Any] | None) -> None:
        """Say on stderr what the store did, where there is one."""
        if document is not None:
            say(
                "cli-kv-stats",
                restored=document["restored_tokens"],
                seconds=document["restore_s"],
                pages=document["stored_pages"],
                written=document["written_bytes"] / 1e6,
            )

    def _stats(self) -> KVStoreStats:
        from pocketr1.engine.kvstore import KVStoreStats

        return KVStoreStats() if self._store is None else self._store.stats


def _tell(notice: EngineError) -> None:
    say("cli-kv-notice", slug=notice.code, text=notice.what, mend=notice.mend)
