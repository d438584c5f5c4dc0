"""What this machine can do at most, and what of it a model takes.

Decoding reads every weight once a token, so the bandwidth of memory bounds it; prefill multiplies
every weight with every token, so the int8 instructions do (Williams et al., CACM 52:65, 2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

from pocketr1.machine import Root, find_cpu, find_memory

__all__ = ["Demand", "Limits", "Roofline", "demand", "measure_limits"]

_SECONDS = 1.0  # for each limit, each time
_CACHES = 4  # a buffer of that many last-level caches comes from memory
_USUAL, _MOST = 256 << 20, 1 << 30  # bytes


@dataclass(frozen=True)
class Limits:
    """read: bytes per second; products: int8 multiply-accumulates per second, ``None`` where the
    instruction set has no instruction for them. All threads together, the best of many passes.
    """

    read: float
    products: float | None


@dataclass(frozen=True)
class Demand:
    """bytes: of weights a decoded token reads; products: a prefilled token needs in the linear
    layers (attention and the head come on top); kv_bytes: K/V that each token of context adds.
    """

    bytes: int
    products: int
    kv_bytes: int


@dataclass(frozen=True)
class Roofline:
    """Limits, one of every round, and what of them was reached; shares lie in 0 to 1."""

    limits: tuple[Limits, ...]
    demand: Demand

    @property
    def read(self) -> float:
        """Bytes per second, the median of all rounds."""
        return median(limits.read for limits in self.limits)

    @property
    def products(self) -> float | None:
        """Multiply-accumulates per second, the median of all rounds."""
        known = [limits.products for limits in self.limits if limits.products is not None]
        return median(known) if known else None

    def decode_share(self, tok_s: float, context: int = 0) -> float:
        """Return the share of the bandwidth that decoding behind ``context`` tokens reaches."""
        return tok_s * (self.demand.bytes + context * self.demand.kv_bytes) / self.read

    def prefill_share(self, tok_s: float) -> float | None:
        """Return the share of the int8 peak that prefill reaches."""
        peak = self.products
        return None if peak is None else tok_s * self.demand.products / peak

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the bounds in tokens per second."""
        products = self.products
        return {
            "read_bytes_s": self.read,
            "products_s": products,
            "rounds": [asdict(limits) for limits in self.limits],
            "demand": asdict(self.demand),
            "decode_bound_tok_s": self.read / self.demand.bytes,
            "prefill_bound_tok_s": None if products is None else products / self.demand.products,
        }


def demand(model: str, kv_format: str) -> Demand:
    """Return what a token of ``model`` takes; raises what ``inspect`` raises."""
    from pocketr1.engine import inspect

    report = inspect(model)
    matrices = {t.name: t for t in report.tensors if len(t.shape) == 2}
    tied = "head.weight" not in matrices
    embedding = 0 if tied else matrices["embed.weight"].bytes
    products = sum(
        math.prod(tensor.shape)
        for name, tensor in matrices.items()
        if name not in ("embed.weight", "head.weight")
    )
    # int8 in groups of 32 with one f16 scale; the report counts f16.
    share = {"f32": 2.0, "f16": 1.0, "int8": 34 / 64}[kv_format]
    return Demand(
        report.weight_bytes - embedding, products, round(report.kv_bytes_per_token * share)
    )


def measure_limits(threads: int, isa: str | None) -> Limits:
    """Measure for two seconds; raises MemoryError, EngineError as loading does."""
    from pocketr1 import _core

    cache = find_cpu(Root()).last_cache_bytes
    size = _USUAL if cache is None else max(_USUAL, _CACHES * cache)
    available = find_memory(Root()).available
    size = min(size, _MOST, size if available is None else available // 4)
    memory = _core.MemoryProbe(size, threads=threads, isa=isa or "")
    peak = _core.PeakProbe(threads=threads, isa=isa or "")
    read = _per_second(memory.read)
    has_peak = peak.multiply()[0] > 0
    return Limits(read, _per_second(peak.multiply) if has_peak else None)


def _per_second(work: Callable[[], tuple[int, float]]) -> float:
    """Return the best speed of many passes: a limit is what the machine gives undisturbed."""
    best, start = 0.0, perf_counter()
    while not best or perf_counter() - start < _SECONDS:
        done, seconds = work()
        best = max(best, done / max(seconds, 1e-9))
    return best
