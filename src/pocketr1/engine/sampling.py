"""How the next token is drawn from the logits."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from pocketr1.errors import UsageError

__all__ = ["Sampling"]

# A chosen seed is printed and typed again, also by JavaScript: 32 bits are exact everywhere.
_RANDOM_SEED_BITS = 32


@dataclass(frozen=True)
class Sampling:
    """Sampling options; the defaults are DeepSeek's recommendation for R1 (model card, 2025).

    temperature: divides the logits; 0 is greedy (the best token, lowest id on a tie).
    top_p: keep the smallest set of best tokens whose probabilities reach this sum, 0 < top_p <= 1.
    top_k: keep this many best tokens; 0 keeps all.
    min_p: drop tokens less likely than this share of the best one, 0 <= min_p <= 1.
    repetition_penalty: divides positive and multiplies negative logits of every token already in
        the context, prompt included (Keskar et al. 2019, CTRL, section 4.1); 1 is off.
    seed: 0 <= seed < 2**64. Random numbers are keyed by (seed, the caller's index, position), so
        the same seed gives the same text whatever runs beside it. ``None`` chooses one at random;
        ``Generation.seed`` tells which.

    Raises UsageError (``sampling-value``) for a value outside these ranges.
    """

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, "temperature >= 0", lambda v: v >= 0)
        _check("top_p", self.top_p, "0 < top_p <= 1", lambda v: 0 < v <= 1)
        _check("top_k", self.top_k, "top_k >= 0", lambda v: 0 <= v < 1 << 31, whole=True)
        _check("min_p", self.min_p, "0 <= min_p <= 1", lambda v: 0 <= v <= 1)
        penalty = self.repetition_penalty
        _check("repetition_penalty", penalty, "repetition_penalty > 0", lambda v: v > 0)
        if self.seed is not None:
            _check("seed", self.seed, "0 <= seed < 2**64", lambda v: 0 <= v < 1 << 64, whole=True)

    def seeded(self) -> Sampling:
        """Return these options with a seed: their own, or one chosen at random."""
        if self.seed is not None:
            return self
        return replace(self, seed=secrets.randbits(_RANDOM_SEED_BITS))


def _check(
    name: str, value: object, allowed: str, accept: Callable[[float], bool], *, whole: bool = False
) -> None:
    kinds = (int,) if whole else (int, float)
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not accept(value):  # type: ignore[arg-type]
        raise UsageError("sampling-value", name=name, value=value, allowed=allowed)
