"""Measure a model in a fresh process."""

from __future__ import annotations

import os
from dataclasses import asdict

from pocketr1.bench.apart import apart
from pocketr1.bench.report import BenchOptions, BenchReport

__all__ = ["peak_memory", "run_bench"]


def run_bench(model: str | os.PathLike[str], options: BenchOptions | None = None) -> BenchReport:
    """Measure speed and memory of ``model`` and return the report.

    The work is done by a new Python process, so that neither what this one has loaded nor its peak
    memory counts. Raises what loading and running raise; EngineError (``bench-died``) where the
    process ended without a report, for example killed for its memory.
    """
    return BenchReport.from_dict(apart("measure", model, asdict(options or BenchOptions())))


def peak_memory(model: str | os.PathLike[str], options: BenchOptions | None = None) -> int:
    """Return the peak memory, in bytes, of a new process that answers one prompt with ``model``.

    It prefills ``prompt_tokens`` and decodes ``gen_tokens``, once. Raises as :func:`run_bench`.
    """
    tree = apart("peak", model, asdict(options or BenchOptions()))
    return int(tree["peak_rss_bytes"])
