"""Speed and memory of a model, alone and beside other engines: behind ``pocketr1 bench``."""

from __future__ import annotations

from pocketr1.bench.bench import peak_memory, run_bench
from pocketr1.bench.compare import compare_engines
from pocketr1.bench.comparison import (
    FIGURES,
    CompareOptions,
    Comparison,
    EngineResult,
    MissingPeer,
)
from pocketr1.bench.machine import Machine, describe_machine
from pocketr1.bench.peers import PEERS
from pocketr1.bench.report import BenchOptions, BenchReport, Spread
from pocketr1.bench.scenarios import (
    CLAIMS,
    Claim,
    Scenario,
    ScenarioOptions,
    ScenarioReport,
    run_scenarios,
)
from pocketr1.bench.steps import Step
from pocketr1.bench.sustain import Sample, SustainReport, duration, run_sustain

__all__ = [
    "CLAIMS",
    "FIGURES",
    "PEERS",
    "BenchOptions",
    "BenchReport",
    "Claim",
    "CompareOptions",
    "Comparison",
    "EngineResult",
    "Machine",
    "MissingPeer",
    "Sample",
    "Scenario",
    "ScenarioOptions",
    "ScenarioReport",
    "Spread",
    "Step",
    "SustainReport",
    "compare_engines",
    "describe_machine",
    "duration",
    "peak_memory",
    "run_bench",
    "run_scenarios",
    "run_sustain",
]
