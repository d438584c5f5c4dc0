"""What a measurement was made on: machine and versions."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pocketr1 import __version__

__all__ = ["Machine", "describe_machine", "peak_rss_bytes"]


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
        cpus=_usable_cpus(),
        memory_mb=_memory_bytes() // 1_000_000,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=versions,
    )


def peak_rss_bytes() -> int:
    """Return the largest resident set this process has had, in bytes.

    Everything resident counts: interpreter, libraries, K/V pages, activations, and those pages of
    mapped weights that were touched. From VmHWM where /proc has it: getrusage's figure survives
    exec and may be the parent's.
    """
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


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
