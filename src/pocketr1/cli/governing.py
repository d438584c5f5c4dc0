"""The options that mind memory, heat and battery, and what the governor says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pocketr1.cli.numbers import decimal, size
from pocketr1.cli.output import fitted

if TYPE_CHECKING:
    from pocketr1.engine import Care, Engine, Event, Governor, Speculation

__all__ = ["MaxTemp", "MemoryThreshold", "OnBattery", "Remarks", "govern", "make_care"]

MaxTemp: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-temp", metavar="CELSIUS", parser=decimal("--max-temp"), help="cli-option-max-temp"
    ),
]
OnBattery: TypeAlias = Annotated[
    str | None, typer.Option("--on-battery", metavar="PROFILE", help="cli-option-on-battery")
]
MemoryThreshold: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--memory-threshold",
        metavar="SIZE",
        parser=size("--memory-threshold"),
        show_default="500MB",
        help="cli-option-memory-threshold",
    ),
]


class Remarks:
    """Says a governor's events on stderr.

    begin_line: ends a line of the answer that stands half-written where the remark will appear.
    """

    def __init__(self) -> None:
        self.begin_line: Callable[[], None] | None = None

    def __call__(self, event: Event) -> None:
        """Say one event."""
        if self.begin_line is not None:
            self.begin_line()
        print(fitted(event.text, sys.stderr), file=sys.stderr, flush=True)


def make_care(max_temp: float | None, on_battery: str | None, threshold: int | None) -> Care:
    """Return the options of a governor; raises as :class:`pocketr1.engine.Care` does."""
    from pocketr1.engine import MEMORY_THRESHOLD, Care

    return Care(max_temp, on_battery, MEMORY_THRESHOLD if threshold is None else threshold)


def govern(
    engine: Engine, care: Care, say: Callable[[Event], None], speculation: Speculation | None = None
) -> Governor:
    """Let a governor mind the engine, and the draft model where there is one."""
    from pocketr1 import engine as room

    governor = room.Governor(care, say)
    engine.govern(governor)
    draft = None if speculation is None else speculation.draft
    if isinstance(draft, room.Engine):
        draft.govern(governor)
    return governor
