"""What ``/api`` takes and gives, as pydantic models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pocketr1.chat import Message
from pocketr1.engine import Sampling
from pocketr1.server.backend import Task
from pocketr1.server.validation import Fields

__all__ = [
    "Ask",
    "Asked",
    "Change",
    "Conversation",
    "ConversationList",
    "Create",
    "Export",
    "Failure",
    "Imported",
    "Info",
    "LoadFigures",
    "ReplyMessage",
    "Retried",
    "Retry",
    "Settings",
    "task_of",
]

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
_LONGEST = 2_000_000  # characters
_MOST_TOKENS = 2**31 - 1

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=_LONGEST)]


class _Taken(Fields):
    """A body: no field that is not known, no number written as text."""

    model_config = ConfigDict(extra="forbid")


Body = TypeVar("Body", bound=_Taken)


class _Given(BaseModel):
    """A response."""

    model_config = ConfigDict(extra="forbid")


class Settings(_Taken):
    """How a reply is sampled; what is null or missing is the conversation's, then the server's."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=_MOST_TOKENS)] | None = None
    think: bool | None = None
    think_budget: Annotated[int, Field(ge=0, le=_MOST_TOKENS)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None


class Create(_Taken):
    """A new conversation."""

    title: Title | None = None
    system: Text | None = None
    settings: Settings | None = None


class Change(_Taken):
    """What is to change; ``"system": null`` takes the system prompt away."""

    title: Title | None = None
    system: Text | None = None
    settings: Settings | None = None
    leaf: Id | None = None


class Ask(_Taken):
    """A question behind a reply, or a first one. The same parent again is an edit: a branch."""

    parent: Id | None = None
    content: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    settings: Settings | None = None


class Retry(_Taken):
    """Another reply to the question ``parent``."""

    parent: Id
    settings: Settings | None = None


class Failure(_Given):
    """Why a reply failed, or was not kept."""

    message: str
    code: str


class Stats(_Given):
    """Figures of a reply; seconds. What was not counted is missing."""

    model_config = ConfigDict(extra="allow")

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    thought_seconds: float | None = None
    tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    context_used: int | None = None
    context_full: bool | None = None
    thought_closed: str | None = None
    answer_closed: str | None = None
    seed: int | None = None


class ReplyMessage(_Given):
    """A question or a reply."""

    id: Id
    parent: Id | None
    role: Literal["user", "assistant"]
    content: str
    reasoning: str
    created: float
    state: Literal["running", "done", "stopped", "failed"]
    finish_reason: Literal["stop", "length", "cancelled"] | None
    stats: Stats
    error: Failure | None
    model: str


class Conversation(_Given):
    """A conversation with all its branches; parents come before children."""

    id: Id
    title: str
    created: float
    updated: float
    system: str | None
    settings: dict[str, Any]
    model: str
    leaf: Id | None
    messages: list[ReplyMessage]


class Summary(_Given):
    """A conversation in the list."""

    id: Id
    title: str
    created: float
    updated: float
    messages: int
    snippet: str


class ConversationList(_Given):
    """The newest conversations; ``next`` goes on as ``before``."""

    conversations: list[Summary]
    next: str | None


class Asked(_Given):
    """The question as it was kept, and its reply, which is running."""

    user: ReplyMessage
    reply: ReplyMessage


class Retried(_Given):
    """The new reply, which is running."""

    reply: ReplyMessage


class Export(BaseModel):
    """Conversations in a file; docs/reference/conversations.md describes them."""

    format: Literal["pocketr1-conversations"]
    version: Literal[1]
    exported: float | None = None
    conversations: list[dict[str, Any]]


class Imported(_Given):
    """How many conversations are new or have grown."""

    imported: int


class Model(_Given):
    """What is served."""

    name: str
    architecture: str
    parameters: int
    weight_bytes: int
    bits_per_weight: float
    max_context: int
    details: dict[str, str | int | float]


class Defaults(_Given):
    """What a setting is where nobody sets it."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_tokens: int | None
    think: bool
    think_budget: int | None


class Privacy(_Given):
    """What is stored, and where."""

    conversations: str
    kv_store: str | None
    prompts_logged: bool


class Info(_Given):
    """What the page shows of the model and the server."""

    model: Model
    version: str
    language: Literal["en", "zh"]
    defaults: Defaults
    privacy: Privacy


class LoadFigures(_Given):
    """How busy the model is, and what it holds."""

    running: int
    waiting: int
    kv_pages_used: int
    kv_pages_kept: int
    kv_pages_limit: int
    kv_bytes: int
    rss_bytes: int
    memory_budget: int | None
    prompt_tokens_total: int
    cached_tokens_total: int
    generated_tokens_total: int
    replies_total: int
    refused_total: int
    preempted_total: int
    steps_total: int
    step_seconds_total: float
    alive: bool


def task_of(messages: Sequence[Message], settings: Mapping[str, Any]) -> Task:
    """Return what the model is asked with these settings; unknown ones are passed over.

    Raises UsageError (``sampling-value``) for a value out of its range, which only a conversation
    from a file can have.
    """
    known = {name: value for name, value in settings.items() if value is not None}
    sampling = {name: known[name] for name in _SAMPLING if name in known}
    return Task(
        prompt=messages,
        sampling=Sampling(**sampling),
        max_tokens=known.get("max_tokens"),
        think=bool(known.get("think", True)),
        think_budget=known.get("think_budget"),
    )
