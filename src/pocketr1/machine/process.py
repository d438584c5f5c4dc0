"""The CPUs a process may use and the memory it took."""

from __future__ import annotations

import math
import os
import sys

from pocketr1.machine.cgroup import cpu_quota
from pocketr1.machine.root import Root, integer

__all__ = ["anonymous_bytes", "peak_rss_bytes", "rss_bytes", "usable_cpus"]


def usable_cpus() -> int:
    """Return how many CPUs this process may use; at least 1.

    A control group's quota counts, rounded up: more threads than it gives time to only wait.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota(Root())
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def anonymous_bytes(root: Root) -> int | None:
    """Return the bytes of this process that are in memory and that no file backs."""
    words = root.fields("proc/self/status").get("RssAnon", "").split()
    kilobytes = integer(words[0] if words else None)
    return None if kilobytes is None else kilobytes * 1024


def rss_bytes() -> int:
    """Return this process's resident set in bytes; its peak where /proc does not tell."""
    words = Root().fields("proc/self/status").get("VmRSS", "").split()
    kilobytes = integer(words[0] if words else None)
    return peak_rss_bytes() if kilobytes is None else kilobytes * 1024


def peak_rss_bytes() -> int:
    """Return the largest resident set this process has had, in bytes.

    Everything resident counts: interpreter, libraries, K/V pages, activations, and those pages of
    mapped weights that were touched. From VmHWM where /proc has it: getrusage's figure survives
    exec and may be the parent's.
    """
    words = Root().fields("proc/self/status").get("VmHWM", "").split()
    kilobytes = integer(words[0] if words else None)
    if kilobytes is not None:
        return kilobytes * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
