"""``pocketr1 bench``: speed and memory."""

from __future__ import annotations

from typing import Annotated

import typer

from pocketr1.cli.numbers import whole
from pocketr1.cli.options import Json, Model, Threads
from pocketr1.cli.output import print_json, say, show_table

__all__ = ["bench"]


def bench(
    model: Model,
    prompt_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole("--prompt-tokens"),
            show_default="512",
            help="cli-option-prompt-tokens",
        ),
    ] = 512,
    gen_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole("--gen-tokens"),
            show_default="64",
            help="cli-option-gen-tokens",
        ),
    ] = 64,
    threads: Threads = None,
    repeat: Annotated[
        int,
        typer.Option(
            metavar="N", parser=whole("--repeat"), show_default="3", help="cli-option-repeat"
        ),
    ] = 3,
    json: Json = False,
) -> None:
    """Measure, then print a table or the report."""
    from pocketr1.bench import BenchOptions, BenchReport, Spread, run_bench

    options = BenchOptions(
        prompt_tokens=prompt_tokens, gen_tokens=gen_tokens, threads=threads, repeat=repeat
    )
    say("cli-bench-started", model=model)
    report: BenchReport = run_bench(model, options)
    if json:
        print_json(report.to_dict())
        return

    def spread(value: Spread) -> str:
        return f"{value.median:.2f} tok/s  ({value.min:.2f} – {value.max:.2f})"

    machine = report.machine
    show_table(
        {
            "cli-bench-model": report.model,
            "cli-bench-machine": f"{machine.cpu}, {machine.cpus} CPU, {machine.memory_mb} MB",
            "cli-bench-system": machine.system,
            "cli-bench-versions": ", ".join(f"{n} {v}" for n, v in machine.versions.items()),
            "cli-bench-kernels": f"{report.isa}, {report.threads}, {report.kv_format}",
            "cli-bench-prefill": f"{report.prompt_tokens}: {spread(report.prefill_tok_s)}",
            "cli-bench-decode": f"{report.gen_tokens}: {spread(report.decode_tok_s)}",
            "cli-bench-load": f"{report.load_s:.3f} s, {report.first_logits_s:.3f} s",
            "cli-bench-ttft": f"{report.ttft_s:.3f} s",
            "cli-bench-weights": f"{report.weights_mb:.1f} MB, {report.bits_per_weight:.3f} bit",
            "cli-bench-memory": f"{report.peak_rss_mb:.1f} MB",
        }
    )
