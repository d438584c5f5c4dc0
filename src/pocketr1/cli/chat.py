"""``pocketr1 chat``: talk with a model."""

from __future__ import annotations

import atexit
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.cli.answer import (
    Limits,
    Printer,
    checked_full_context,
    reply_document,
    summarize,
)
from pocketr1.cli.governing import (
    MaxTemp,
    MemoryThreshold,
    OnBattery,
    Remarks,
    govern,
    make_care,
)
from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.interrupt import cancel_on_interrupt
from pocketr1.cli.kvstore import KVStats, KVStore, StoreWatch, store_options
from pocketr1.cli.options import (
    Cpus,
    FullContext,
    KvFormat,
    MaxContext,
    MemoryBudget,
    Model,
    Threads,
    budget,
)
from pocketr1.cli.output import is_terminal, print_error, say
from pocketr1.cli.sampling import (
    LoopCheck,
    MaxAnswerTokens,
    MaxTokens,
    MinP,
    RepetitionPenalty,
    Seed,
    System,
    Temperature,
    ThinkBudget,
    TopK,
    TopP,
    make_sampling,
)
from pocketr1.cli.speculation import Speculate
from pocketr1.errors import ChatError, ContextFullError, EngineError

if TYPE_CHECKING:
    from pocketr1.chat import Chat
    from pocketr1.engine import Engine, Sampling, Speculation
    from pocketr1.engine.window import FullContext as WhenFull

__all__ = ["chat"]

_HISTORY_LINES = 1000


def chat(
    model: Model,
    max_tokens: MaxTokens = None,
    max_answer_tokens: MaxAnswerTokens = None,
    think_budget: ThinkBudget = None,
    loop_check: LoopCheck = True,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    min_p: MinP = None,
    repetition_penalty: RepetitionPenalty = None,
    seed: Seed = None,
    threads: Threads = None,
    cpus: Cpus = None,
    max_context: MaxContext = None,
    memory_budget: MemoryBudget = None,
    full_context: FullContext = "stop",
    kv_format: KvFormat = "f16",
    cache: Cache = None,
    system: System = None,
    speculate: Speculate = "off",
    kv_store: KVStore = None,
    kv_stats: KVStats = False,
    max_temp: MaxTemp = None,
    on_battery: OnBattery = None,
    memory_threshold: MemoryThreshold = None,
) -> None:
    """Read questions until there are no more."""
    sampling = make_sampling(
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    from pocketr1.chat.control import check_think_budget

    check_think_budget(think_budget)
    limits = Limits(max_tokens, max_answer_tokens, think_budget, loop_check)
    when_full = checked_full_context(full_context)
    from pocketr1.engine import load
    from pocketr1.engine.loading import open_speculation

    care = make_care(max_temp, on_battery, memory_threshold)
    remarks = Remarks()
    runs = runnable(model, cache, threads)
    store = store_options(kv_store, cache)
    with (
        load(
            runs,
            threads=threads,
            cpus=cpus,
            max_context=max_context,
            kv_format=kv_format,
            kv_store=store,
            memory_budget=budget(memory_budget),
        ) as engine,
        open_speculation(speculate, engine) as speculation,
    ):
        if model == "tiny":
            say("cli-chat-tiny")
        govern(engine, care, remarks, speculation)
        talk = _Talk(engine, sampling, system, limits, speculation, when_full, remarks)
        talk.watch = StoreWatch(engine) if kv_stats else None
        if is_terminal(sys.stdin):
            _keep_history()
            say("cli-chat-welcome", model=engine.path.name)
        while (line := _read_line()) is not None and talk.take(line):
            pass


class _Talk:
    """The conversation, and what each line typed does to it."""

    def __init__(
        self,
        engine: Engine,
        sampling: Sampling,
        system: str | None,
        limits: Limits,
        speculation: Speculation | None,
        full_context: WhenFull,
        remarks: Remarks,
    ) -> None:
        self._engine = engine
        self._sampling = sampling
        self._limits = limits
        self._speculation = speculation
        self._full_context = full_context
        self.watch: StoreWatch | None = None
        self._remarks = remarks
        self._chat = self._new_chat(system)

    def take(self, line: str) -> bool:
        """Act on one line; return False when it says to leave."""
        command, _, rest = line.strip().partition(" ")
        if not command:
            return True
        if not command.startswith("/"):
            self._answer(line)
        elif command == "/quit":
            return False
        elif command == "/help":
            _show_help()
        elif command == "/reset":
            self._chat.clear()
            say("cli-chat-reset")
        elif command == "/system":
            self._chat.close()
            self._chat = self._new_chat(rest.strip() or None)
            say("cli-chat-system" if rest.strip() else "cli-chat-no-system")
        else:
            say("cli-chat-unknown", command=command)
        return True

    def _new_chat(self, system: str | None) -> Chat:
        from pocketr1.chat import Chat

        return Chat(
            self._engine,
            system,
            self._sampling,
            speculation=self._speculation,
            full_context=self._full_context,
        )

    def _answer(self, line: str) -> None:
        printer = Printer()
        self._remarks.begin_line = printer.begin_line
        try:
            with cancel_on_interrupt(self._engine):
                reply = self._chat.send(line, on_delta=printer, **asdict(self._limits))
        except (ChatError, EngineError) as error:
            if not isinstance(error, ContextFullError | ChatError) and error.code != "battery-stop":
                raise
            # The conversation is as it was before; the user may /reset or ask something else.
            printer.finish()
            print_error(error, as_json=False)
            if isinstance(error, ContextFullError):
                say("cli-chat-full")
            return
        finally:
            printer.finish()
        if reply.finish_reason == "cancelled":
            say("cli-chat-stopped")
        summarize(reply_document(reply))
        if self.watch is not None:
            self.watch.tell(self.watch.document())
        if reply.context_full:
            say("cli-chat-full")


def _show_help() -> None:
    rows = [
        (messages.text(f"cli-chat-{name}-usage"), messages.text(f"cli-chat-{name}-help"))
        for name in ("system", "reset", "quit")
    ]
    room = layout.width(sys.stderr)
    lines = [
        *layout.two_columns(rows, room),
        *layout.paragraphs(messages.text("cli-chat-help"), room),
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _read_line() -> str | None:
    """Return the next line, or ``None`` at the end. Ctrl-C while typing drops the line."""
    while True:
        try:
            if is_terminal(sys.stdin):
                return input("> ")
            line = next(sys.stdin, None) if sys.stdin is not None else None
            return None if line is None else line.rstrip("\r\n")
        except EOFError:
            print(file=sys.stderr)
            return None
        except KeyboardInterrupt:
            say("cli-chat-leave")


def _keep_history() -> None:
    """Load the line history and keep it up, in a file nobody else may read."""
    try:
        import readline
    except ImportError:  # not on every system
        return
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(home) / "pocketr1" / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.chmod(0o600)
        readline.read_history_file(path)
    except OSError:
        return  # without a place to write, the history lasts as long as the chat
    readline.set_history_length(_HISTORY_LINES)
    atexit.register(readline.write_history_file, path)
