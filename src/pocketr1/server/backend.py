"""What the server asks of a model.

:class:`Backend` is all the server knows about models: a local engine is one, a remote model or a
router between several can be others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from pocketr1.chat import Message
from pocketr1.engine import Sampling

__all__ = [
    "Alternative",
    "Backend",
    "Begun",
    "Cached",
    "Encoded",
    "Ended",
    "Event",
    "Facts",
    "Load",
    "Piece",
    "Task",
    "TokenLogprob",
]


@dataclass(frozen=True)
class Facts:
    """What is known of a model.

    name: as requests call it; created: seconds since 1970; architecture: ``qwen2`` and the like;
    parameters: how many; weight_bytes: what they take; bits_per_weight: of the whole model;
    max_context: tokens; details: more to show, in order (``{"isa": "avx512_vnni"}``). kv_store: the
    file that keeps prompts in computed form, ``None`` without one.
    """

    name: str
    created: int
    architecture: str
    parameters: int
    weight_bytes: int
    bits_per_weight: float
    max_context: int
    details: Mapping[str, str | int | float] = field(default_factory=dict)
    kv_store: str | None = None


@dataclass(frozen=True)
class Task:
    """One or several replies to one prompt.

    prompt: messages, which the model's chat template renders; or text or token ids to go on from as
        they are (the text's added tokens count as tokens, as in the template's own output).
    n: how many replies; each is drawn with its number as index beside the seed.
    max_tokens: most tokens of thought and answer together; ``None``: until the context is full.
    max_answer_tokens: most tokens behind ``</think>``.
    stop: strings that end the answer; the thought is not searched for them.
    think: let the reply open with a thought where the template does not; False: no thought at all.
    think_budget: most tokens of the thought, then it is closed; ``None``: any number.
    loop_check: close a thought, and end an answer, that goes round in circles.
    ignore_eos: go on behind the model's end of text; for measurements, with ``max_tokens``.
    top_logprobs: how many alternatives to report with each token, 0 its own log probability alone;
        ``None``: none.
    json_schema: what the answer must match, as a JSON Schema; the thought is free. ``{}`` is any
        JSON value; ``{"type": "object"}`` any object.
    """

    prompt: Sequence[Message] | str | tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    max_tokens: int | None = None
    max_answer_tokens: int | None = None
    stop: tuple[str, ...] = ()
    think: bool = True
    think_budget: int | None = None
    loop_check: bool = True
    ignore_eos: bool = False
    top_logprobs: int | None = None
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Alternative:
    """A token that could have come: its id, its bytes, the natural logarithm of its probability."""

    token_id: int
    data: bytes
    logprob: float


@dataclass(frozen=True)
class TokenLogprob:
    """A token that came, and the likeliest ones in its place, by the model's own distribution.

    That is before temperature and the other sampling options.
    """

    chosen: Alternative
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Begun:
    """The prompt is computed: its length, and how many of its tokens were known before.

    Comes once per task, before its first :class:`Piece`. seed: what the random numbers are keyed
    by. thinking: whether replies begin inside a thought.
    """

    prompt_tokens: int
    cached_tokens: int
    seed: int
    thinking: bool


@dataclass(frozen=True)
class Piece:
    """A piece of reply number ``index``: text of its thought or its answer.

    token_ids: the tokens that released it. The text may be empty while logprobs are asked for:
    every token is reported, also one that ends inside a character.
    """

    index: int
    kind: Literal["reasoning", "answer"]
    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Ended:
    """Reply number ``index`` is over.

    finish_reason: ``stop``, ``length`` or ``cancelled``. context_full, thought_closed,
    answer_closed: as in :class:`pocketr1.chat.Reply`. stop_string: the one that was found.
    prefill_seconds: from the task's start to its first token, time in the queue excluded.
    decode_seconds: from there to the end. queue_seconds: before the prompt was begun.
    """

    index: int
    finish_reason: Literal["stop", "length", "cancelled"]
    completion_tokens: int
    reasoning_tokens: int
    context_full: bool = False
    thought_closed: str | None = None
    answer_closed: str | None = None
    stop_string: str | None = None
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


Event: TypeAlias = Begun | Piece | Ended


@dataclass(frozen=True)
class Load:
    """How busy a model is, and what it holds.

    running, waiting: replies; pages of K/V: in use, kept for prompts to come, and at most;
    the ``_total`` figures only grow. rss_bytes: the process's resident memory; memory_budget:
    ``None`` without one. Seconds are of model time. alive: it can still answer.
    """

    running: int = 0
    waiting: int = 0
    kv_pages_used: int = 0
    kv_pages_kept: int = 0
    kv_pages_limit: int = 0
    kv_bytes: int = 0
    rss_bytes: int = 0
    memory_budget: int | None = None
    prompt_tokens_total: int = 0
    cached_tokens_total: int = 0
    generated_tokens_total: int = 0
    replies_total: int = 0
    refused_total: int = 0
    preempted_total: int = 0
    steps_total: int = 0
    step_seconds_total: float = 0.0
    alive: bool = True


@dataclass(frozen=True)
class Cached:
    """What is kept of prompts, so that they need not be computed again.

    pages, bytes: K/V pages in memory that no reply uses now. store_path: the file that keeps more,
    ``None`` without one; store_pages, store_bytes: what it holds of this model, and its size.
    """

    pages: int = 0
    bytes: int = 0
    store_path: str | None = None
    store_pages: int = 0
    store_bytes: int = 0


class Backend(Protocol):
    """A model that answers. Its methods are called on the event loop's thread."""

    @property
    def facts(self) -> Facts:
        """What the model is."""
        ...

    def generate(self, task: Task) -> AsyncGenerator[Event, None]:
        """Yield what happens: :class:`Begun`, then pieces, and one :class:`Ended` per reply.

        Closing it (``aclose``) or cancelling the task that reads it ends the replies and frees
        what they hold. Raises, before the first event: UsageError and ChatError for a bad task,
        ContextFullError for a prompt that does not fit, BusyError where there is no room for it now
        and the queue is full; later, EngineError.
        """
        ...

    async def encode(self, prompt: Sequence[Message] | str, *, think: bool = True) -> Encoded:
        """Return a prompt's tokens: a text's own, its added tokens being tokens, or a rendered
        conversation's. Raises as :meth:`generate` does.
        """
        ...

    async def tokenize(self, text: str, *, added_tokens: bool = False) -> list[int]:
        """Return the tokens of ``text``; added tokens spelt in it count only where asked for."""
        ...

    async def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``. Raises UsageError for ids the vocabulary lacks."""
        ...

    def load(self) -> Load:
        """Return how busy it is."""
        ...

    async def cached(self) -> Cached:
        """Return what is kept of prompts."""
        ...

    async def drop_cached(self, *, every_model: bool = False) -> None:
        """Forget it, in memory and in the store; replies under way keep what they use.

        every_model: also what the store keeps of other models' prompts.
        """
        ...

    async def close(self, grace: float = 0.0) -> None:
        """Take no more tasks, let those under way go on for ``grace`` seconds, end the rest."""
        ...


@dataclass(frozen=True)
class Encoded:
    """A prompt as the model gets it: its text, its tokens, whether it ends inside a thought."""

    text: str
    ids: tuple[int, ...]
    thinking: bool
