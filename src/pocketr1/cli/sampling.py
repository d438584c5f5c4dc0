"""The options that say how tokens are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pocketr1.cli.numbers import decimal, whole

if TYPE_CHECKING:
    from pocketr1.engine import Sampling

__all__ = [
    "MaxAnswerTokens",
    "MaxTokens",
    "MinP",
    "RepetitionPenalty",
    "Seed",
    "Stop",
    "System",
    "Temperature",
    "TopK",
    "TopP",
    "make_sampling",
]

MaxTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", metavar="N", parser=whole("--max-tokens"), help="cli-option-max-tokens"
    ),
]
MaxAnswerTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-answer-tokens",
        metavar="N",
        parser=whole("--max-answer-tokens"),
        help="cli-option-max-answer-tokens",
    ),
]
Temperature: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="T",
        parser=decimal("--temperature"),
        show_default="0.6",
        help="cli-option-temperature",
    ),
]
TopP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="P",
        parser=decimal("--top-p"),
        show_default="0.95",
        help="cli-option-top-p",
    ),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--top-k", metavar="K", parser=whole("--top-k"), show_default="0", help="cli-option-top-k"
    ),
]
MinP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-p", metavar="P", parser=decimal("--min-p"), show_default="0", help="cli-option-min-p"
    ),
]
RepetitionPenalty: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--repetition-penalty",
        metavar="R",
        parser=decimal("--repetition-penalty"),
        show_default="1",
        help="cli-option-repetition-penalty",
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option("--seed", metavar="S", parser=whole("--seed"), help="cli-option-seed"),
]
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
