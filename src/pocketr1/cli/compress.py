"""``pocketr1 compress``: a checkpoint becomes a bundle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketr1 import messages
from pocketr1.cli.evaluate import MaxDrop, MaxKld, write_page
from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.numbers import bits as bits_of
from pocketr1.cli.numbers import decimal, size, whole
from pocketr1.cli.options import Json, Threads
from pocketr1.cli.output import print_json, show, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.errors import CancelledError, CompressionError, UsageError

if TYPE_CHECKING:
    from pocketr1.compress import CompressionReport, Estimate, Progress, TargetEstimate
    from pocketr1.evaluate import EvaluationGate

__all__ = ["compress"]


def compress(
    source: Annotated[str, typer.Argument(metavar="SRC", help="cli-argument-source")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="cli-option-output")],
    bits: Annotated[
        Any,
        typer.Option(
            metavar="{16,8,4,3,2,f8,keep}",
            parser=bits_of("--bits"),
            show_default="8",
            help="cli-option-bits",
        ),
    ] = 8,
    group_size: Annotated[
        int,
        typer.Option(
            metavar="{32,64,128}",
            parser=whole("--group-size"),
            show_default="128",
            help="cli-option-group-size",
        ),
    ] = 128,
    asymmetric: Annotated[bool, typer.Option("--asymmetric", help="cli-option-asymmetric")] = False,
    embedding_bits: Annotated[
        Any,
        typer.Option(
            metavar="{16,8,4,3,2,f8}",
            parser=bits_of("--embedding-bits"),
            help="cli-option-embedding-bits",
        ),
    ] = None,
    head_bits: Annotated[
        Any,
        typer.Option(
            metavar="{16,8,4,3,2,f8}", parser=bits_of("--head-bits"), help="cli-option-head-bits"
        ),
    ] = None,
    target_size: Annotated[
        int | None,
        typer.Option(metavar="SIZE", parser=size("--target-size"), help="cli-option-target-size"),
    ] = None,
    target_bpw: Annotated[
        float | None,
        typer.Option(metavar="BITS", parser=decimal("--target-bpw"), help="cli-option-target-bpw"),
    ] = None,
    target_kld: Annotated[
        float | None,
        typer.Option(metavar="NATS", parser=decimal("--target-kld"), help="cli-option-target-kld"),
    ] = None,
    threads: Threads = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli-option-dry-run")] = False,
    discard_source: Annotated[
        bool, typer.Option("--discard-source", help="cli-option-discard-source")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="cli-option-overwrite")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="cli-option-calibrate")] = False,
    calibration_data: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-calibration-data")
    ] = None,
    calibration_samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole("--calibration-samples"),
            show_default="128",
            help="cli-option-calibration-samples",
        ),
    ] = None,
    calibration_text: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-calibration-text")
    ] = None,
    gate_task: Annotated[
        list[str] | None, typer.Option("--gate-task", metavar="FILE", help="cli-option-gate-task")
    ] = None,
    gate_text: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-gate-text")
    ] = None,
    gate_limit: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole("--gate-limit"), help="cli-option-gate-limit"),
    ] = None,
    max_drop: MaxDrop = None,
    max_kld: MaxKld = None,
    gate_html: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-gate-html")
    ] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="cli-option-keep-failed")
    ] = False,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Compress and judge, or estimate, then print a table or the report."""
    from pocketr1.bundle import partial_path
    from pocketr1.compress import DEFAULTS, Quantizer, Target

    gated = bool(gate_task) or gate_text is not None
    for option, value in (
        ("--gate-limit", gate_limit),
        ("--max-drop", max_drop),
        ("--max-kld", max_kld),
        ("--gate-html", gate_html),
        ("--keep-failed", keep_failed or None),
        ("--cache", cache),
    ):
        if value is not None and not gated:
            raise UsageError("compress-gate-option", option=option)
    source = _shipped(source, discard_source)
    target = None
    if (target_size, target_bpw, target_kld) != (None, None, None):
        target = Target(target_size, target_bpw, target_kld)
    if calibrate and calibration_samples is None:
        calibration_samples = DEFAULTS.calibration_samples
    judged = runnable(source, cache, threads) if gated else source
    with progress_bar() as bar:
        gate = None
        if gated:
            gate = _gate(
                judged, gate_task or [], gate_text, (gate_limit, max_drop, max_kld), threads, bar
            )

        def advance(progress: Progress) -> None:
            bar("cli-progress-" + progress.stage, progress.done, progress.total, progress.tensor)

        quantizer = Quantizer(
            source,
            output_path=output,
            bits=bits,
            group_size=group_size,
            symmetric=not asymmetric,
            embedding_bits=embedding_bits,
            head_bits=head_bits,
            threads=threads,
            calibration_data=calibration_data,
            calibration_samples=calibration_samples,
            calibration_text=calibration_text,
            target=target,
            discard_source=discard_source,
            overwrite=overwrite,
            progress=advance,
            gate=gate,
            keep_failed=keep_failed,
        )
        if dry_run:
            result: Estimate | TargetEstimate | CompressionReport = quantizer.estimate()
        else:
            try:
                result = quantizer.run()
            except KeyboardInterrupt:
                partial = partial_path(quantizer.output_path.absolute())
                code = "cli-compress-interrupted" if partial.exists() else "cli-interrupted"
                raise CancelledError(code, partial=partial) from None
            except CompressionError as error:
                if error.code == "compress-gate-failed":
                    _show_judgement(gate, gate_html, json)
                raise
    if json:
        print_json(result.to_dict())
    else:
        show_table(_rows(result))
    _show_judgement(gate, gate_html, json)
    if gate is not None and gate.report is not None and gate.report.verdict == "fail":
        raise typer.Exit(1)


def _shipped(source: str, discard: bool) -> str:
    """Return where the model that comes along lies, for its name; it is never discarded."""
    if source != "tiny":
        return source
    if discard:
        raise UsageError("compress-tiny-discard")
    from pocketr1.engine import locate

    return str(locate(source).path)


def _gate(
    source: str,
    tasks: list[str],
    text: str | None,
    limits: tuple[int | None, float | None, float | None],
    threads: int | None,
    bar: Callable[..., None],
) -> EvaluationGate:
    from pocketr1.evaluate import EvaluateOptions, EvaluationGate, find_task

    limit, max_drop, max_kld = limits
    options = EvaluateOptions(
        limit=limit, max_drop=8.0 if max_drop is None else max_drop, max_kld=max_kld
    )
    return EvaluationGate(
        source,
        text=text,
        tasks=[find_task(task) for task in tasks],
        options=options,
        threads=threads,
        progress=lambda stage, *rest: bar("cli-progress-" + stage, *rest),
    )


def _show_judgement(gate: EvaluationGate | None, html: str | None, json: bool) -> None:
    """Print what the gate measured, and write its page."""
    if gate is None or gate.report is None:
        return
    if html is not None:
        write_page(gate.report, html)
    if not json:
        from pocketr1.cli.evaluate_tables import show_evaluation

        show()
        show_evaluation(gate.report)


def _rows(result: Estimate | TargetEstimate | CompressionReport) -> dict[str, str]:
    from pocketr1.compress import CompressionReport

    if not isinstance(result, CompressionReport):
        return _estimate_rows(result)
    bundle = result.bundle
    worst = max(bundle.tensors, key=lambda tensor: tensor.relative_rms or 0.0)
    rows = {
        "cli-inspect-path": bundle.path,
        "cli-compress-size": f"{bundle.file_bytes / 1e6:.1f} MB",
        "cli-inspect-parameters": f"{bundle.parameters / 1e6:.1f} M "
        f"({bundle.decoder_parameters / 1e6:.1f} M)",
        "cli-inspect-bits": f"{bundle.bits_per_weight:.3f} ({bundle.decoder_bits_per_weight:.3f})",
        "cli-inspect-error": f"{worst.relative_rms or 0.0:.5f} ({worst.name})",
        "cli-compress-time": f"{result.seconds:.1f} s",
        "cli-compress-memory": f"{result.peak_rss_bytes / 1e6:.1f} MB",
    }
    encoded = result.carried_tensors + result.requantized_tensors
    if encoded:
        rows["cli-compress-carried"] = f"{result.carried_tensors} / {encoded}"
    if result.carrying_format is not None:
        rows["cli-compress-carrying"] = _options_of(result.carrying_format)
    if result.resumed_segments:
        rows["cli-compress-resumed"] = f"{result.resumed_segments} / {bundle.segments}"
    return rows


def _estimate_rows(result: Estimate | TargetEstimate) -> dict[str, str]:
    from pocketr1.compress import TargetEstimate

    rows = {"cli-compress-source": f"{result.source_bytes / 1e6:.1f} MB"}
    if isinstance(result, TargetEstimate):
        sizes = (result.smallest_bytes, result.largest_bytes)
        bits = (result.smallest_bits_per_weight, result.largest_bits_per_weight)
        answer = "unknown" if "divergence" in result.target else "met"
        rows |= {
            "cli-compress-target": messages.text(f"cli-compress-target-{answer}"),
            "cli-compress-possible-size": " … ".join(f"{_up(size / 1e6, 1)} MB" for size in sizes),
            "cli-compress-possible-bits": " … ".join(_up(each, 3) for each in bits),
            "cli-compress-size-most": f"{result.output_bytes / 1e6:.1f} MB",
            "cli-compress-sensitivities": f"{result.matrices} ({result.sensitivity_seconds:.1f} s)",
        }
    else:
        rows["cli-compress-size"] = f"{result.output_bytes / 1e6:.1f} MB"
    rows["cli-inspect-parameters-whole"] = f"{result.parameters / 1e6:.1f} M"
    if not isinstance(result, TargetEstimate):
        whole, decoder = result.bits_per_weight, result.decoder_bits_per_weight
        rows["cli-inspect-bits"] = f"{whole:.3f} ({decoder:.3f})"
    needed, free = result.disk_needed_bytes, result.disk_free_bytes
    return rows | {
        "cli-compress-time": f"{result.seconds:.1f} s",
        "cli-compress-memory": f"{result.peak_memory_bytes / 1e6:.1f} MB",
        "cli-compress-disk": f"{needed / 1e6:.1f} MB ({free / 1e6:.0f} MB)",
        "cli-compress-run-memory": f"{result.run_memory_bytes / 1e6:.1f} MB",
    }


def _up(value: float, digits: int) -> str:
    """Return a number rounded up: asked for as a target, the least possible is possible."""
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}"


def _options_of(weight_format: str) -> str:
    """Return the options that make a weight format."""
    if weight_format == "f8e4m3":
        return "--bits f8"
    bits, group = weight_format[1:].rstrip("z").split("g")
    return f"--bits {bits} --group-size {group}" + " --asymmetric" * weight_format.endswith("z")
