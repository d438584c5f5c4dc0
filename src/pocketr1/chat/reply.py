"""One reply: as it streams, and when it is whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pocketr1.chat.assembly import ReplyAssembly
from pocketr1.chat.reasoning import Delta

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1.engine import Generation, Speculated

__all__ = ["Reply", "ReplyStream", "Timings"]


@dataclass(frozen=True)
class Timings:
    """Where the time went, in seconds.

    tokenizer: loading it; 0 except in a chat's first reply. prompt: template and encoding.
    prefill: computing the prompt, without what was reused. decode: computing the reply's tokens.
    first_token: from the question to the first token, loading the tokenizer excluded.
    """

    tokenizer: float
    prompt: float
    prefill: float
    decode: float
    first_token: float


@dataclass(frozen=True)
class Reply:
    """A whole reply.

    reasoning, answer: the thought and what follows it (see :mod:`pocketr1.chat.reasoning`).
    text: all the model wrote, tags included, up to a stop string.
    token_ids: its tokens, the end-of-text token excluded.
    prompt_tokens: length of the prompt; reused_tokens: how many of them were computed before.
    completion_tokens: length of ``token_ids``; answer_tokens: how many of them came behind
        ``</think>``.
    thought_closed: why the thought was closed before the model closed it, ``budget`` or ``loop``,
        otherwise ``None``; the tokens that closed it are in ``text`` and ``token_ids``, but for a
        budget of 0, whose empty thought stands in the prompt.
    answer_closed: ``loop`` where the answer was ended because it went round in circles, otherwise
        ``None``; finish_reason is then ``length``: the answer is not whole.
    finish_reason: ``stop`` (the model ended, or a stop string came), ``length`` (max_tokens,
        max_answer_tokens, or the context full), ``cancelled`` (``Engine.cancel``), ``closed`` (the
        stream was closed or interrupted). context_full: whether the context is what ended it.
    speculated: what came of drafting, or ``None`` where no speculation was asked for.
    """

    reasoning: str
    answer: str
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    reused_tokens: int
    completion_tokens: int
    answer_tokens: int
    finish_reason: str
    timings: Timings
    speculated: Speculated | None = None
    thought_closed: str | None = None
    answer_closed: str | None = None
    context_full: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self) | {"token_ids": list(self.token_ids)}


class ReplyStream(Iterator[Delta]):
    """An iterator over the pieces of a reply; made by :meth:`Chat.stream`.

    It may be left at any piece: leave its ``with`` block, call :meth:`close`, or begin the next
    question. ``reply`` is the reply so far, whole once the iteration is over.
    """

    def __init__(
        self,
        generation: Generation,
        assembly: ReplyAssembly,
        *,
        thinking: bool,
        tokenizer_seconds: float,
        prompt_seconds: float,
        on_end: Callable[[ReplyStream], None],
    ) -> None:
        self.finish_reason: str | None = None
        self.thinking = thinking
        self._generation = generation
        self._assembly = assembly
        self._on_end = on_end
        self._waiting: deque[Delta] = deque()
        self._tokenizer_seconds = tokenizer_seconds
        self._prompt_seconds = prompt_seconds
        self._first_token_seconds = 0.0
        self._began = perf_counter()

    @property
    def in_answer(self) -> bool:
        """Whether the next piece belongs to the answer."""
        return self._assembly.in_answer

    @property
    def reply(self) -> Reply:
        """The reply so far; its finish_reason is empty while it goes on."""
        generation, assembly = self._generation, self._assembly
        return Reply(
            reasoning=assembly.reasoning,
            answer=assembly.answer,
            text=assembly.text,
            token_ids=tuple(generation.token_ids),
            prompt_tokens=generation.prompt_tokens,
            reused_tokens=generation.reused_tokens,
            completion_tokens=len(generation.token_ids),
            answer_tokens=assembly.answer_tokens,
            finish_reason=self.finish_reason or "",
            timings=Timings(
                tokenizer=self._tokenizer_seconds,
                prompt=self._prompt_seconds,
                prefill=generation.prefill_seconds,
                decode=generation.decode_seconds,
                first_token=self._first_token_seconds,
            ),
            speculated=generation.speculated,
            thought_closed=assembly.thought_closed,
            answer_closed=assembly.answer_closed,
            context_full=generation.context_full and self.finish_reason == "length",
        )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Delta:
        try:
            while not self._waiting:
                if self.finish_reason is not None:
                    raise StopIteration
                self._advance()
        except StopIteration:
            raise
        except BaseException:
            # Ctrl-C too: what has been written so far stays, and the chat can go on.
            self.close()
            raise
        return self._waiting.popleft()

    def close(self) -> None:
        """End the reply here; harmless when it has ended."""
        if self.finish_reason is None:
            self._generation.close()
            self._end("closed")
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _advance(self) -> None:
        """Take one token of the engine."""
        token = next(self._generation, None)
        if token is None:
            self._end(self._generation.finish_reason or "stop")
            return
        if not self._first_token_seconds:
            self._first_token_seconds = perf_counter() - self._began + self._prompt_seconds
        pushed = self._assembly.push(token.id, self._generation.finish_reason)
        self._waiting.extend(pushed.deltas)
        if pushed.finish_reason is not None:
            self._generation.close()
            self._ended()
        elif pushed.forced:
            self._generation.force(pushed.forced)

    def _end(self, reason: str) -> None:
        self._waiting.extend(self._assembly.end(reason))
        self._ended()

    def _ended(self) -> None:
        self.finish_reason = self._assembly.finish_reason
        self._on_end(self)
