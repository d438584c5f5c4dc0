"""Parameters that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pocketr1.cli.numbers import whole

__all__ = ["Cpus", "FullContext", "Json", "KvFormat", "MaxContext", "Model", "Threads"]


def _threads(value: str) -> int | None:
    return None if value == "auto" else whole("--threads")(value)


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
