"""What to measure and what came out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pocketr1.bench.machine import Machine
from pocketr1.errors import UsageError

__all__ = ["BenchOptions", "BenchReport", "Spread", "rounded"]


@dataclass(frozen=True)
class BenchOptions:
    """prompt_tokens: prefilled at once; gen_tokens: decoded behind them; repeat: times both.

    threads: ``None`` takes as many as there are fast cores. kv_format, isa, memory_budget: as for
    :func:`pocketr1.load`. Raises UsageError (``bench-value``) for a count below 1.
    """

    prompt_tokens: int = 512
    gen_tokens: int = 64
    threads: int | None = None
    repeat: int = 3
    kv_format: str = "f16"
    isa: str | None = None
    memory_budget: str | None = None

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "gen_tokens", "repeat"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                option = "--" + name.replace("_", "-")
                raise UsageError("bench-value", name=option, value=value)


@dataclass(frozen=True)
class Spread:
    """Median and extremes of one figure over all repetitions."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class BenchReport:
    """One model's speed and memory, measured in a process of its own.

    prefill_tok_s: prompt tokens / time to their last one's logits.
    decode_tok_s: tokens / time, one step each, behind the prompt (not at an empty context).
    load_s: ``load`` alone, page cache as it was found. first_logits_s: from the start of ``load``
    to the first logits of one token.
    ttft_s: median time from the prompt's ids to the first token, model loaded.
    peak_rss_mb: highest resident set, 10^6 bytes; see ``peak_rss_bytes`` for what counts.
    memory: how weights came under a budget, in bytes; ``None`` without one.
    weights_mb: tensor bytes, 10^6. bits_per_weight: 8 x tensor bytes / parameters, whole model.
    """

    model: str
    prefill_tok_s: Spread
    decode_tok_s: Spread
    load_s: float
    first_logits_s: float
    ttft_s: float
    peak_rss_mb: float
    weights_mb: float
    bits_per_weight: float
    isa: str
    threads: int
    kv_format: str
    prompt_tokens: int
    gen_tokens: int
    repeat: int
    machine: Machine
    memory: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, figures rounded to five digits."""
        tree: dict[str, Any] = rounded(asdict(self))
        return tree

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> BenchReport:
        """Return the report ``to_dict`` described."""
        spreads = {name: Spread(**tree[name]) for name in ("prefill_tok_s", "decode_tok_s")}
        return cls(**{**tree, **spreads, "machine": Machine(**tree["machine"])})


def rounded(value: Any) -> Any:
    """Return plain data with every float rounded to five digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float) and value and math.isfinite(value):
        return round(value, 4 - math.floor(math.log10(abs(value))))
    return value
