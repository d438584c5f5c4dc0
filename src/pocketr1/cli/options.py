"""Parameters that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pocketr1.cli.numbers import whole

__all__ = ["Json", "MaxContext", "Model", "Threads"]

Model: TypeAlias = Annotated[str, typer.Argument(metavar="MODEL", help="cli-argument-model")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="cli-option-json")]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", parser=whole("--threads"), help="cli-option-threads"),
]
MaxContext: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-context", metavar="N", parser=whole("--max-context"), help="cli-option-max-context"
    ),
]
