"""What the process that measures runs; its arguments are MODEL and OPTIONS_JSON.

Prints one JSON document: the report, or the error as class, code and parameters.
"""

from __future__ import annotations

import json
import sys

from pocketr1.bench.measure import measure
from pocketr1.bench.report import BenchOptions
from pocketr1.errors import PocketR1Error

__all__ = ["main"]


def main() -> int:
    """Measure as the command line says."""
    model, options = sys.argv[1:]
    try:
        report = measure(model, BenchOptions(**json.loads(options)))
    except PocketR1Error as error:
        params = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in error.params.items()
        }
        failure = {"class": type(error).__name__, "code": error.code, "params": params}
        print(json.dumps({"error": failure}))
        return error.exit_code
    print(json.dumps(report.to_dict()))
    return 0
