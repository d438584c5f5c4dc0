"""``pocketr1 chat``: talk with a model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pocketr1.cli.answer import Limits, checked_full_context
from pocketr1.cli.governing import (
    MaxTemp,
    MemoryThreshold,
    OnBattery,
    Remarks,
    govern,
    make_care,
)
from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.kvstore import KVStats, KVStore, StoreWatch, store_options, store_path
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
from pocketr1.cli.output import is_terminal, say
from pocketr1.cli.privacy import tell_once
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

__all__ = ["chat"]

History = Annotated[
    bool | None,
    typer.Option("--history/--no-history", show_default=False, help="cli-option-history"),
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="ID|last", help="cli-option-resume")
]
ShowThinking = Annotated[bool, typer.Option("--show-thinking", help="cli-option-show-thinking")]


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
    history: History = None,
    resume: Resume = None,
    show_thinking: ShowThinking = False,
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
    from pocketr1.chat.history import FILE
    from pocketr1.cli.talk.commands import COMPLETIONS
    from pocketr1.cli.talk.kept import Kept
    from pocketr1.cli.talk.talk import Manner, Talk
    from pocketr1.cli.talk.typed import Typed
    from pocketr1.engine import load
    from pocketr1.engine.loading import open_speculation
    from pocketr1.machine import data_directory

    care = make_care(max_temp, on_battery, memory_threshold)
    remarks = Remarks()
    runs = runnable(model, cache, threads)
    store = store_options(kv_store, cache)
    person = is_terminal(sys.stdin)
    # What a script asks is not kept, unless it says so.
    keep = person or resume is not None if history is None else history
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
        manner = Manner(
            sampling,
            limits,
            seeded=seed is not None,
            speculation=speculation,
            full_context=when_full,
            unfold=show_thinking,
            watch=StoreWatch(engine) if kv_stats else None,
        )
        typed = Typed(COMPLETIONS, keep=keep)
        path = data_directory() / FILE if keep else None
        with (
            Kept(path, engine.path.name, system) as kept,
            Talk(engine, manner, kept, typed, remarks) as talk,
        ):
            if resume is not None:
                talk.resume(resume)
            if person and keep:
                tell_once(None if store is None else store_path(kv_store, cache))
            if person:
                say("cli-chat-welcome", model=engine.path.name)
            while (text := typed.read()) is not None and talk.take(text):
                pass
