"""What a process that measures our engine runs; its arguments are WORK, MODEL and OPTIONS_JSON.

Prints one JSON document: the result, or the error as class, code and parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from pocketr1.errors import PocketR1Error

__all__ = ["main"]


def main() -> int:
    """Do the work the command line names."""
    work, model, options = sys.argv[1:]
    try:
        result = _WORKS[work](model, json.loads(options))
    except PocketR1Error as error:
        params = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in error.params.items()
        }
        failure = {"class": type(error).__name__, "code": error.code, "params": params}
        print(json.dumps({"error": failure}))
        return error.exit_code
    print(json.dumps(result))
    return 0


def _measure(model: str, options: dict[str, Any]) -> dict[str, Any]:
    from pocketr1.bench.measure import measure
    from pocketr1.bench.report import BenchOptions

    return measure(model, BenchOptions(**options)).to_dict()


def _peak(model: str, options: dict[str, Any]) -> dict[str, Any]:
    from pocketr1.bench.measure import measure_peak
    from pocketr1.bench.report import BenchOptions

    return {"peak_rss_bytes": measure_peak(model, BenchOptions(**options))}


def _scenario(model: str, options: dict[str, Any]) -> dict[str, Any]:
    from pocketr1.bench.scenarios import measure_scenario

    return measure_scenario(model, options)


def _quality(model: str, options: dict[str, Any]) -> dict[str, Any]:
    from pocketr1.bench.steps import measure_quality

    return measure_quality(model, options)


_WORKS: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    "measure": _measure,
    "peak": _peak,
    "scenario": _scenario,
    "quality": _quality,
}
