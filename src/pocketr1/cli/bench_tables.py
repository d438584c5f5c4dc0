"""What ``pocketr1 bench`` prints for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pocketr1 import messages
from pocketr1.bench import (
    CLAIMS,
    BenchReport,
    Comparison,
    EngineResult,
    Machine,
    ScenarioReport,
    Spread,
    SustainReport,
)
from pocketr1.cli import layout
from pocketr1.cli.output import is_terminal, say, show, show_table
from pocketr1.cli.streamed import streamed_text

__all__ = [
    "scenario_rows",
    "show_bench",
    "show_comparison",
    "show_scenarios",
    "show_sustain",
    "step_rows",
]

_FIGURES = {
    "load_cold_s": "load-cold",
    "load_warm_s": "load-warm",
    "ttft_s": "ttft",
    "prefill_tok_s": "prefill",
    "prefill_long_tok_s": "prefill-long",
    "decode_tok_s": "decode",
    "decode_long_tok_s": "decode-long",
    "together_tok_s": "together",
    "peak_rss_mb": "rss",
    "peak_rss_long_mb": "rss-long",
}


def show_bench(report: BenchReport) -> None:
    """Show one model's figures."""

    def spread(value: Spread) -> str:
        return f"{value.median:.2f} tok/s  ({value.min:.2f} – {value.max:.2f})"

    show_table(
        {
            "cli-bench-model": report.model,
            **_machine(report.machine),
            "cli-bench-kernels": f"{report.isa}, {report.threads}, {report.kv_format}",
            "cli-bench-prefill": f"{report.prompt_tokens}: {spread(report.prefill_tok_s)}",
            "cli-bench-decode": f"{report.gen_tokens}: {spread(report.decode_tok_s)}",
            "cli-bench-load": f"{report.load_s:.3f} s, {report.first_logits_s:.3f} s",
            "cli-bench-ttft": f"{report.ttft_s:.3f} s",
            "cli-bench-weights": f"{report.weights_mb:.1f} MB, {report.bits_per_weight:.3f} bit",
            "cli-bench-memory": f"{report.peak_rss_mb:.1f} MB",
        }
    )
    if report.memory is not None:
        show(streamed_text(report.memory))


def _machine(machine: Machine) -> dict[str, str]:
    return {
        "cli-bench-machine": f"{machine.cpu}, {machine.cpus} CPU, {machine.memory_mb} MB",
        "cli-bench-system": machine.system,
        "cli-bench-versions": _pairs(machine.versions),
    }


def _pairs(named: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def show_comparison(comparison: Comparison) -> None:
    """Show the machine, every engine and its settings, one matrix, and the roofline."""
    ours = comparison.ours
    show_table({**_machine(comparison.machine), "cli-bench-threads": str(comparison.threads)})
    show()
    for result in comparison.engines:
        rows = [(_label(result), _pairs({**result.settings, **result.versions}))]
        room = layout.width() if is_terminal(sys.stdout) else None
        show("\n".join(layout.labelled(rows, room)))
    peers = [result for result in comparison.engines if result is not ours]
    # As many engines side by side as the terminal holds, ours first in each block.
    per_block = max(1, (layout.width() - 62) // 26 + 1)
    for start in range(0, max(1, len(peers)), per_block):
        show()
        _grid(_matrix(comparison, [ours, *peers[start : start + per_block]]))
    show()
    note = messages.text("cli-bench-gain-note", repeat=comparison.options.repeat)
    show("\n".join(layout.paragraphs(note, layout.width())))
    if comparison.roofline is not None:
        show()
        _show_roofline(comparison)


def _label(result: EngineResult) -> str:
    name = Path(result.model).name.removesuffix(".gguf")
    also = "" if result.kv_format is None else f" K/V {result.kv_format}"
    return f"{result.engine} {name}{also}"


def _matrix(comparison: Comparison, results: Sequence[EngineResult]) -> list[list[str]]:
    options = comparison.options
    sizes: dict[str, object] = {
        "prompt": options.prompt_tokens,
        "long": options.long_tokens,
        "together": options.together,
    }
    rows = [[messages.text("cli-bench-engine"), *map(_label, results)]]
    rows.append([messages.text("cli-bench-weights-mb"), *(f"{r.weights_mb:.0f}" for r in results)])
    rows.append([messages.text("cli-bench-bits"), *(f"{r.bits_per_weight:.3f}" for r in results)])
    caches = [result.settings.get("kv", "") for result in results]
    if any(caches):
        rows.append([messages.text("cli-bench-kv"), *(kv or "–" for kv in caches)])
    for figure, code in _FIGURES.items():
        cells = [_cell(comparison, result, figure) for result in results]
        if any(cells):
            name = messages.text(f"cli-bench-figure-{code}", "what", **sizes)
            rows.append([name, *(cell or "–" for cell in cells)])
    return rows


def _cell(comparison: Comparison, result: EngineResult, figure: str) -> str:
    spread = result.spread(figure)
    if spread is None:
        return ""
    text = f"{_short(spread.median)} ({_short(spread.min)} – {_short(spread.max)})"
    gain = comparison.ours.gain_over(result, figure)
    if result.engine == comparison.ours.engine or gain is None:
        return text
    return f"{text} {gain.median:.2f}×"


def _short(value: float) -> str:
    """Return three digits, more where there are more before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _show_roofline(comparison: Comparison) -> None:
    roofline, ours = comparison.roofline, comparison.ours
    assert roofline is not None
    demand, peak, long = roofline.demand, roofline.products, comparison.options.long_tokens
    read = "cli-bench-read", f"{roofline.read / 1e9:.1f} GB/s"
    most = messages.text("cli-bench-no-peak") if peak is None else f"{peak / 1e9:.0f} G/s"
    rows = [read, ("cli-bench-peak", most)]

    def share(code: str, share: float | None, bound: float, each: str) -> None:
        if share is not None:
            rows.append(
                (code, messages.text("cli-bench-share", share=share, bound=bound, each=each))
            )

    prefill, decode = ours.spread("prefill_tok_s"), ours.spread("decode_tok_s")
    behind = ours.spread("decode_long_tok_s")
    if prefill is not None and peak is not None:
        each = f"{demand.products / 1e9:.2f} GMAC"
        reached = roofline.prefill_share(prefill.median)
        share("cli-bench-prefill-bound", reached, peak / demand.products, each)
    for code, figure, context in (
        ("cli-bench-decode-bound", decode, 0),
        ("cli-bench-decode-long-bound", behind, long),
    ):
        if figure is not None:
            size = demand.bytes + context * demand.kv_bytes
            reached = roofline.decode_share(figure.median, context)
            share(code, reached, roofline.read / size, f"{size / 1e6:.0f} MB")
    _grid([[messages.text(code, long=long), value] for code, value in rows])


def show_sustain(report: SustainReport) -> None:
    """Show speed over the whole time, and what became of it."""
    speeds = [sample.tok_s for sample in report.samples]
    celsius = [sample.celsius for sample in report.samples if sample.celsius is not None]
    mhz = [sample.mhz for sample in report.samples if sample.mhz is not None]
    unknown = messages.text("cli-bench-unreadable")
    mean = report.tokens / report.seconds
    show_table(
        {
            "cli-bench-model": report.model,
            **_machine(report.machine),
            "cli-bench-threads": str(report.threads),
            "cli-bench-time": f"{report.seconds / 60:.3g} min",
            "cli-bench-sustained": f"{mean:.2f} tok/s  ({min(speeds):.2f} – {max(speeds):.2f})",
            "cli-bench-kept": f"{report.kept:.0%}",
            "cli-bench-temperature": (
                f"{celsius[0]:.1f} – {celsius[-1]:.1f} °C" if celsius else unknown
            ),
            "cli-bench-frequency": f"{min(mhz):.0f} – {max(mhz):.0f} MHz" if mhz else unknown,
        }
    )


def show_scenarios(report: ScenarioReport) -> None:
    """Show the scenarios beside the claims, then the steps."""
    show_table({"cli-bench-model": report.model, **_machine(report.machine)})
    show()
    _grid(scenario_rows(report))
    show()
    show("\n".join(layout.paragraphs(messages.text("cli-bench-claim-note"), layout.width())))
    if not all(scenario.cold for scenario in report.scenarios):
        say("cli-bench-first-load-warm")
    if report.steps:
        show()
        _grid(step_rows(report))


def scenario_rows(report: ScenarioReport) -> list[list[str]]:
    """Return the table of scenarios, a claim behind each figure, its head first."""
    claimed = messages.text("cli-bench-claimed")
    heads = ("cli-bench-first-load", "cli-bench-speed", "cli-bench-memory-gb")
    rows = [[messages.text("cli-bench-scenario")]]
    for head in heads:
        rows[0] += [messages.text(head), f"{claimed}: {messages.text(head)}"]
    for scenario in report.scenarios:
        claim = asdict(CLAIMS[scenario.name])
        row = [messages.text(f"cli-bench-scenario-{scenario.name}")]
        for name, value in claim.items():
            row += [_short(getattr(scenario, name)), f"{value:g}"]
        rows.append(row)
    if report.speculate != "off":
        rows[0].append(messages.text("cli-bench-accepted"))
        for row, scenario in zip(rows[1:], report.scenarios, strict=True):
            row.append(f"{scenario.accepted}/{scenario.drafted}")
    return rows


def step_rows(report: ScenarioReport) -> list[list[str]]:
    """Return the table of steps, its head first."""
    names = ["", "-format", "-bits", "-memory", "-prefill", "-decode"]
    names += ["-perplexity", "-kld", "-top1", "-accuracy"]
    rows = [[messages.text(f"cli-bench-step{name}") for name in names]]
    for step in report.steps:
        accuracy = "–"
        if step.accuracy is not None and step.accuracy_interval is not None:
            low, high = step.accuracy_interval
            accuracy = f"{step.accuracy:.1%} ({low:.1%} – {high:.1%})"
        rows.append(
            [
                Path(step.model).name,
                step.format,
                f"{step.bits_per_weight:.2f}",
                f"{step.peak_rss_mb:.0f}",
                _short(step.prefill_tok_s),
                _short(step.decode_tok_s),
                _short(step.perplexity),
                "–" if step.kld_mean is None else f"{step.kld_mean:.4f}",
                "–" if step.top1_agreement is None else f"{step.top1_agreement:.1%}",
                accuracy,
            ]
        )
    return rows


def _grid(rows: Sequence[Sequence[str]]) -> None:
    """Show rows of cells, columns as wide as they need, the first to the left.

    Where the terminal is narrower than that, each row becomes its first cell and, below it, the
    others with their heads.
    """
    widths = [max(layout.columns(row[at]) for row in rows) for at in range(len(rows[0]))]
    if is_terminal(sys.stdout) and sum(widths) + 2 * len(widths) - 2 > layout.width():
        if len(rows[0]) == 2:
            show("\n".join(layout.labelled([(name, cell) for name, cell in rows], layout.width())))
            return
        for row in rows[1:]:
            show(row[0])
            for name, cell in zip(rows[0][1:], row[1:], strict=True):
                together = f"  {name}: {cell}"
                fits = layout.columns(together) <= layout.width()
                show(together if fits else f"  {name}\n    {cell}")
        return
    for row in rows:
        cells = [
            cell + " " * (width - layout.columns(cell))
            for cell, width in zip(row, widths, strict=True)
        ]
        show("  ".join(cells).rstrip())
