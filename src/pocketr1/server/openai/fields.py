"""The fields that both kinds of completion take."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field

from pocketr1.engine import Sampling
from pocketr1.server.backend import Facts
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits
from pocketr1.server.validation import Fields

#: Of a whole request: what is unknown is kept, to be told of.
ANY_FIELDS = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

__all__ = ["ANY_FIELDS", "CompletionFields", "Positive", "StreamOptions", "told_of"]

Positive: TypeAlias = Annotated[int, Field(ge=1, le=1 << 31)]
_MAX_IGNORED = 16


class StreamOptions(Fields):
    """include_usage: send the usage as the last chunk."""

    include_usage: bool | None = None


class CompletionFields(Fields):
    """What a request for a completion may say, of either kind. ``null`` is as if it were absent."""

    model_config = ANY_FIELDS

    model: str | None = Field(None, max_length=256)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Positive | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    def sampling(self) -> Sampling:
        """Return how tokens are chosen; R1's recommended values where nothing is said."""
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
        given: dict[str, Any] = {
            name: value for name in names if (value := getattr(self, name)) is not None
        }
        if given.get("top_k") == -1:
            given["top_k"] = 0
        if given.get("top_p") == 0:
            # Of ever fewer tokens the likeliest stays.
            del given["top_p"]
            given["temperature"] = 0.0
        if given.get("seed") == -1:  # "any", as llama.cpp's server has it
            del given["seed"]
        elif "seed" in given:
            given["seed"] %= 1 << 64
        return Sampling(**given)

    def stops(self) -> tuple[str, ...]:
        """Return the stop strings."""
        if isinstance(self.stop, str):
            return (self.stop,) if self.stop else ()
        return tuple(self.stop or ())

    def ignored(self) -> list[str]:
        """Return the names of fields that mean nothing here."""
        names = sorted(self.model_extra or {})
        plain = [n for n in names if n.isascii() and n.replace("_", "").isalnum() and len(n) <= 64]
        return plain[:_MAX_IGNORED]

    def check(self, facts: Facts, limits: Limits) -> None:
        """Raise RequestError for what a model does not do, or a limit forbids."""
        if self.model is not None and self.model != facts.name:
            raise RequestError(
                "request-model", status=404, param="model", name=self.model, known=facts.name
            )
        if self.n is not None and self.n > limits.replies:
            raise RequestError("request-limit", param="n", where="n", limit=limits.replies)
        stops = self.stops()
        if len(stops) > limits.stop_strings:
            limit = limits.stop_strings
            raise RequestError("request-limit", param="stop", where="stop", limit=limit)
        if any(not 0 < len(text) <= limits.stop_chars for text in stops):
            raise RequestError("request-stop", param="stop", limit=limits.stop_chars)
        for name in ("presence_penalty", "frequency_penalty"):
            if getattr(self, name):
                raise RequestError("request-penalty", param=name, where=name)
        if self.logit_bias:
            raise RequestError("request-logit-bias", param="logit_bias")


def told_of(ignored: list[str]) -> dict[str, str]:
    """Return the header that names fields which meant nothing."""
    return {"X-Ignored-Fields": ", ".join(ignored)} if ignored else {}
