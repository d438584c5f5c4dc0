"""Measure a model in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from pocketr1 import errors
from pocketr1.bench.report import BenchOptions, BenchReport
from pocketr1.errors import EngineError, PocketR1Error

__all__ = ["run_bench"]

# A terminal's Ctrl-C reaches both processes: this one says so, and ends the other.
_WORKER = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import sys
from pocketr1.bench.worker import main
sys.exit(main())
"""


def run_bench(model: str | os.PathLike[str], options: BenchOptions | None = None) -> BenchReport:
    """Measure speed and memory of ``model`` and return the report.

    The work is done by a new Python process, so that neither what this one has loaded nor its peak
    memory counts. Raises what loading and running raise; EngineError (``bench-died``) where the
    process ended without a report, for example killed for its memory.
    """
    command = [sys.executable, "-c", _WORKER, os.fspath(model)]
    command.append(json.dumps(asdict(options or BenchOptions())))
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    try:
        tree = json.loads(result.stdout)
    except ValueError:
        raise EngineError("bench-died", model=model, status=_status(result.returncode)) from None
    if "error" in tree:
        raise _error(tree["error"])
    return BenchReport.from_dict(tree)


def _error(tree: dict[str, Any]) -> PocketR1Error:
    cls: type[PocketR1Error] = getattr(errors, tree["class"])
    return cls(tree["code"], **tree["params"])


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
