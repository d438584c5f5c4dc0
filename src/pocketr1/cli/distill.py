"""``pocketr1 distill``: a bundle comes nearer to the checkpoint it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1.cli.numbers import whole
from pocketr1.cli.options import Json, Threads
from pocketr1.cli.output import print_json, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.errors import CancelledError

if TYPE_CHECKING:
    from pocketr1.compress import Progress

__all__ = ["distill"]


def distill(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="cli-argument-bundle")],
    source: Annotated[str, typer.Option("--source", metavar="SRC", help="cli-option-source")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="cli-option-output")],
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole("--epochs"), show_default="1", help="cli-option-epochs"
        ),
    ] = None,
    calibration_data: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-distill-data")
    ] = None,
    calibration_samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole("--calibration-samples"),
            show_default="128",
            help="cli-option-distill-samples",
        ),
    ] = None,
    calibration_text: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-distill-text")
    ] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="cli-option-overwrite")] = False,
    json: Json = False,
) -> None:
    """Distill, then print a table or the report."""
    from pocketr1.bundle import partial_path
    from pocketr1.compress import DEFAULTS
    from pocketr1.compress.distill import Distiller
    from pocketr1.engine import locate

    with progress_bar() as bar:

        def advance(progress: Progress) -> None:
            bar("cli-progress-" + progress.stage, progress.done, progress.total)

        distiller = Distiller(
            bundle,
            locate(source).path if source == "tiny" else source,
            output,
            epochs=DEFAULTS.distill_epochs if epochs is None else epochs,
            calibration_data=calibration_data,
            calibration_samples=(
                DEFAULTS.calibration_samples if calibration_samples is None else calibration_samples
            ),
            calibration_text=calibration_text,
            threads=threads,
            overwrite=overwrite,
            progress=advance,
        )
        try:
            report = distiller.run()
        except KeyboardInterrupt:
            partial = partial_path(distiller.output_path.absolute())
            code = "cli-compress-interrupted" if partial.exists() else "cli-interrupted"
            raise CancelledError(code, partial=partial) from None
    if json:
        print_json(report.to_dict())
        return
    show_table(
        {
            "cli-inspect-path": report.bundle.path,
            "cli-compress-size": f"{report.bundle.file_bytes / 1e6:.1f} MB",
            "cli-distill-kld": f"{report.kld_before:.6f} -> {report.kld_after:.6f}",
            "cli-distill-steps": str(report.steps),
            "cli-compress-time": f"{report.seconds:.1f} s",
        }
    )
