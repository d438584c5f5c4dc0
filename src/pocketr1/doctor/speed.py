"""How fast memory is read, and how fast the engine's own kernels get through weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter

from pocketr1.errors import PocketR1Error

__all__ = ["MemorySpeed", "buffer_bytes", "measure_memory"]

_SECONDS = 0.3  # for each of the three figures
_MOST_PASSES = 15
_CACHES = 4  # a buffer of that many last-level caches comes from memory
_SHARE = 8  # of the available memory at most one part in that many is taken
_LEAST, _USUAL, _MOST = 64 << 20, 256 << 20, 1 << 30  # bytes


@dataclass(frozen=True)
class MemorySpeed:
    """Bytes per second, medians over passes through a buffer by all threads."""

    threads: int
    isa: str
    buffer_bytes: int
    read: float  # adding up 64-bit words
    multiply: Mapping[str, float]  # weight format -> bytes of weights multiplied by one row


def buffer_bytes(last_cache: int | None, available: int | None) -> int:
    """Return how much memory to measure with: four times the last cache, if memory allows."""
    wanted = _USUAL if last_cache is None else max(_LEAST, _CACHES * last_cache)
    return min(wanted, _MOST, _LEAST if available is None else available // _SHARE)


def measure_memory(
    formats: tuple[str, ...], *, buffer: int, threads: int, isa: str
) -> MemorySpeed | None:
    """Measure for about a second; ``None`` where memory or threads are refused.

    Ctrl-C is heard after each pass. ``buffer`` is in bytes; the core takes at least 16 MB.
    """
    from pocketr1 import _core

    try:
        probe = _core.MemoryProbe(max(buffer, 1), threads=threads, isa=isa)
        taken, _ = probe.read()
        read = _speed(probe.read)
        multiply = {name: _speed(partial(probe.multiply, name)) for name in formats}
    except (MemoryError, PocketR1Error):
        return None
    return MemorySpeed(threads, isa, taken, read, multiply)


def _speed(work: Callable[[], tuple[int, float]]) -> float:
    """Return the median bytes per second of several passes."""
    speeds: list[float] = []
    start = perf_counter()
    while not speeds or (len(speeds) < _MOST_PASSES and perf_counter() - start < _SECONDS):
        done, seconds = work()
        speeds.append(done / max(seconds, 1e-9))
    return median(speeds)
