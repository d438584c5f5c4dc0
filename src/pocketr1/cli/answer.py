"""One answer: asked for with or without the chat template, streamed, and summed up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from pocketr1.cli import layout
from pocketr1.cli.output import dim, is_terminal, say

if TYPE_CHECKING:
    from pocketr1.chat import Delta, Reply
    from pocketr1.engine import Engine, Sampling, Speculated, Speculation
    from pocketr1.engine.window import FullContext

__all__ = [
    "Limits",
    "Printer",
    "Question",
    "answer",
    "checked_full_context",
    "decode_speed",
    "reply_document",
    "summarize",
]


@dataclass(frozen=True)
class Limits:
    """Where a reply ends; as :meth:`pocketr1.chat.Chat.stream` takes it."""

    max_tokens: int | None = None
    max_answer_tokens: int | None = None
    think_budget: int | None = None
    loop_check: bool = True


@dataclass(frozen=True)
class Question:
    """raw: continue ``text`` as it stands; of ``system`` and limits only max_tokens then counts."""

    text: str
    sampling: Sampling
    raw: bool = False
    system: str | None = None
    limits: Limits = Limits()
    stop: tuple[str, ...] = ()
    full_context: FullContext = "stop"


def checked_full_context(value: str) -> FullContext:
    """Return what ``--full-context`` asks for; raises UsageError (``full-context-value``)."""
    from pocketr1.engine.window import check_full_context

    check_full_context(value)
    return "slide" if value == "slide" else "stop"


class Printer:
    """Shows a reply as it comes: the thought dimmed, then the answer.

    On a terminal both go to stdout. Where stdout is a file or a pipe it gets the answer alone, and
    the thought goes to stderr.
    """

    def __init__(self) -> None:
        self._thought = sys.stdout if is_terminal(sys.stdout) else sys.stderr
        self._kind: str | None = None
        self._flow: layout.Flow | None = None
        self._line_open = False

    def __call__(self, delta: Delta) -> None:
        """Show one piece."""
        if delta.kind != self._kind:
            self._show_rest()
            if self._kind == "reasoning":
                print("\n", file=self._thought, flush=True)
            self._kind = delta.kind
            stream = self._stream()
            self._flow = layout.Flow(layout.width(stream)) if is_terminal(stream) else None
        self._show(delta.text if self._flow is None else self._flow(delta.text))
        self._line_open = not delta.text.endswith("\n")

    def begin_line(self) -> None:
        """End a line that stands half-written, for a remark; what a pipe gets stays as it is."""
        stream = self._stream()
        if self._line_open and (stream is sys.stderr or is_terminal(stream)):
            print(file=stream, flush=True)
            self._line_open = False
            if self._flow is not None:
                self._flow.broken()

    def finish(self) -> None:
        """End the last line."""
        self._show_rest()
        if self._line_open:
            print(file=self._stream(), flush=True)

    def _show_rest(self) -> None:
        if self._flow is not None:
            self._show(self._flow.finish())

    def _show(self, text: str) -> None:
        stream = self._stream()
        text = dim(text, stream) if self._kind == "reasoning" else text
        print(text, end="", file=stream, flush=True)

    def _stream(self) -> TextIO:
        return self._thought if self._kind == "reasoning" else sys.stdout


def answer(
    engine: Engine,
    question: Question,
    on_delta: Callable[[Delta], None] | None,
    speculation: Speculation | None = None,
) -> dict[str, Any]:
    """Answer ``question`` and return the document of ``run --json``, without what loading took."""
    if question.raw:
        return _continue(engine, question, on_delta, speculation)
    from pocketr1.chat import Chat

    with Chat(
        engine,
        question.system,
        question.sampling,
        speculation=speculation,
        full_context=question.full_context,
    ) as chat:
        reply = chat.send(
            question.text,
            **asdict(question.limits),
            stop=question.stop,
            on_delta=on_delta,
        )
    return reply_document(reply)


def reply_document(reply: Reply) -> dict[str, Any]:
    """Return what ``run --json`` says of a reply."""
    timings = reply.timings
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "answer": reply.answer,
        "token_ids": list(reply.token_ids),
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "finish_reason": reply.finish_reason,
        "thought_closed": reply.thought_closed,
        "answer_closed": reply.answer_closed,
        "context_full": reply.context_full,
        "speculation": _counts(reply.speculated),
        "timings": {
            "tokenizer_s": timings.tokenizer,
            "prompt_s": timings.prompt,
            "prefill_s": timings.prefill,
            "decode_s": timings.decode,
            "ttft_s": timings.first_token,
        },
    }


def _counts(speculated: Speculated | None) -> dict[str, int] | None:
    return None if speculated is None else asdict(speculated)


def _continue(
    engine: Engine,
    question: Question,
    on_delta: Callable[[Delta], None] | None,
    speculation: Speculation | None,
) -> dict[str, Any]:
    from pocketr1.chat import Delta, IncrementalDetokenizer, load_tokenizer

    began = perf_counter()
    tokenizer = load_tokenizer(engine.path)
    tokenizer_s = perf_counter() - began
    ids = tokenizer.encode_prompt(question.text)
    prompt_s = perf_counter() - began - tokenizer_s
    generation = engine.generate(
        ids,
        question.sampling,
        max_tokens=question.limits.max_tokens,
        stop=question.stop,
        detokenizer=IncrementalDetokenizer(tokenizer),
        speculation=speculation,
        full_context=question.full_context,
    )
    pieces: list[str] = []

    def show_piece(text: str) -> None:
        pieces.append(text)
        if text and on_delta is not None:
            on_delta(Delta("answer", text))

    for token in generation:
        show_piece(token.text)
    show_piece(generation.tail)
    text = "".join(pieces)
    return {
        "text": text,
        "reasoning": "",
        "answer": text,
        "token_ids": list(generation.token_ids),
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": len(generation.token_ids),
        "finish_reason": generation.finish_reason,
        "thought_closed": None,
        "answer_closed": None,
        "context_full": generation.context_full,
        "speculation": _counts(generation.speculated),
        "timings": {
            "tokenizer_s": tokenizer_s,
            "prompt_s": prompt_s,
            "prefill_s": generation.prefill_seconds,
            "decode_s": generation.decode_seconds,
            "ttft_s": prompt_s + generation.prefill_seconds,
        },
    }


def decode_speed(document: dict[str, Any]) -> float | None:
    """Return tokens per second behind the first; ``None`` where there are none."""
    decoded = document["completion_tokens"] - 1
    seconds = document["timings"]["decode_s"]
    return decoded / seconds if decoded > 0 and seconds > 0 else None


def summarize(document: dict[str, Any]) -> None:
    """Say on stderr how it went."""
    for part in ("thought", "answer"):
        why = document[f"{part}_closed"]
        if why is not None:
            say(f"cli-run-{part}-{why}")
    decoded = decode_speed(document)
    speed = "–" if decoded is None else f"{decoded:.1f}"
    counts = document["speculation"]
    say(
        "cli-run-summary" if counts is None else "cli-run-speculated",
        **(counts or {}),
        prompt=document["prompt_tokens"],
        completion=document["completion_tokens"],
        speed=speed,
        first=f"{document['timings']['ttft_s']:.2f}",
        reason=document["finish_reason"],
    )
