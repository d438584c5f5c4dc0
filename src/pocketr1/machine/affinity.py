"""Which CPUs a thread runs on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pocketr1.errors import UsageError
from pocketr1.machine.cpu import find_cpu
from pocketr1.machine.process import usable_cpus
from pocketr1.machine.root import Root, listed

__all__ = ["cpu_list", "default_threads", "fast_cpus", "pin", "pinned"]


def cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPUs of ``fast`` (:func:`fast_cpus`) or of a list such as ``0-3,6``.

    Raises UsageError (``cpus-value``) for anything else.
    """
    cpus = fast_cpus() if text == "fast" else listed(text)
    if not cpus:
        raise UsageError("cpus-value", value=text)
    return cpus


def fast_cpus(root: Root | None = None) -> tuple[int, ...]:
    """Return the CPUs of this process that are no little or efficiency cores; all where none is."""
    cpu = find_cpu(root or Root())
    allowed = cpu.allowed or tuple(sorted(c for cluster in cpu.clusters for c in cluster.cpus))
    return tuple(c for c in allowed if c in cpu.fast_cpus) or allowed or tuple(range(usable_cpus()))


def default_threads() -> int:
    """Return how many threads to compute with: as many as there are fast cores to use."""
    usable = usable_cpus()  # of the calling thread
    return min(find_cpu(Root()).fast or usable, usable)


def pin(cpus: Iterable[int]) -> tuple[int, ...]:
    """Let the calling thread, and the threads it starts from now on, run on these CPUs alone.

    Raises UsageError: ``cpus-value`` where the system has none of them for this process, or where
    it has no such call (macOS).
    """
    try:
        os.sched_setaffinity(0, set(cpus))
        return tuple(sorted(os.sched_getaffinity(0)))
    except (AttributeError, OSError, TypeError, ValueError, OverflowError) as error:
        raise UsageError("cpus-value", value=cpus) from error


@contextmanager
def pinned(cpus: Iterable[int] | str | None) -> Iterator[tuple[int, ...] | None]:
    """:func:`pin` for the time of a ``with`` block, processes started in it included.

    ``None`` pins nothing; a text is a :func:`cpu_list`. Hands out the CPUs. Raises as they do.
    """
    if cpus is None:
        yield None
        return
    affinity = getattr(os, "sched_getaffinity", None)
    before = affinity(0) if affinity else ()
    try:
        yield pin(cpu_list(cpus) if isinstance(cpus, str) else cpus)
    finally:
        if before:
            os.sched_setaffinity(0, before)
