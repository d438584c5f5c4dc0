"""What the routes answer with, for the published document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pocketr1.server.openai.usage import Usage

__all__ = [
    "CacheState",
    "ChatCompletion",
    "Completion",
    "Detokenized",
    "Health",
    "ModelInfo",
    "ModelList",
    "Templated",
    "Tokenized",
]

Reason = Literal["stop", "length", "tool_calls"]


class CallFunction(BaseModel):
    """arguments: a JSON object, as text."""

    name: str
    arguments: str


class MessageCall(BaseModel):
    """A call of a function."""

    id: str
    type: Literal["function"]
    function: CallFunction


class ReplyMessage(BaseModel):
    """The reply; reasoning_content and tool_calls are absent where there are none."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    tool_calls: list[MessageCall] = Field(default_factory=list)


class LogprobAlternative(BaseModel):
    """A token, the natural logarithm of its probability, its bytes."""

    token: str
    logprob: float
    bytes: list[int]


class LogprobEntry(LogprobAlternative):
    """A token that came, and the likeliest in its place."""

    top_logprobs: list[LogprobAlternative]


class ChatLogprobs(BaseModel):
    """Of the answer's tokens, and of the thought's."""

    content: list[LogprobEntry] | None
    reasoning_content: list[LogprobEntry] | None
    refusal: None


class ChatChoice(BaseModel):
    """One reply."""

    index: int
    message: ReplyMessage
    logprobs: ChatLogprobs | None
    finish_reason: Reason


class ChatCompletion(BaseModel):
    """The answer to a chat request that does not stream."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage


class TextLogprobs(BaseModel):
    """Of a completion of the old kind: one entry per token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(BaseModel):
    """One completion."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Reason


class Completion(BaseModel):
    """The answer to a request for a completion of the old kind."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage


class ModelMeta(BaseModel):
    """What is known of a model."""

    architecture: str
    parameters: int
    weight_bytes: int
    bits_per_weight: float
    max_context: int


class ModelInfo(BaseModel):
    """A model."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    meta: ModelMeta


class ModelList(BaseModel):
    """The models there are: one."""

    object: Literal["list"]
    data: list[ModelInfo]


class Tokenized(BaseModel):
    """Tokens, how many they are, and how many there may be."""

    tokens: list[int]
    count: int
    max_model_len: int


class Detokenized(BaseModel):
    """A text."""

    content: str


class Templated(BaseModel):
    """A prompt as the model gets it; thinking: it ends inside a thought."""

    prompt: str
    tokens: list[int]
    count: int
    thinking: bool


class MemoryState(BaseModel):
    """K/V pages that no reply uses, kept for prompts to come."""

    pages: int
    bytes: int


class StoreState(BaseModel):
    """The K/V store's file, and what it holds of this model."""

    path: str
    pages: int
    bytes: int


class CacheState(BaseModel):
    """What is kept of prompts."""

    memory: MemoryState
    store: StoreState | None


class Health(BaseModel):
    """ok, closing, or failed: the model will not answer until the server is started anew."""

    status: Literal["ok", "closing", "failed"]
