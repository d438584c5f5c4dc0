"""The option that says how tokens are drafted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.engine import Engine, Speculation

__all__ = ["Speculate", "open_speculation"]

Speculate: TypeAlias = Annotated[
    str, typer.Option("--speculate", metavar="HOW", show_default="off", help="cli-option-speculate")
]


@contextmanager
def open_speculation(how: str, engine: Engine) -> Iterator[Speculation | None]:
    """Hand out what ``--speculate`` asks for; a draft model is loaded, and closed afterwards."""
    from pocketr1.engine import Speculation

    if how == "off":
        yield None
    elif how == "lookup":
        yield Speculation()
    else:
        with _load_draft(how, engine) as draft:
            yield Speculation(draft)


def _load_draft(model: str, engine: Engine) -> Engine:
    from pocketr1.engine import load

    try:
        return load(model, threads=engine.threads, max_context=engine.max_context)
    except UsageError as error:
        # It takes less context: beyond that the model goes on alone.
        if error.code != "max-context-value":
            raise
        return load(model, threads=engine.threads)
