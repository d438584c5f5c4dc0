"""``pocketr1 export``: a model in another engine's format."""

from __future__ import annotations

from typing import Annotated

import typer

from pocketr1.cli.options import Json, Model, Threads
from pocketr1.cli.output import print_json, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.errors import UsageError

__all__ = ["export"]

_FORMATS = ("gguf", "compressed-tensors")


def export(
    model: Model,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="OUT", help="cli-option-export-output")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="{gguf,compressed-tensors}", help="cli-option-export-format"
        ),
    ] = "gguf",
    type: Annotated[
        str,
        typer.Option("--type", metavar="{f16,q8_0,q4_0,closest}", help="cli-option-export-type"),
    ] = "closest",
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="cli-option-export-config")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="cli-option-export-overwrite")
    ] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Export, then print a table or the report."""
    from pocketr1.export import (
        ExportProgress,
        ExportReport,
        export_compressed_tensors,
        export_gguf,
    )

    if format not in _FORMATS:
        raise UsageError("export-format", value=format, allowed=", ".join(_FORMATS))
    with progress_bar() as bar:

        def advance(progress: ExportProgress) -> None:
            bar("cli-progress-export", progress.done, progress.total, progress.tensor)

        report: ExportReport
        if format == "gguf":
            report = export_gguf(
                model, output, type, overwrite=overwrite, threads=threads, progress=advance
            )
        else:
            report = export_compressed_tensors(
                model, output, config=config, overwrite=overwrite, progress=advance
            )
    if json:
        print_json(report.to_dict())
        return
    types = ", ".join(f"{name} ({count})" for name, count in report.types.items())
    show_table(
        {
            "cli-inspect-path": report.path,
            "cli-export-size": f"{report.file_bytes / 1e6:.1f} MB",
            "cli-inspect-parameters-whole": f"{report.parameters / 1e6:.1f} M",
            "cli-export-types": types,
            "cli-export-exact": f"{report.exact} / {report.matrices}",
            "cli-compress-time": f"{report.seconds:.1f} s",
        }
    )
