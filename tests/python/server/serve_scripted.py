"""A server on a scripted model as a process of its own: ``serve_scripted.py JSON``.

Prints its address. The JSON may hold ``delay`` and ``pieces`` of the answer, ``grace``, ``heed``
(whether the model ends its replies when told to close) and fields of the settings.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator

from fake_backend import FakeBackend, Script

from pocketr1.cli.output import print_error
from pocketr1.errors import PocketR1Error
from pocketr1.server.app import Settings, build_app
from pocketr1.server.backend import Ended, Event, Task
from pocketr1.server.guard.limits import Limits
from pocketr1.server.http import run


class Closable(FakeBackend):
    """Ends its replies as a model does that is told to close: after the grace, as cancelled."""

    heeds = True

    async def generate(self, task: Task) -> AsyncGenerator[Event, None]:
        source = super().generate(task)
        try:
            async for event in source:
                yield event
                if self.closing and self.heeds:
                    yield Ended(0, "cancelled", 1, 0)
                    return
        finally:
            await source.aclose()

    async def close(self, grace: float = 0.0) -> None:
        end = asyncio.get_running_loop().time() + grace
        while self.running and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        self.closing = True


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    told = json.loads(sys.argv[1])
    pieces, delay = told.pop("pieces", 3), told.pop("delay", 0.0)
    limits = Limits(grace_seconds=told.pop("grace", 10.0), closing_seconds=1)
    backend = Closable(Script(reasoning=(), answer=["word "] * pieces, delay=delay))
    backend.heeds = told.pop("heed", True)
    settings = Settings(**{"port": 0, "page": False, **told}, limits=limits)
    try:
        run(build_app(backend, settings), settings, on_ready=lambda url: print(url, flush=True))
    except PocketR1Error as error:
        print_error(error, as_json=False)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
