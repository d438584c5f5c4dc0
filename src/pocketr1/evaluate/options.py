"""How to measure, and how much may be lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from pocketr1.chat.control import check_think_budget
from pocketr1.engine import Sampling
from pocketr1.engine.batch import DEFAULT_BATCH
from pocketr1.errors import UsageError
from pocketr1.measure.perplexity import WINDOW

__all__ = ["EvaluateOptions"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of :func:`pocketr1.evaluate.evaluate`.

    sampling: how the models answer, DeepSeek's rules (temperature 0.6, top-p 0.95) unless others
        are given; its seed is the first run's, 0 where it has none. Both models draw with the same
        random numbers.
    seeds: times that each problem is answered, with the seeds that follow.
    max_tokens: of an answer, thought included. batch: answers written together.
    limit: problems of a task that are used, the first ones; None: all. think: let the models think.
    think_budget: tokens of thought, behind which it is closed and the answer follows; None: any
        number.
    text_tokens: tokens of the text that are used, the first ones; None: all. window: tokens that
        are read in one go.
    max_drop: points of accuracy that may be lost in a task, with 95% confidence.
    max_kld: mean divergence that is allowed, nats per token, with 95% confidence; None: any.

    Raises UsageError (``evaluate-value``, ``evaluate-greedy-seeds``, ``chat-think-budget``).
    """

    sampling: Sampling = field(default_factory=Sampling)
    seeds: int = 1
    max_tokens: int = 4096
    batch: int = DEFAULT_BATCH
    limit: int | None = None
    think: bool = True
    think_budget: int | None = None
    text_tokens: int | None = None
    window: int = WINDOW
    max_drop: float = 8.0
    max_kld: float | None = None

    def __post_init__(self) -> None:
        for name in ("seeds", "max_tokens", "batch", "limit", "text_tokens"):
            value = getattr(self, name)
            if value is None and name in ("limit", "text_tokens"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self._refuse(name, value, ">= 1")
        check_think_budget(self.think_budget)
        if not _number(self.max_drop) or not 0 <= self.max_drop <= 100:
            self._refuse("max_drop", self.max_drop, "0 … 100")
        if self.max_kld is not None and (not _number(self.max_kld) or self.max_kld < 0):
            self._refuse("max_kld", self.max_kld, ">= 0")
        if self.seeds > 1 and self.sampling.temperature == 0:
            raise UsageError("evaluate-greedy-seeds", value=self.seeds)

    @property
    def first_seed(self) -> int:
        """The seed of the first run."""
        return self.sampling.seed or 0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        sampling = self.sampling
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "seed": self.first_seed,
            "seeds": self.seeds,
            "max_tokens": self.max_tokens,
            "limit": self.limit,
            "think": self.think,
            "think_budget": self.think_budget,
            "window": self.window,
            "text_tokens": self.text_tokens,
            "max_drop": self.max_drop,
            "max_kld": self.max_kld,
        }

    @staticmethod
    def _refuse(name: str, value: object, allowed: str) -> None:
        option = "--" + name.replace("_", "-")
        raise UsageError("evaluate-value", option=option, value=value, allowed=allowed)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
