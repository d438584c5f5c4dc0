"""What this process has of its machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["peak_rss_bytes", "usable_cpus"]


def usable_cpus() -> int:
    """Return how many CPUs this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_rss_bytes() -> int:
    """Return the largest resident set this process has had, in bytes.

    Everything resident counts: interpreter, libraries, K/V pages, activations, and those pages of
    mapped weights that were touched. From VmHWM where /proc has it: getrusage's figure survives
    exec and may be the parent's.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
