"""Commands that run a model take a GGUF file too: its bundle is made the first time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pocketr1 import messages
from pocketr1.cli.output import say
from pocketr1.cli.progress import progress_bar

if TYPE_CHECKING:
    from pocketr1.compress import CompressionReport, Progress

__all__ = ["Cache", "runnable"]

Cache: TypeAlias = Annotated[
    str | None, typer.Option("--cache", metavar="DIR", help="cli-option-cache")
]


def runnable(model: str, cache: str | None = None, threads: int | None = None) -> str:
    """Return ``model``, or the bundle of a GGUF file; say where it lies when it was made."""
    from pocketr1.checkpoint import is_gguf

    if model == "tiny" or not is_gguf(Path(model)):
        return model
    from pocketr1.compress import find_or_import

    with progress_bar() as bar:

        def advance(progress: Progress) -> None:
            bar("cli-progress-" + progress.stage, progress.done, progress.total, progress.tensor)

        imported = find_or_import(model, cache, threads=threads, progress=advance)
    if imported.report is not None:
        _tell(imported.report)
    return str(imported.path)


def _tell(report: CompressionReport) -> None:
    errors = [t.relative_rms or 0.0 for t in report.bundle.tensors if len(t.shape) == 2]
    kept = sum(error == 0 for error in errors)
    rest = messages.text("cli-gguf-rest-none")
    if kept < len(errors):
        rest = messages.text("cli-gguf-rest", error=max(errors))
    say("cli-gguf-imported", kept=kept, count=len(errors), rest=rest, path=report.bundle.path)
