"""``pocketr1 cache``: the store of keys and values."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1 import messages
from pocketr1.cli.imported import Cache
from pocketr1.cli.kvstore import store_path
from pocketr1.cli.numbers import duration, size
from pocketr1.cli.options import Json
from pocketr1.cli.output import print_json, say, show, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pocketr1.engine.kvstore import StoreReport

__all__ = ["cache"]


def cache(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="cli-argument-cache-action")],
    kv_store: Annotated[
        str | None, typer.Option("--kv-store", metavar="FILE", help="cli-option-cache-store")
    ] = None,
    directory: Cache = None,
    max_size: Annotated[
        int | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            parser=size("--max-size"),
            help="cli-option-cache-max-size",
        ),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            metavar="TIME",
            parser=duration("--older-than"),
            help="cli-option-cache-older-than",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="cli-option-cache-model")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="cli-option-cache-all")] = False,
    json: Json = False,
) -> None:
    """Look at the store, make it smaller or check it."""
    path = store_path(kv_store, directory)
    chosen = {
        "--max-size": max_size is not None,
        "--older-than": older_than is not None,
        "--model": model is not None,
        "--all": everything,
    }
    if action == "prune":
        if not any(chosen.values()):
            raise UsageError("cli-cache-what")
        from pocketr1.engine.kvstore import prune

        freed = prune(
            path,
            limit_bytes=max_size,
            older_than=older_than,
            model=model,
            everything=everything,
        )
        if json:
            print_json({"pages": freed.pages, "before": freed.before, "after": freed.after})
        else:
            gone, left = (freed.before - freed.after) / 1e6, freed.after / 1e6
            show(messages.text("cli-cache-freed", pages=freed.pages, freed=gone, left=left))
        return
    for option, given in chosen.items():
        if given and action in ("list", "show", "verify"):
            raise UsageError("cli-cache-option", option=option, action=action)
    if action == "verify":
        _verify(path, json)
    elif action in ("list", "show"):
        from pocketr1.engine.kvstore import inspect_store

        report = inspect_store(path)
        if json:
            print_json(report.to_dict())
        elif action == "list":
            _list(report)
        else:
            _show(report)
    else:
        raise UsageError("cli-cache-action", action=action)


def _list(report: StoreReport) -> None:
    if not any(model.pages for model in report.models):
        show(messages.text("cli-cache-empty", path=report.path))
    for model in report.models:
        if model.pages:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(model.used))
            row = {"id": model.id, "name": model.name, "kv": model.kv_format, "used": used}
            row |= {"tokens": str(model.tokens), "prompts": str(model.prompts)}
            show(messages.text("cli-cache-row", size=model.kv_bytes / 1e6, **row))
            if model.restore and model.prefill:
                speeds = messages.text(
                    "cli-cache-speeds", restore=model.restore, prefill=model.prefill
                )
                show(f"{'':14}{speeds}")


def _show(report: StoreReport) -> None:
    show_table(
        {
            "cli-cache-path": str(report.path),
            "cli-cache-size": f"{report.file_bytes / 1e6:.1f} MB",
            "cli-cache-limit": f"{report.limit_bytes / 1e6:.0f} MB",
            "cli-cache-pages": str(sum(model.tokens for model in report.models)),
            "cli-cache-written": f"{report.written_bytes / 1e6:.1f} MB",
        }
    )


def _verify(path: Path, json: bool) -> None:
    from pocketr1.engine.kvstore import verify

    with progress_bar() as bar:
        check = verify(path, lambda done, total: bar("cli-progress-verify", done, total))
    if json:
        print_json({"pages": check.pages, "problems": list(check.problems)})
    elif check.problems:
        for problem in check.problems:
            show(problem)
        say("cli-cache-bad", count=len(check.problems), pages=check.pages)
    else:
        show(messages.text("cli-cache-clean", pages=check.pages))
    if check.problems:
        raise typer.Exit(1)
