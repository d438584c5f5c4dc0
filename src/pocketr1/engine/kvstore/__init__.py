"""Keys and values that outlive the process, in SQLite."""

from __future__ import annotations

from pocketr1.engine.kvstore.database import DEFAULT_LIMIT
from pocketr1.engine.kvstore.maintain import StoreReport, inspect_store, prune, verify
from pocketr1.engine.kvstore.notices import KVStoreWarning
from pocketr1.engine.kvstore.store import LEAST_PAGES, KVStore, KVStoreOptions, KVStoreStats
from pocketr1.engine.kvstore.turn import Turn

__all__ = [
    "DEFAULT_LIMIT",
    "LEAST_PAGES",
    "KVStore",
    "KVStoreOptions",
    "KVStoreStats",
    "KVStoreWarning",
    "StoreReport",
    "Turn",
    "inspect_store",
    "prune",
    "verify",
]
