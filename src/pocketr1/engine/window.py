"""Which tokens of a text that is longer than the context the model still sees."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from pocketr1.engine.tokens import TokenArray
from pocketr1.errors import UsageError

__all__ = ["FULL_CONTEXT", "FullContext", "Window", "check_full_context"]

FullContext: TypeAlias = Literal["stop", "slide"]

#: What can be done where the context is full; the first is the default.
FULL_CONTEXT = ("stop", "slide")

# Xiao et al., Efficient Streaming Language Models with Attention Sinks, 2023, section 3: attention
# that has nothing to look for goes to the first tokens; without them the model falls apart, and
# four are enough.
_SINKS = 4


def check_full_context(value: object) -> None:
    """Raise UsageError (``full-context-value``) for anything but ``stop`` and ``slide``."""
    if value not in FULL_CONTEXT:
        raise UsageError("full-context-value", value=value, allowed=", ".join(FULL_CONTEXT))


class Window:
    """The first tokens of a text and its newest ones, together at most ``limit``.

    first: how many of the first are kept: the prompt, or only 4 tokens (attention sinks) of one
    that takes more than half of the context. Where the text outgrows ``limit``, half of the room
    behind them is given up at once, the oldest tokens in it first. What is seen depends on the
    text's length alone, not on the way to it; positions are counted anew, without the gap.
    """

    def __init__(self, limit: int, prompt: int) -> None:
        self.limit = limit
        self.first = prompt if prompt <= limit // 2 else min(_SINKS, limit // 2)
        self._stride = max(1, (limit - self.first) // 2)

    def dropped(self, length: int) -> int:
        """Return how many tokens of the first ``length`` are not seen any more."""
        over = max(0, length - self.limit)
        return -(-over // self._stride) * self._stride

    def of(self, text: TokenArray) -> TokenArray:
        """Return what is seen of ``text``, whose last token is always part of it."""
        dropped = self.dropped(len(text))
        if not dropped:
            return text
        return np.concatenate([text[: self.first], text[self.first + dropped :]])
