"""Log probabilities in OpenAI's two shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pocketr1.server.backend import Alternative, TokenLogprob

__all__ = ["LegacyLogprobs", "chat_logprobs"]

# JSON has no infinity; OpenAI writes this for what cannot come.
_NEVER = -9999.0


def chat_logprobs(tokens: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Return the entries of a chat's ``logprobs.content``."""
    return [
        _entry(token.chosen) | {"top_logprobs": [_entry(other) for other in token.top]}
        for token in tokens
    ]


class LegacyLogprobs:
    """Collects the ``logprobs`` of a completion of the old kind.

    offset: characters before the first token's text.
    """

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def take(self, tokens: Iterable[TokenLogprob], text: str) -> dict[str, Any]:
        """Return what came of some tokens that released ``text``."""
        lists: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        place = self._offset
        self._offset += len(text)
        for token in tokens:
            shown = _spelt(token.chosen.data)
            lists["tokens"].append(shown)
            lists["token_logprobs"].append(_finite(token.chosen.logprob))
            top = {_spelt(other.data): _finite(other.logprob) for other in token.top}
            lists["top_logprobs"].append(top)
            lists["text_offset"].append(min(place, self._offset))
            place += len(token.chosen.data.decode("utf-8", "ignore"))
        return lists


def _entry(token: Alternative) -> dict[str, Any]:
    return {
        "token": token.data.decode("utf-8", "replace"),
        "logprob": _finite(token.logprob),
        "bytes": list(token.data),
    }


def _finite(logprob: float) -> float:
    return max(logprob, _NEVER)


def _spelt(data: bytes) -> str:
    """Return a token's text, or its bytes as OpenAI spells those that are no characters."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
