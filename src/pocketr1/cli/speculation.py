"""The option that says how tokens are drafted."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["Speculate"]

Speculate: TypeAlias = Annotated[
    str, typer.Option("--speculate", metavar="HOW", show_default="off", help="cli-option-speculate")
]
