"""``pocketr1 serve``: a model for other programs, and for people."""

from __future__ import annotations

import importlib.util
import json as json_text
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1 import messages
from pocketr1.cli.governing import (
    MaxTemp,
    MemoryThreshold,
    OnBattery,
    Remarks,
    govern,
    make_care,
)
from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.kvstore import KVStore, store_options, store_path
from pocketr1.cli.numbers import whole
from pocketr1.cli.options import (
    Cpus,
    Json,
    KvFormat,
    MaxContext,
    MemoryBudget,
    Model,
    Threads,
    budget,
)
from pocketr1.cli.output import say, show
from pocketr1.cli.privacy import tell_once
from pocketr1.errors import ServerError, UsageError

if TYPE_CHECKING:
    from pocketr1.engine import Engine
    from pocketr1.engine.scheduler import SchedulerOptions

__all__ = ["serve"]

_MODULES = ("starlette", "uvicorn", "pydantic")
_API_KEY = "POCKETR1_API_KEY"


def serve(
    model: Model,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", show_default="127.0.0.1", help="cli-option-host"),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            parser=whole("--port"),
            show_default="8080",
            help="cli-option-port",
        ),
    ] = 8080,
    api_key: Annotated[
        str | None, typer.Option("--api-key", metavar="KEY", help="cli-option-api-key")
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel", metavar="N", parser=whole("--parallel"), help="cli-option-parallel"
        ),
    ] = None,
    queue: Annotated[
        int | None,
        typer.Option("--queue", metavar="N", parser=whole("--queue"), help="cli-option-queue"),
    ] = None,
    threads: Threads = None,
    cpus: Cpus = None,
    max_context: MaxContext = None,
    memory_budget: MemoryBudget = None,
    kv_format: KvFormat = "f16",
    kv_store: KVStore = None,
    cache: Cache = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="cli-option-allow-host"),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="ORIGIN", help="cli-option-allow-origin"),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="cli-option-page")] = True,
    log_prompts: Annotated[
        bool, typer.Option("--log-prompts", help="cli-option-log-prompts")
    ] = False,
    max_temp: MaxTemp = None,
    on_battery: OnBattery = None,
    memory_threshold: MemoryThreshold = None,
    json: Json = False,
) -> None:
    """Load the model, and serve it until Ctrl-C."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        raise ServerError("server-extra")
    from pocketr1.engine import load
    from pocketr1.server.app import Settings, build_app, closing
    from pocketr1.server.binding import bind
    from pocketr1.server.http import run
    from pocketr1.server.local import LocalBackend

    settings = Settings(
        host=host,
        port=port,
        api_key=(os.environ.get(_API_KEY) or None) if api_key is None else api_key,
        allowed_hosts=tuple(allow_host or ()),
        allowed_origins=tuple(allow_origin or ()),
        log_prompts=log_prompts,
        page=page,
    )
    # What is wrong with the address shows before a large model is loaded.
    for listener in bind(settings):
        listener.close()
    care = make_care(max_temp, on_battery, memory_threshold)
    options = _scheduling(parallel, queue)
    path = runnable(model, cache, threads)

    def open_engine() -> Engine:
        engine = load(
            path,
            threads=threads,
            cpus=cpus,
            max_context=max_context,
            kv_format=kv_format,
            kv_store=store_options(kv_store, cache),
            memory_budget=budget(memory_budget),
        )
        govern(engine, care, Remarks())
        return engine

    if not json:
        tell_once(None if kv_store == "off" else store_path(kv_store, cache))
    # The short name is what one asks for; a directory has its own.
    name = "tiny" if model == "tiny" else None
    with closing(LocalBackend(open_engine, options, name=name)) as backend:
        told = partial(_tell, backend.facts.name, settings.api_key is not None, json)
        run(build_app(backend, settings), settings, on_ready=told)
    if not json:
        say("cli-serve-ended")


def _scheduling(parallel: int | None, queue: int | None) -> SchedulerOptions:
    from pocketr1.engine.scheduler import SchedulerOptions

    for option, value, least in (("--parallel", parallel, 1), ("--queue", queue, 0)):
        if value is not None and value < least:
            raise UsageError("cli-serve-count", option=option, least=least, value=value)
    options = SchedulerOptions(running=parallel)
    return options if queue is None else replace(options, waiting=queue)


def _tell(name: str, with_key: bool, json: bool, url: str) -> None:
    """Say where it listens and how it is asked."""
    if json:
        show(json_text.dumps({"url": url, "model": name, "pid": os.getpid()}))
        return
    key = f' -H "Authorization: Bearer ${_API_KEY}"' if with_key else ""
    body = {"messages": [{"role": "user", "content": messages.text("cli-serve-question")}]}
    say("cli-serve-ready", name=name, url=url)
    say(
        "cli-serve-ask",
        url=url,
        key=key,
        body=json_text.dumps(body, ensure_ascii=False),
    )
