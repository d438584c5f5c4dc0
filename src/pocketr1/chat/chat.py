"""A conversation with a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pocketr1.chat.assembly import ReplyAssembly
from pocketr1.chat.control import ReplyControl, check_think_budget
from pocketr1.chat.conversation import Conversation
from pocketr1.chat.reader import ReplyReader
from pocketr1.chat.reasoning import Delta
from pocketr1.chat.reply import Reply, ReplyStream
from pocketr1.chat.template import ChatTemplate, Message
from pocketr1.chat.tokenizer import Tokenizer, load_tokenizer
from pocketr1.engine import Engine, Sampling, Speculation
from pocketr1.engine.window import FullContext, check_full_context
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Chat"]


class Chat:
    """A conversation with one model, as R1 wants it: DeepSeek's template, sampling and rules.

    The keys and values of what has been said stay with the engine, so that a question costs only
    its own tokens and those of the last answer (whose thought the template drops). Close the chat,
    or leave its ``with`` block, to free them.

    system: a system prompt; R1 is better without. sampling: ``None`` is DeepSeek's recommendation,
    temperature 0.6 and top_p 0.95. think: let the reply open with ``<think>`` where the template
    does not (see :meth:`ChatTemplate.encode`). tokenizer, template: ``None`` takes the model's,
    from the engine's directory, when first needed. variables: what else the template reads.
    speculation: draft tokens, for speed; the replies stay the same. full_context: ``stop`` ends a
    reply that fills the context, and refuses a question that does not fit any more; ``slide`` goes
    on with the first tokens and the newest (see :meth:`Engine.generate`).

    Raises ChatError where tokenizer or template cannot be used, and what the engine raises.
    """

    def __init__(
        self,
        engine: Engine,
        system: str | None = None,
        sampling: Sampling | None = None,
        *,
        think: bool = True,
        tokenizer: Tokenizer | None = None,
        template: ChatTemplate | None = None,
        variables: dict[str, Any] | None = None,
        speculation: Speculation | None = None,
        full_context: FullContext = "stop",
    ) -> None:
        check_full_context(full_context)
        self.engine = engine
        self.sampling = sampling or Sampling()
        self.think = think
        self.speculation = speculation
        self.full_context = full_context
        self.conversation = Conversation(system)
        self._tokenizer = tokenizer
        self._tokenizer_seconds = 0.0
        self._template = template
        self._variables = dict(variables or {})
        self._sequence = engine.sequence()
        self._stream: ReplyStream | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; loaded when first asked for."""
        if self._tokenizer is None:
            began = perf_counter()
            self._tokenizer = load_tokenizer(self.engine.path)
            self._tokenizer_seconds = perf_counter() - began
        return self._tokenizer

    @property
    def template(self) -> ChatTemplate:
        """The model's chat template; loaded when first asked for."""
        if self._template is None:
            self._template = ChatTemplate.load(self.engine.path, self.tokenizer)
        return self._template

    @property
    def messages(self) -> list[Message]:
        """What has been said; replies with the thoughts the model wrote."""
        return self.conversation.messages

    def send(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        max_answer_tokens: int | None = None,
        think_budget: int | None = None,
        loop_check: bool = True,
        stop: str | Iterable[str] = (),
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Reply:
        """Ask, and return the whole reply; ``on_delta`` sees its pieces as they come.

        Arguments and errors as :meth:`stream`.
        """
        with self.stream(
            text,
            max_tokens=max_tokens,
            max_answer_tokens=max_answer_tokens,
            think_budget=think_budget,
            loop_check=loop_check,
            stop=stop,
            sampling=sampling,
        ) as stream:
            for delta in stream:
                if on_delta is not None:
                    on_delta(delta)
        return stream.reply

    def stream(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        max_answer_tokens: int | None = None,
        think_budget: int | None = None,
        loop_check: bool = True,
        stop: str | Iterable[str] = (),
        sampling: Sampling | None = None,
    ) -> ReplyStream:
        """Ask, and return an iterator over the pieces of the reply.

        max_tokens: most tokens of thought and answer together; ``None`` goes on until the context
        is full. max_answer_tokens: most tokens behind ``</think>``, so that the thought cannot eat
        the answer. think_budget: most tokens of the thought (up to four more where a character has
        to be ended); it is then closed, and the answer follows; 0 goes straight to the answer.
        loop_check: close a thought that goes round in circles, and end an answer that does (see
        :class:`~pocketr1.chat.control.ReplyControl`). stop: strings that end the answer; the
        thought is not searched for them.

        Question and reply are kept in the conversation when the reply ends. A reply that is
        closed, interrupted or cancelled before any of its answer came is taken back together with
        its question. A stream of before that still goes on is closed.

        Raises UsageError for bad arguments, ContextFullError (``context-too-long``) where the
        conversation does not fit any more, ChatError.
        """
        for name, value in (("max_tokens", max_tokens), ("max_answer_tokens", max_answer_tokens)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError("chat-limit-value", name=name, value=value)
        check_think_budget(think_budget)
        if self._stream is not None:
            self._stream.close()
        loaded_before = self._tokenizer is not None
        tokenizer, template = self.tokenizer, self.template
        began = perf_counter()
        messages = self.conversation.with_question(text)
        prompt = template.encode(
            messages, think=self.think, skip_thought=think_budget == 0, **self._variables
        )
        ends = {*self.engine.spec.eos_token_ids, tokenizer.eos_id} - {None}
        generation = self.engine.generate(
            prompt.ids,
            sampling or self.sampling,
            max_tokens=max_tokens,
            stop_token_ids=frozenset(i for i in ends if i is not None),
            sequence=self._sequence,
            speculation=self.speculation,
            full_context=self.full_context,
        )

        def keep(stream: ReplyStream) -> None:
            self._stream = None
            reply = stream.reply
            if reply.finish_reason in ("closed", "cancelled") and not reply.answer:
                return
            self.conversation.add(
                text, reply.text, thinking=stream.thinking, ended=stream.in_answer
            )

        reader = ReplyReader(tokenizer, prompt.thinking)
        self._stream = ReplyStream(
            generation,
            ReplyAssembly(
                reader,
                ReplyControl(reader, tokenizer, think_budget=think_budget, loop_check=loop_check),
                skipped=prompt.skipped,
                max_answer_tokens=max_answer_tokens,
                stop=stop,
            ),
            thinking=prompt.thinking,
            tokenizer_seconds=0.0 if loaded_before else self._tokenizer_seconds,
            prompt_seconds=perf_counter() - began,
            on_end=keep,
        )
        return self._stream

    def clear(self) -> None:
        """Begin anew, with the same system prompt."""
        if self._stream is not None:
            self._stream.close()
        self.conversation.clear()

    def close(self) -> None:
        """Free what the engine holds for this chat. Harmless twice."""
        if self._stream is not None:
            self._stream.close()
        self._sequence.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
