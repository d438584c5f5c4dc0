"""The options that say how tokens are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from pocketr1.cli.numbers import decimal, whole

if TYPE_CHECKING:
    from pocketr1.engine import Sampling

__all__ = [
    "LoopCheck",
    "MaxAnswerTokens",
    "MaxTokens",
    "MinP",
    "RepetitionPenalty",
    "Seed",
    "Stop",
    "System",
    "Temperature",
    "ThinkBudget",
    "TopK",
    "TopP",
    "make_sampling",
]


def _number(
    name: str,
    metavar: str,
    parser: Callable[[str], Callable[[str], Any]],
    help: str,
    default: str | None = None,
) -> Any:
    """Return an option that takes a number; ``default`` is only shown."""
    shown = True if default is None else default
    return typer.Option(name, metavar=metavar, parser=parser(name), show_default=shown, help=help)


MaxTokens: TypeAlias = Annotated[
    int | None, _number("--max-tokens", "N", whole, "cli-option-max-tokens")
]
MaxAnswerTokens: TypeAlias = Annotated[
    int | None, _number("--max-answer-tokens", "N", whole, "cli-option-max-answer-tokens")
]
ThinkBudget: TypeAlias = Annotated[
    int | None, _number("--think-budget", "N", whole, "cli-option-think-budget")
]
LoopCheck: TypeAlias = Annotated[
    bool, typer.Option("--loop-check/--no-loop-check", help="cli-option-loop-check")
]
Temperature: TypeAlias = Annotated[
    float | None, _number("--temperature", "T", decimal, "cli-option-temperature", "0.6")
]
TopP: TypeAlias = Annotated[
    float | None, _number("--top-p", "P", decimal, "cli-option-top-p", "0.95")
]
TopK: TypeAlias = Annotated[int | None, _number("--top-k", "K", whole, "cli-option-top-k", "0")]
MinP: TypeAlias = Annotated[float | None, _number("--min-p", "P", decimal, "cli-option-min-p", "0")]
RepetitionPenalty: TypeAlias = Annotated[
    float | None,
    _number("--repetition-penalty", "R", decimal, "cli-option-repetition-penalty", "1"),
]
Seed: TypeAlias = Annotated[int | None, _number("--seed", "S", whole, "cli-option-seed")]
System: TypeAlias = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="cli-option-system")
]
Stop: TypeAlias = Annotated[
    list[str] | None, typer.Option("--stop", metavar="TEXT", help="cli-option-stop")
]


def make_sampling(**options: float | None) -> Sampling:
    """Return ``Sampling`` with those options that were given, and a seed."""
    from pocketr1.engine import Sampling

    given = {name: value for name, value in options.items() if value is not None}
    return Sampling(**given).seeded()  # type: ignore[arg-type]
