"""The conversation of a terminal, and what each line typed does to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from pocketr1 import messages
from pocketr1.chat import Chat, Conversation
from pocketr1.chat.history import Conversation as KeptConversation
from pocketr1.chat.history import Outcome
from pocketr1.cli import layout
from pocketr1.cli.answer import Limits, Printer, decode_speed, reply_document, summarize
from pocketr1.cli.interrupt import cancel_on_interrupt
from pocketr1.cli.output import dim, is_terminal, print_error, say, show, show_table
from pocketr1.cli.streamed import say_streamed, streamed_document
from pocketr1.cli.talk import commands
from pocketr1.cli.talk.files import default_name, save
from pocketr1.cli.talk.fold import FoldedPrinter, can_fold
from pocketr1.errors import (
    ChatError,
    ContextFullError,
    EngineError,
    HistoryError,
    PocketR1Error,
    UsageError,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1.chat import Reply
    from pocketr1.cli.governing import Remarks
    from pocketr1.cli.kvstore import StoreWatch
    from pocketr1.cli.talk.kept import Kept
    from pocketr1.cli.talk.typed import Typed
    from pocketr1.engine import Engine, Sampling, Speculation
    from pocketr1.engine.window import FullContext

__all__ = ["Manner", "Talk"]

_LISTED = 10


@dataclass(frozen=True)
class Manner:
    """How replies come about. seeded: the seed was asked for. unfold: show thoughts as they come.

    watch: tells of the K/V store behind each answer.
    """

    sampling: Sampling
    limits: Limits
    seeded: bool = False
    speculation: Speculation | None = None
    full_context: FullContext = "stop"
    unfold: bool = False
    watch: StoreWatch | None = None


class Talk:
    """Takes what is typed: questions go to the model, commands to their methods."""

    def __init__(
        self, engine: Engine, manner: Manner, kept: Kept, typed: Typed, remarks: Remarks
    ) -> None:
        self._engine = engine
        self._manner = manner
        self._limits = manner.limits
        self._kept = kept
        self._typed = typed
        self._remarks = remarks
        self._thought = ""
        self._last: Reply | None = None
        self._listed: list[str] = []
        self._chat = Chat(
            engine,
            kept.system,
            manner.sampling,
            speculation=manner.speculation,
            full_context=manner.full_context,
        )
        self._commands: dict[str, Callable[[str], None]] = {
            "new": self._new,
            "resume": self.resume,
            "save": self._save,
            "think": self._think,
            "system": self._system,
            "regenerate": self._regenerate,
            "edit": self._edit,
            "stats": self._stats,
            "model": self._model,
            "help": lambda _: commands.show_help(),
        }

    def take(self, text: str) -> bool:
        """Act on what was typed; return False when it says to leave."""
        if not text.strip():
            return True
        name, rest = commands.parse(text)
        if name == "quit":
            return False
        if name not in self._commands and name is not None:
            say("cli-chat-unknown", command=f"/{name}")
            return True
        try:
            if name is None:
                self._ask(rest, self._kept.leaf)
            else:
                self._commands[name](rest)
        except (HistoryError, UsageError) as error:
            print_error(error, as_json=False)
        return True

    def close(self) -> None:
        """Free what the engine holds for it."""
        self._chat.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def resume(self, words: str) -> None:
        """Go on with a conversation: its number in the list, its id, ``last``, or words of it."""
        listed = self._kept.find("", _LISTED).conversations
        if words in ("last", "1") and not self._listed and listed:
            id: str | None = listed[0].id
        elif (number := _number(words)) is not None and number <= len(self._listed):
            id = self._listed[number - 1] if number else None
        else:
            id = self._by_id(words)
        if id is None:
            found = self._kept.find(words, _LISTED).conversations
            if len(found) != 1 or not words:
                self._list([(each.id, each.title, each.updated) for each in found])
                return
            id = found[0].id
        self._shown(self._kept.resume(id))

    def _by_id(self, words: str) -> str | None:
        """Return the one conversation whose id begins so."""
        if len(words) < 4 or not words.replace("-", "").replace("_", "").isalnum():
            return None
        listed = self._kept.find("", 10_000).conversations
        found = [each.id for each in listed if each.id.startswith(words)]
        return found[0] if len(found) == 1 else None

    def _list(self, found: list[tuple[str, str, float]]) -> None:
        if not found:
            say("cli-chat-none-found")
            return
        self._listed = [id for id, _, _ in found]
        for number, (id, title, updated) in enumerate(found, 1):
            when = datetime.fromtimestamp(updated).strftime("%Y-%m-%d %H:%M")
            line = f"{number:2}  {title or messages.text('history-untitled')}"
            print(_flowed(line, sys.stderr), file=sys.stderr)
            print(dim(f"    {when}  {id}", sys.stderr), file=sys.stderr, flush=True)
        say("cli-chat-resume-how")

    def _shown(self, conversation: KeptConversation) -> None:
        """Show where a conversation stands."""
        say(
            "cli-chat-resumed",
            title=conversation.title or messages.text("history-untitled"),
            count=len(self._kept.said()),
        )
        for message in self._kept.said()[-2:]:
            if message.role == "user":
                show(_flowed(f"> {message.content}", sys.stdout))
            else:
                self._thought = message.reasoning
                show(_flowed(message.content, sys.stdout))

    def _new(self, _rest: str) -> None:
        self._kept.begin_anew(self._kept.system)
        say("cli-chat-new")

    def _system(self, text: str) -> None:
        self._kept.begin_anew(text or None)
        say("cli-chat-system" if text else "cli-chat-no-system")

    def _save(self, name: str) -> None:
        conversation = self._kept.conversation
        if conversation is None:
            say("cli-chat-nothing-said")
            return
        path = Path(name).expanduser() if name else Path(default_name(conversation))
        if path.exists() and not self._typed.confirm("cli-chat-overwrite", path=path):
            say("cli-chat-not-saved", path=path)
            return
        try:
            save(replace(conversation, leaf=self._kept.leaf), path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError("cli-chat-save-failed", path=path, reason=reason) from error
        say("cli-chat-saved", path=path)

    def _think(self, word: str) -> None:
        if word == "show" or not word:
            if self._thought:
                show(dim(_flowed(self._thought, sys.stdout), sys.stdout))
            else:
                say("cli-chat-no-thought")
            return
        budgets = {"on": None, "off": 0}
        budget = budgets[word] if word in budgets else _number(word)
        if budget is None and word != "on":
            raise UsageError("cli-chat-think-value", value=word)
        self._limits = replace(self._limits, think_budget=budget)
        code = "off" if budget == 0 else "on" if budget is None else "budget"
        say(f"cli-chat-think-{code}", tokens=budget)

    def _regenerate(self, _rest: str) -> None:
        said = self._kept.said()
        if not said:
            say("cli-chat-nothing-said")
            return
        question = said[-2] if said[-1].role == "assistant" else said[-1]
        sampling = replace(self._chat.sampling, seed=None).seeded()
        if self._manner.seeded:
            sampling = replace(sampling, seed=((self._chat.sampling.seed or 0) + 1) % (1 << 64))
        self._chat.sampling = sampling
        begin = partial(self._kept.retry, question.id)
        self._answer(question.content, question.parent, begin)

    def _edit(self, text: str) -> None:
        said = self._kept.said()
        if not said or not text:
            say("cli-chat-nothing-said" if not said else "cli-chat-edit-how")
            return
        question = said[-2] if said[-1].role == "assistant" else said[-1]
        self._ask(text, question.parent)

    def _stats(self, _rest: str) -> None:
        from pocketr1.machine import rss_bytes

        rows = {}
        if self._last is not None:
            speed = decode_speed(reply_document(self._last))
            used = self._last.prompt_tokens + self._last.completion_tokens
            rows["cli-chat-stats-context"] = f"{used} / {self._engine.max_context}"
            rows["cli-chat-stats-speed"] = "–" if speed is None else f"{speed:.1f}"
            rows["cli-chat-stats-reused"] = str(self._last.reused_tokens)
        resident = rss_bytes()
        if resident is not None:
            rows["cli-chat-stats-memory"] = f"{resident / 1e6:.0f} MB"
        rows["cli-chat-stats-messages"] = str(len(self._kept.said()))
        where = self._kept.path
        rows["cli-chat-stats-kept"] = str(where or messages.text("cli-chat-stats-nowhere"))
        show_table(rows)

    def _model(self, _rest: str) -> None:
        engine = self._engine
        show_table(
            {
                "cli-chat-model-name": engine.path.name,
                "cli-chat-model-architecture": engine.spec.architecture,
                "cli-chat-model-weights": f"{engine.weight_bytes / 1e6:.1f} MB",
                "cli-chat-model-context": str(engine.max_context),
                "cli-chat-model-kernels": f"{engine.isa}, {engine.threads}",
            }
        )

    def _ask(self, text: str, parent: str | None) -> None:
        self._answer(text, parent, partial(self._kept.ask, text, parent))

    def _answer(self, text: str, parent: str | None, begin: Callable[[], None]) -> None:
        """Answer a question behind the reply ``parent``; ``begin`` keeps it."""
        fold = can_fold() and not self._manner.unfold
        printer = FoldedPrinter() if fold else Printer()
        self._remarks.begin_line = printer.begin_line
        before, self._kept.leaf = self._kept.leaf, parent
        try:
            begin()
        except HistoryError:
            self._kept.leaf = before
            raise
        heard = Conversation()
        for message in self._kept.prompt():
            heard.add_message(**message)
        self._chat.conversation = heard
        watch = _Watch()
        try:
            with cancel_on_interrupt(self._engine):
                stream = self._chat.stream(text, **asdict(self._limits))
                with stream:
                    for delta in stream:
                        watch.see(delta.kind)
                        printer(delta)
                        self._kept.add(delta)
        except PocketR1Error as error:
            self._kept.withdraw(error)
            self._kept.go_to(before)
            expected = isinstance(error, ContextFullError | ChatError)
            if not expected and not (isinstance(error, EngineError) and _is_pause(error)):
                raise
            # The conversation is as it was before; the user may begin anew or ask something else.
            printer.finish()
            print_error(error, as_json=False)
            if isinstance(error, ContextFullError):
                say("cli-chat-full")
            return
        finally:
            printer.finish()
        reply = stream.reply
        self._kept.finish(_outcome(reply, watch, self._chat.sampling.seed))
        self._thought, self._last = reply.reasoning, reply
        self._tell(reply)

    def _tell(self, reply: Reply) -> None:
        """Say how it went."""
        if reply.finish_reason == "cancelled":
            say("cli-chat-stopped")
        document = reply_document(reply)
        summarize(document)
        if self._engine.streaming is not None:
            say_streamed(streamed_document(self._engine.streaming, decode_speed(document)))
        if self._manner.watch is not None:
            self._manner.watch.tell(self._manner.watch.document())
        if reply.context_full:
            say("cli-chat-full")


class _Watch:
    """When a thought began and ended; seconds of a clock."""

    def __init__(self) -> None:
        self.thought_from: float | None = None
        self.thought_to: float | None = None

    def see(self, kind: str) -> None:
        """Take note of a piece."""
        if kind == "reasoning":
            self.thought_from = self.thought_from or monotonic()
        else:
            self.thought_to = self.thought_to or monotonic()

    def seconds(self) -> float | None:
        """Return how long the thought took; ``None`` where there was none."""
        if self.thought_from is None:
            return None
        return round((self.thought_to or monotonic()) - self.thought_from, 3)


def _number(word: str) -> int | None:
    """Return a whole number that was typed; ``None`` where it is none, or beyond any use."""
    # "²" is a digit too, and int() takes no more than 4,300.
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None


def _flowed(text: str, stream: TextIO) -> str:
    """Return a text as it stands, its lines broken between words where a person reads it."""
    if not is_terminal(stream):
        return text
    flow = layout.Flow(layout.width(stream))
    return flow(text) + flow.finish()


def _is_pause(error: EngineError) -> bool:
    return error.code == "battery-stop"


def _outcome(reply: Reply, watch: _Watch, seed: int | None) -> Outcome:
    stopped = reply.finish_reason in ("cancelled", "closed")
    speed = decode_speed(reply_document(reply))
    return Outcome(
        "stopped" if stopped else "done",
        "cancelled" if stopped else reply.finish_reason,
        {
            "prompt_tokens": reply.prompt_tokens,
            "cached_tokens": reply.reused_tokens,
            "completion_tokens": reply.completion_tokens,
            "reasoning_tokens": reply.completion_tokens - reply.answer_tokens,
            "thought_seconds": watch.seconds(),
            "tokens_per_second": None if speed is None else round(speed, 3),
            "first_token_seconds": round(reply.timings.first_token, 3),
            "context_used": reply.prompt_tokens + reply.completion_tokens,
            "context_full": reply.context_full,
            "thought_closed": reply.thought_closed,
            "answer_closed": reply.answer_closed,
            "seed": seed,
        },
    )
