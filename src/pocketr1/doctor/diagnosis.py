"""The whole examination: look, measure, advise."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pocketr1.doctor.advice import Advice, Assessment, advise
from pocketr1.doctor.candidates import QUANTIZATIONS
from pocketr1.doctor.findings import Findings, find
from pocketr1.doctor.speed import buffer_bytes, measure_memory
from pocketr1.machine import measure_storage, usable_cpus

__all__ = ["Diagnosis", "diagnose", "measure"]

_STORAGE_BYTES = 256 << 20
_STORAGE_SHARE = 16  # at most one part in that many of the free space is written
_MOST_THREADS = 256


@dataclass(frozen=True)
class Diagnosis:
    """What was found and what follows from it."""

    findings: Findings
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``pocketr1 doctor --json``: JSON types, sizes in bytes."""
        tree: dict[str, Any] = asdict(self.findings)
        cpu, memory = self.findings.cpu, self.findings.memory
        tree["cpu"].update(usable=cpu.usable, fast=cpu.fast)
        tree["memory"]["total"] = memory.total
        advice = asdict(self.advice)
        del advice["assessments"]
        advice["best"] = _row(self.advice.best)
        advice["passed_over"] = _row(self.advice.passed_over)
        tree["advice"] = advice
        tree["models"] = [_row(row) for row in self.advice.assessments]
        return tree


def _row(assessment: Assessment | None) -> dict[str, Any] | None:
    if assessment is None:
        return None
    tree = asdict(assessment)
    return {**tree.pop("candidate"), **tree, "fits": assessment.fits}


def diagnose(path: str | os.PathLike[str] = ".") -> Diagnosis:
    """Examine this device; about ten seconds, most of them for the storage at ``path``."""
    findings = measure(find(path))
    return Diagnosis(findings, advise(findings))


def measure(findings: Findings) -> Findings:
    """Add the speeds of memory and storage to what was read."""
    storage = findings.storage
    free = storage.free or 0
    written = min(_STORAGE_BYTES, free // _STORAGE_SHARE)
    storage_speed = measure_storage(Path(storage.path), written) if written else None
    memory_speed = None
    if findings.kernels.chosen is not None:
        memory_speed = measure_memory(
            tuple(f"w{bits}g{group_size}" for bits, group_size in QUANTIZATIONS),
            buffer=buffer_bytes(findings.cpu.last_cache_bytes, findings.memory.available),
            threads=min(usable_cpus(), _MOST_THREADS),
            isa=findings.kernels.chosen,
        )
    return replace(findings, storage=replace(storage, speed=storage_speed), speed=memory_speed)
