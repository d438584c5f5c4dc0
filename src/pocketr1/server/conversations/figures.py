"""What is counted of a reply while it comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pocketr1.server.backend import Begun, Ended, Piece

__all__ = ["Figures"]


@dataclass
class Figures:
    """What is counted while a reply comes; times are of ``perf_counter``."""

    began: float = field(default_factory=perf_counter)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seed: int | None = None
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    first: float | None = None
    thought_from: float | None = None
    thought_to: float | None = None
    newest: float = 0.0

    def begin(self, event: Begun) -> None:
        """Take the prompt's figures."""
        self.prompt_tokens, self.cached_tokens = event.prompt_tokens, event.cached_tokens
        self.seed = event.seed
        if event.thinking:
            self.thought_from = perf_counter()

    def count(self, piece: Piece) -> None:
        """Count one piece."""
        self.newest = perf_counter()
        if self.first is None:
            self.first = self.newest
        self.completion_tokens += len(piece.token_ids)
        if piece.kind == "reasoning":
            self.reasoning_tokens += len(piece.token_ids)
            self.thought_from = self.thought_from or self.first
        elif piece.text and self.thought_from is not None and self.thought_to is None:
            self.thought_to = self.newest

    def speed(self) -> float | None:
        """Return tokens per second behind the first; ``None`` where there are none."""
        seconds = self.newest - (self.first or self.newest)
        return (self.completion_tokens - 1) / seconds if seconds > 0 else None

    def passing(self) -> dict[str, Any]:
        """Return what is shown while the reply comes."""
        return {
            "tokens": self.completion_tokens,
            "tokens_per_second": _rounded(self.speed()),
            "context_used": self.prompt_tokens + self.completion_tokens,
        }

    def whole(self, ended: Ended | None) -> dict[str, Any]:
        """Return what is kept; ``ended`` counts better than the pieces, where it came."""
        speed = self.speed()
        if ended is not None:
            self.completion_tokens = ended.completion_tokens
            self.reasoning_tokens = ended.reasoning_tokens
            if ended.decode_seconds > 0 and ended.completion_tokens > 1:
                speed = (ended.completion_tokens - 1) / ended.decode_seconds
        thought = None
        if self.thought_from is not None and self.reasoning_tokens:
            thought = (self.thought_to or self.newest or perf_counter()) - self.thought_from
        first = None if self.first is None else self.first - self.began
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "thought_seconds": _rounded(thought),
            "tokens_per_second": _rounded(speed),
            "first_token_seconds": _rounded(first),
            "context_used": self.prompt_tokens + self.completion_tokens,
            "context_full": ended is not None and ended.context_full,
            "thought_closed": None if ended is None else ended.thought_closed,
            "answer_closed": None if ended is None else ended.answer_closed,
            "seed": self.seed,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
