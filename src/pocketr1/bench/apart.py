"""Have work done by a process that has done nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from pocketr1 import errors
from pocketr1.errors import EngineError, PocketR1Error

__all__ = ["apart"]

# A terminal's Ctrl-C reaches both processes: this one says so, and ends the other.
_WORKER = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import sys
from pocketr1.bench.worker import main
sys.exit(main())
"""


def apart(work: str, model: str | os.PathLike[str], options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``pocketr1.bench.worker`` makes of ``work`` in a new Python process.

    Neither what this process has loaded nor its peak memory counts there. Raises what the work
    raises; EngineError (``bench-died``) where the process ended without a result, for example
    killed for its memory.
    """
    command = [sys.executable, "-c", _WORKER, work, os.fspath(model), json.dumps(options)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    try:
        tree: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        raise EngineError("bench-died", model=model, status=_status(result.returncode)) from None
    if "error" in tree:
        raise _error(tree["error"])
    return tree


def _error(tree: dict[str, Any]) -> PocketR1Error:
    cls: type[PocketR1Error] = getattr(errors, tree["class"])
    return cls(tree["code"], **tree["params"])


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
