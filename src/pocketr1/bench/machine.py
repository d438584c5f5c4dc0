"""What a measurement was made on: machine and versions."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

from pocketr1 import __version__
from pocketr1.machine import Root, find_cpu, find_memory, usable_cpus

__all__ = ["Machine", "describe_machine"]


@dataclass(frozen=True)
class Machine:
    """cpu: model name; cpus: logical ones this process may use; memory_mb: 10^6 bytes installed."""

    cpu: str
    cpus: int
    memory_mb: int
    system: str
    versions: dict[str, str]


def describe_machine() -> Machine:
    """Describe this machine; what cannot be found out is ``"unknown"`` or 0."""
    versions = {"pocketr1": __version__, "python": platform.python_version()}
    versions["numpy"] = metadata.version("numpy")
    return Machine(
        cpu=_cpu_name(),
        cpus=usable_cpus(),
        memory_mb=(find_memory(Root()).installed or 0) // 1_000_000,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=versions,
    )


def _cpu_name() -> str:
    cpu = find_cpu(Root())
    cores = " + ".join(f"{len(c.cpus)} x {c.name}" for c in cpu.clusters if c.name)
    return cpu.model or cores or platform.processor() or platform.machine() or "unknown"
