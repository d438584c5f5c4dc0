"""How many tokens a request took."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pocketr1 import __version__
from pocketr1.server.backend import Begun, Ended, Facts

__all__ = ["Counter", "Usage", "fingerprint"]


class PromptDetails(BaseModel):
    """cached_tokens: how many of the prompt's tokens were known before."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """reasoning_tokens: how many of the completion's tokens were thought."""

    reasoning_tokens: int


class Usage(BaseModel):
    """The tokens of a request; completion_tokens counts thought and answer of all replies."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Counter:
    """Adds up the tokens of one request."""

    def __init__(self) -> None:
        self._prompt = self._cached = self._completion = self._reasoning = 0

    def begin(self, begun: Begun) -> None:
        """Count a prompt."""
        self._prompt += begun.prompt_tokens
        self._cached += begun.cached_tokens

    def end(self, ended: Ended) -> None:
        """Count a reply."""
        self._completion += ended.completion_tokens
        self._reasoning += ended.reasoning_tokens

    def usage(self) -> dict[str, Any]:
        """Return a :class:`Usage` as JSON."""
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": self._cached},
            "completion_tokens_details": {"reasoning_tokens": self._reasoning},
        }


def fingerprint(facts: Facts) -> str:
    """Return ``system_fingerprint``: with it and a seed the same, so is the text."""
    return f"pocketr1-{__version__}-{facts.name}"
