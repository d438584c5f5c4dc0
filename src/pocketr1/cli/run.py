"""``pocketr1 run``: answer one prompt and leave."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Annotated

import typer

from pocketr1.cli.answer import (
    Limits,
    Printer,
    Question,
    answer,
    checked_full_context,
    decode_speed,
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
    Json,
    KvFormat,
    MaxContext,
    MemoryBudget,
    Model,
    Threads,
    budget,
)
from pocketr1.cli.output import print_json, say
from pocketr1.cli.sampling import (
    LoopCheck,
    MaxAnswerTokens,
    MaxTokens,
    MinP,
    RepetitionPenalty,
    Seed,
    Stop,
    System,
    Temperature,
    ThinkBudget,
    TopK,
    TopP,
    make_sampling,
)
from pocketr1.cli.speculation import Speculate
from pocketr1.cli.streamed import say_streamed, streamed_document
from pocketr1.errors import UsageError

__all__ = ["run"]


def run(
    model: Model,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="cli-argument-prompt")],
    raw: Annotated[bool, typer.Option("--raw", help="cli-option-raw")] = False,
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
    stop: Stop = None,
    speculate: Speculate = "off",
    kv_store: KVStore = None,
    kv_stats: KVStats = False,
    max_temp: MaxTemp = None,
    on_battery: OnBattery = None,
    memory_threshold: MemoryThreshold = None,
    json: Json = False,
) -> None:
    """Answer, streaming or as one document."""
    sampling = make_sampling(
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    if raw:
        for option, value in (
            ("--system", system),
            ("--max-answer-tokens", max_answer_tokens),
            ("--think-budget", think_budget),
        ):
            if value is not None:
                raise UsageError("cli-raw-option", option=option)
    text = prompt
    if prompt == "-":
        text = sys.stdin.read() if sys.stdin is not None else ""
    if not text.strip():
        raise UsageError("cli-prompt-empty")
    from pocketr1.chat.control import check_think_budget

    check_think_budget(think_budget)
    limits = Limits(max_tokens, max_answer_tokens, think_budget, loop_check)
    when_full = checked_full_context(full_context)
    question = Question(text, sampling, raw, system, limits, tuple(stop or ()), when_full)
    from pocketr1.engine import load
    from pocketr1.engine.loading import open_speculation

    care = make_care(max_temp, on_battery, memory_threshold)
    model = runnable(model, cache, threads)
    began = perf_counter()
    store = store_options(kv_store, cache)
    with load(
        model,
        threads=threads,
        cpus=cpus,
        max_context=max_context,
        kv_format=kv_format,
        kv_store=store,
        memory_budget=budget(memory_budget),
    ) as engine:
        load_s = perf_counter() - began
        watch = StoreWatch(engine)
        printer = None if json else Printer()
        remarks = Remarks()
        remarks.begin_line = None if printer is None else printer.begin_line
        with open_speculation(speculate, engine) as speculation, cancel_on_interrupt(engine):
            governor = govern(engine, care, remarks, speculation)
            try:
                document = answer(engine, question, printer, speculation)
            finally:
                if printer is not None:
                    printer.finish()
        streaming = engine.streaming
        kept = watch.document() if json or kv_stats else None
    timings = {"load_s": load_s, **document["timings"]}
    document["timings"] = {name: round(seconds, 6) for name, seconds in timings.items()}
    document["seed"] = sampling.seed
    document["events"] = [event.to_dict() for event in governor.events]
    memory = None if streaming is None else streamed_document(streaming, decode_speed(document))
    document["memory"] = memory
    if printer is None:
        document["kv_store"] = kept
        print_json(document)
    else:
        summarize(document)
        if memory is not None:
            say_streamed(memory)
        if document["context_full"]:
            say("cli-run-full")
        if kept is not None:
            watch.tell(kept)
    if document["finish_reason"] == "cancelled":
        raise typer.Exit(1)
