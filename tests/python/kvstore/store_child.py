"""A process that uses a store and is killed at a named place.

    python store_child.py STORE POINT COUNT LIMIT

Ends itself by SIGKILL when the store reaches POINT for the COUNTth time. LIMIT: of the store's
bytes, 0 for none. Prints how often POINT was reached where that was less.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from store_support import always_pays, answers, prompt

from pocketr1.engine import KVStoreOptions
from pocketr1.engine.kvstore import points, prune, store


def main() -> None:
    path, point, count, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    reached = 0

    def hook(at: str) -> None:
        nonlocal reached
        if at == point:
            reached += 1
            if reached == count:
                os.kill(os.getpid(), signal.SIGKILL)

    always_pays()
    points.set_hook(hook)
    store._TOUCH_AFTER = 0
    options = KVStoreOptions(path, limit_bytes=limit or None)
    answers([prompt(seed) for seed in (0, 1, 2)], options)
    if limit:
        prune(path, limit_bytes=1 << 20)
    print(reached)


if __name__ == "__main__":
    main()
