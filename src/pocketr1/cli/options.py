"""Parameters that several commands share."""

from __future__ import annotations

import os
from typing import Annotated, TypeAlias

import typer

from pocketr1.cli.numbers import size, whole

__all__ = [
    "Cpus",
    "FullContext",
    "Json",
    "KvFormat",
    "MaxContext",
    "MemoryBudget",
    "Model",
    "Threads",
    "budget",
]


def _threads(value: str) -> int | None:
    return None if value == "auto" else whole("--threads")(value)


def _budget(value: str) -> str:
    return value if value in ("auto", "none") else str(size("--memory-budget")(value))


def budget(value: str | None) -> str | None:
    """Return what ``load`` takes for ``--memory-budget``: on a phone ``auto`` by default."""
    from pocketr1.machine import Root, is_android

    if value is None:
        return "auto" if is_android(Root(), os.environ) else None
    return None if value == "none" else value


Model: TypeAlias = Annotated[str, typer.Argument(metavar="MODEL", help="cli-argument-model")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="cli-option-json")]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option("--threads", metavar="N|auto", parser=_threads, help="cli-option-threads"),
]
Cpus: TypeAlias = Annotated[
    str | None,
    typer.Option("--cpus", metavar="LIST|fast", help="cli-option-cpus"),
]
MaxContext: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-context", metavar="N", parser=whole("--max-context"), help="cli-option-max-context"
    ),
]
MemoryBudget: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--memory-budget",
        metavar="SIZE|auto|none",
        parser=_budget,
        help="cli-option-memory-budget",
    ),
]
KvFormat: TypeAlias = Annotated[
    str,
    typer.Option("--kv-format", metavar="TYPE", show_default="f16", help="cli-option-kv-format"),
]
FullContext: TypeAlias = Annotated[
    str,
    typer.Option(
        "--full-context", metavar="stop|slide", show_default="stop", help="cli-option-full-context"
    ),
]
