"""Speed and memory of a model: the library behind ``pocketr1 bench``."""

from __future__ import annotations

from pocketr1.bench.bench import run_bench
from pocketr1.bench.machine import Machine, describe_machine
from pocketr1.bench.report import BenchOptions, BenchReport, Spread

__all__ = [
    "BenchOptions",
    "BenchReport",
    "Machine",
    "Spread",
    "describe_machine",
    "run_bench",
]
