"""What a memory budget goes to, and how near a streamed model comes to its storage's speed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pocketr1 import messages
from pocketr1.cli.output import fitted, show_table

if TYPE_CHECKING:
    from pocketr1.engine import MemoryPlan, Streaming

__all__ = [
    "Forecast",
    "foresee",
    "say_streamed",
    "show_forecast",
    "streamed_document",
    "streamed_text",
]

# Bits and group sizes that `compress` makes by itself.
_SMALLER = ((8, 128), (4, 64), (3, 64), (2, 32))


def streamed_document(streaming: Streaming, reached: float | None) -> dict[str, Any]:
    """Return what ``--json`` says of weights under a budget; ``reached`` in tokens per second."""
    from pocketr1.engine.budget import describe

    return dict(describe(streaming, reached))


def streamed_text(memory: Mapping[str, Any]) -> str:
    """Return one line: what is read for a token, how fast that may be, and how fast it was."""
    bound, reached = memory["read_bound_tok_s"], memory["reached_tok_s"]
    if bound is None:
        return messages.text("cli-run-resident", megabytes=f"{memory['resident_bytes'] / 1e6:.0f}")
    return messages.text(
        "cli-run-streamed",
        megabytes=f"{memory['streamed_bytes_per_token'] / 1e6:.0f}",
        speed=f"{memory['storage_bytes_s'] / 1e9:.2f}",
        bound=f"{bound:.1f}",
        reached="–" if reached is None else f"{reached:.1f}",
        share="–" if memory["share"] is None else f"{memory['share']:.0%}",
    )


def say_streamed(memory: Mapping[str, Any]) -> None:
    """Print that line on stderr."""
    print(fitted(streamed_text(memory), sys.stderr), file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Forecast:
    """A plan, and what it would run at; speeds in bytes per second, ``None`` not measured."""

    plan: MemoryPlan
    storage_speed: float
    memory_speed: float | None
    smaller: Mapping[int, int]  # bits: bytes a token would go through; those fewer than now

    def bounds(self) -> dict[str, float | None]:
        """Return tokens per second: what storage and memory allow, and the lesser of the two."""
        plan = self.plan
        storage = self.storage_speed / plan.streamed if plan.streamed else None
        whole = plan.resident + plan.streamed
        memory = None if self.memory_speed is None else self.memory_speed / whole
        known = [bound for bound in (storage, memory) if bound is not None]
        return {"storage": storage, "memory": memory, "speed": min(known, default=None)}

    def whole_in_memory(self) -> tuple[int, bool]:
        """Return the most bits at which all of ``smaller`` would stay resident, and ``True``.

        Where there are none: the fewest bits, and ``False``.
        """
        room = self.plan.resident + self.plan.ring
        fitting = [bits for bits, size in self.smaller.items() if size <= room]
        return (max(fitting), True) if fitting else (min(self.smaller), False)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            **self.plan.to_dict(),
            "storage_bytes_s": self.storage_speed,
            "memory_bytes_s": self.memory_speed,
            "weight_bytes_at_bits": {str(bits): size for bits, size in self.smaller.items()},
            **{f"{name}_bound_tok_s": bound for name, bound in self.bounds().items()},
        }


def foresee(model: str, budget: str, max_context: int | None, kv_format: str) -> Forecast:
    """Plan, and measure storage and memory for about a second."""
    from pocketr1.arch import ModelSpec
    from pocketr1.doctor.candidates import token_weight_bytes
    from pocketr1.doctor.speed import buffer_bytes, measure_memory
    from pocketr1.engine import inspect, plan_memory
    from pocketr1.engine.loading import measure_streaming
    from pocketr1.machine import Root, default_threads, find_cpu, find_memory

    # As `run` and `chat` load it, with a K/V store.
    plan = plan_memory(model, budget, max_context=max_context, kv_format=kv_format, kv_store=True)
    storage = measure_streaming(model)
    root = Root()
    buffer = buffer_bytes(find_cpu(root).last_cache_bytes, find_memory(root).available)
    memory = measure_memory((), buffer=buffer, threads=default_threads(), isa="")
    spec = ModelSpec.from_dict(inspect(model).model)
    sizes = {bits: token_weight_bytes(spec, bits, group) for bits, group in _SMALLER}
    smaller = {bits: size for bits, size in sizes.items() if size < plan.resident + plan.streamed}
    return Forecast(plan, storage, None if memory is None else memory.read, smaller)


def show_forecast(forecast: Forecast) -> None:
    """Print the plan as a table."""
    plan = forecast.plan

    def size(value: int) -> str:
        return f"{value / 1e6:.1f} MB"

    def speed(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    rows = {
        "cli-plan-budget": size(plan.budget),
        "cli-plan-process": size(plan.process),
        "cli-plan-kv": messages.text(
            "cli-plan-kv-value",
            size=size(plan.kv),
            tokens=plan.max_context,
            format=plan.kv_format,
        ),
        "cli-plan-scratch": size(plan.scratch),
        "cli-plan-ring": size(plan.ring),
        "cli-plan-resident": size(plan.resident),
        "cli-plan-streamed": size(plan.streamed),
    }
    if plan.streamed and forecast.smaller:
        bits, fits = forecast.whole_in_memory()
        rows["cli-plan-whole"] = messages.text(
            "cli-plan-whole-bits" if fits else "cli-plan-whole-none",
            bits=bits,
            size=size(forecast.smaller[bits]),
        )
    if plan.looked_up:
        rows["cli-plan-looked-up"] = size(plan.looked_up)
    rows["cli-plan-smallest"] = size(plan.smallest)
    rows["cli-plan-storage"] = f"{forecast.storage_speed / 1e9:.2f} GB/s"
    if forecast.memory_speed is not None:
        rows["cli-plan-memory"] = f"{forecast.memory_speed / 1e9:.2f} GB/s"
    bounds = forecast.bounds()
    rows["cli-plan-speed"] = messages.text(
        "cli-plan-speed-value",
        speed=speed(bounds["speed"]),
        storage=speed(bounds["storage"]),
        memory=speed(bounds["memory"]),
    )
    show_table(rows)
