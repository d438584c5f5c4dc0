"""A problem with its worked solution, and the split into training and held-out problems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

__all__ = ["HELD_OUT_SHARE", "Family", "Problem"]

#: One problem in so many is held out.
HELD_OUT_SHARE = 16


@dataclass(frozen=True)
class Problem:
    """A question, the thought that solves it, and the reply.

    template and operands say which problem it is, whatever its language, names and wording: both
    languages and all wordings of it lie on the same side of the split.
    """

    template: str
    operands: tuple[int, ...]
    language: str  # en or zh
    question: str
    thought: str  # lines; empty for dialogue
    reply: str  # holds \boxed{answer}, but in dialogue
    answer: str  # what is boxed; empty for dialogue

    @property
    def held_out(self) -> bool:
        """Whether the model must never see this problem in training."""
        if not self.answer:
            return False
        key = f"{self.template} {self.operands}".encode()
        return hashlib.sha256(key).digest()[0] % HELD_OUT_SHARE == 0


#: Draws a problem in the language named.
Family = Callable[[Random, str], Problem]
