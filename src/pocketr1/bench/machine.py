"""What a measurement was made on: machine and versions."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pocketr1 import __version__
from pocketr1.machine import usable_cpus

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
        memory_mb=_memory_bytes() // 1_000_000,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=versions,
    )


def _cpu_name() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith(("model name", "Hardware")):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
