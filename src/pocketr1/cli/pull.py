"""``pocketr1 pull``: a model from a hub, whole or compressed on its way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketr1.cli.numbers import whole
from pocketr1.cli.options import Json
from pocketr1.cli.output import print_json, say, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.errors import CancelledError, HubError, UsageError

if TYPE_CHECKING:
    from pocketr1.compress import CompressionReport, Progress
    from pocketr1.hub import PullProgress, PullReport

__all__ = ["pull"]

#: Bits that can be asked for, and the group size that suits them.
_GROUP_SIZES = {8: 128, 4: 64, 3: 64, 2: 32}


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="cli-argument-pull")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="OUT", help="cli-option-pull-output")
    ] = None,
    compress: Annotated[
        int | None,
        typer.Option(
            "--compress",
            metavar="{8,4,3,2}",
            parser=whole("--compress"),
            help="cli-option-pull-compress",
        ),
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="WHERE", help="cli-option-pull-from")
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="R", help="cli-option-pull-revision")
    ] = None,
    json: Json = False,
) -> None:
    """Pull, or pull and compress, then print a table or the report."""
    if compress is not None and compress not in _GROUP_SIZES:
        raise UsageError("cli-pull-bits", value=compress)
    from pocketr1 import hub

    repository = hub.repository_name(name)
    default = name if name in hub.ALIASES else repository.partition("/")[2]
    out = Path(output or (f"{default}-int{compress}" if compress else default))
    if out.exists():
        raise HubError("hub-out-exists", path=out)
    staging = out.with_name(out.name + (".source" if compress else ".partial"))
    compressed = None
    say("cli-pull-asking", host=hub.host_of(origin), repository=repository)
    try:
        with progress_bar() as bar:

            def advance(progress: PullProgress | Progress) -> None:
                detail = getattr(progress, "file", "") or getattr(progress, "tensor", "")
                bar("cli-progress-" + progress.stage, progress.done, progress.total, detail)

            found = hub.open_origin(repository, origin, revision)
            with hub.Pull(found, staging, advance) as begun:
                begun.check()
                if compress is None:
                    begun.weights_all()
                    report = begun.finish(out)
                else:
                    compressed = _compress(begun, out, compress, advance)
                    report = begun.report(out)
                    begun.remove()
    except KeyboardInterrupt:
        code = "cli-pull-interrupted" if staging.exists() else "cli-interrupted"
        raise CancelledError(code, path=staging) from None
    _show(report, compressed, json)


def _compress(pull: Any, out: Path, bits: int, advance: Any) -> CompressionReport:
    from pocketr1.compress import Quantizer

    quantizer = Quantizer(
        pull.directory,
        output_path=out,
        bits=bits,
        group_size=_GROUP_SIZES[bits],
        discard_source=True,
        progress=advance,
        arrivals=pull,
    )
    needed, free = quantizer.disk_needed()
    say("cli-pull-disk", needed=f"{needed / 1e6:.1f}", free=f"{free / 1e6:.0f}")
    return quantizer.run()


def _show(report: PullReport, compressed: CompressionReport | None, json: bool) -> None:
    if json:
        document = report.to_dict()
        if compressed is not None:
            document["compression"] = compressed.to_dict()
        print_json(document)
        return
    files = len(report.checked) + len(report.unchecked)
    rows = {
        "cli-inspect-path": report.path,
        "cli-pull-from": f"{report.address} @ {report.revision}",
        "cli-pull-bytes": f"{report.bytes / 1e6:.1f} MB",
        "cli-pull-checked": f"{len(report.checked)} / {files}",
    }
    if compressed is not None:
        rows["cli-compress-size"] = f"{compressed.bundle.file_bytes / 1e6:.1f} MB"
        rows["cli-inspect-bits"] = (
            f"{compressed.bundle.bits_per_weight:.3f} "
            f"({compressed.bundle.decoder_bits_per_weight:.3f})"
        )
        rows["cli-compress-memory"] = f"{compressed.peak_rss_bytes / 1e6:.1f} MB"
    rows["cli-compress-time"] = f"{report.seconds:.1f} s"
    show_table(rows)
    if compressed is None:
        say("cli-pull-next-compress", path=report.path)
    else:
        say("cli-pull-next-chat", path=report.path)
