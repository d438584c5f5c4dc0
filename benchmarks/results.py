"""What was measured, kept: stamp a report, print it as a table, draw the plots of the README.

    python benchmarks/results.py add REPORT.json benchmarks/results/NAME.json
    python benchmarks/results.py table benchmarks/results/NAME.json [--lang zh]
    python benchmarks/results.py check benchmarks/results/NAME.json     are the peers at their best?
    python benchmarks/results.py draw                 every result to docs/images/, both languages

`add` puts the commit, the time and the load of the machine beside the figures. A table or a plot is
always made from such a file, so that no figure in a page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pocketr1 import messages
from pocketr1.bench import ScenarioReport
from pocketr1.bench.svg import Bar, Curve, bar_chart, curves_over_time
from pocketr1.cli.bench_tables import scenario_rows, step_rows

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"

_FIGURES = {
    "prefill_tok_s": "prefill",
    "prefill_long_tok_s": "prefill-long",
    "decode_tok_s": "decode",
    "decode_long_tok_s": "decode-long",
    "together_tok_s": "together",
    "load_cold_s": "load-cold",
    "load_warm_s": "load-warm",
    "ttft_s": "ttft",
    "peak_rss_mb": "rss",
    "peak_rss_long_mb": "rss-long",
}
_DRAWN = ("prefill_tok_s", "prefill_long_tok_s", "decode_tok_s", "decode_long_tok_s",
          "together_tok_s", "peak_rss_mb")  # fmt: skip
_CAPTIONS = {
    "en": "{cpu}, {threads} threads, medians of {repeat} rounds by turns; whiskers: least and "
    "most. {date}, commit {commit}.",
    "zh": "{cpu}，{threads} 线程，轮流测量 {repeat} 轮的中位数；须线为最小和最大值。"
    "{date}，提交 {commit}。",
}
_TITLES = {"en": "Side by side", "zh": "同场对比"}


# Decode and prefill of 512 tokens, tok/s, of the R1-Distill-Qwen-1.5B shape on 2 cores of a Xeon
# with AVX-512 VNNI that read 22 GB/s and did 600 G int8 multiply-accumulates/s, 2026-11-22. A run
# in which a peer does worse for its machine gave it bad settings, or a bad moment.
_ANCHOR_READ, _ANCHOR_PRODUCTS = 22e9, 600e9
_ANCHORS = {
    "llama.cpp q4_0": (14.0, 58),
    "llama.cpp q4_k_m": (13.8, 73),
    "llama.cpp q8_0": (8.4, 40),
    "openvino int4": (14.3, 115),
    "openvino int8": (10.0, 147),
    "ctranslate2 int8": (9.2, 150),
}
_MAY_LACK = 0.10


def check(report: dict[str, Any]) -> tuple[list[str], bool]:
    """Return a line for each peer with an anchor, and whether the run may stand."""
    roofline, lines, stands = report["roofline"], [], True
    if roofline is None:
        return ["there are no limits of the machine in this result: use --roofline"], False
    for engine in report["engines"]:
        anchor = _ANCHORS.get(_label(engine))
        if anchor is None:
            continue
        limits = (
            (roofline["read_bytes_s"], _ANCHOR_READ),
            (
                roofline["products_s"],
                _ANCHOR_PRODUCTS,
            ),
        )
        for figure, known, (here, there) in zip(
            ("decode_tok_s", "prefill_tok_s"), anchor, limits, strict=True
        ):
            if figure not in engine["figures"] or here is None:
                continue
            share = engine["figures"][figure]["median"] / here / (known / there)
            enough = share >= 1 - _MAY_LACK
            stands &= enough
            verdict = "" if enough else "  below its anchor"
            lines.append(f"{_label(engine)}  {figure}  {share:.2f} of its anchor{verdict}")
    return lines, stands


def stamp(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report with when, of which commit and under which load it was made.

    Of a comparison, also what `check` says of it: one that does not stand is not drawn.

    Directories of this machine are cut from paths: the names of the models say enough.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no")
    report["made"] = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if changed else ""),
        "load_average": list(os.getloadavg()),
    }
    words = report["machine"]["system"].split()
    report["machine"]["system"] = f"{words[0]} {words[-1]}"  # the kernel's build says nothing
    for engine in report.get("engines", []):
        engine["model"] = Path(engine["model"]).name
    for missing in report.get("missing", []):
        missing["params"] = {"engine": missing["engine"]}
    if "model" in report:
        report["model"] = Path(report["model"]).name
    for step in report.get("steps", []):
        step["model"] = Path(step["model"]).name
    if report.get("kind") == "comparison" and len(report["engines"]) > 1:
        report["made"]["peers"], report["made"]["stands"] = check(report)
    return report


def _git(*command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def table(report: dict[str, Any]) -> str:
    """Return a comparison, or scenarios and steps, as Markdown, in the language that is set."""
    if report["kind"] == "scenarios":
        whole = ScenarioReport.from_dict(report)
        tables = [scenario_rows(whole)] + ([step_rows(whole)] if whole.steps else [])
        return "\n\n".join(map(_markdown, tables))
    if report["kind"] == "sustain":
        speeds = [sample["tok_s"] for sample in report["samples"]]
        spread = f"{_short(min(speeds))}–{_short(max(speeds))}"
        rows = [
            [messages.text("cli-bench-sustained"), messages.text("cli-bench-kept")],
            [f"{_short(report['tok_s'])} ({spread}) tok/s", f"{report['kept']:.0%}"],
        ]
        return _markdown(rows)
    sizes = _sizes(report)
    engines = report["engines"]
    rows = [["", *(_label(engine) for engine in engines)]]
    for code, key, form in (
        ("cli-bench-weights-mb", "weights_mb", ".0f"),
        ("cli-bench-bits", "bits_per_weight", ".3f"),
    ):
        rows.append([messages.text(code), *(format(engine[key], form) for engine in engines)])
    for figure, code in _FIGURES.items():
        if any(figure in engine["figures"] for engine in engines):
            name = messages.text(f"cli-bench-figure-{code}", "what", **sizes)
            rows.append([name, *(_cell(engine, figure) for engine in engines)])
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _sizes(report: dict[str, Any]) -> dict[str, Any]:
    options = report["options"]
    return {
        "prompt": options["prompt_tokens"],
        "long": options["long_tokens"],
        "together": options["together"],
    }


def _label(engine: dict[str, Any]) -> str:
    also = f" K/V {engine['kv_format']}" if engine.get("kv_format") else ""
    return f"{engine['engine']} {engine['model'].removesuffix('.gguf')}{also}"


def _cell(engine: dict[str, Any], figure: str) -> str:
    spread = engine["figures"].get(figure)
    if spread is None:
        return "–"
    middle, least, most = (_short(spread[key]) for key in ("median", "min", "max"))
    text = f"{middle} ({least}–{most})"
    gain = engine["gain"].get(figure)
    return text if gain is None else f"{text} {gain['median']:.2f}×"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def plot(report: dict[str, Any], language: str) -> str:
    """Return a comparison, or speed over time, as SVG."""
    made = report["made"]
    if report["kind"] == "sustain":
        samples = report["samples"]
        curves = [
            Curve(unit, [(s["seconds"], s[key]) for s in samples if s[key] is not None])
            for unit, key in (("tok/s", "tok_s"), ("°C", "celsius"), ("MHz", "mhz"))
        ]
        caption = f"{report['machine']['cpu']}, {made['date']}, {made['commit']}"
        return curves_over_time(messages.text("bench-sustain-title"), caption, curves)
    sizes = _sizes(report)
    panels = []
    for figure in _DRAWN:
        bars = [
            Bar(_label(engine), spread["median"], spread["min"], spread["max"], not number)
            for number, engine in enumerate(report["engines"])
            if (spread := engine["figures"].get(figure)) is not None
        ]
        panels.append(
            (messages.text(f"cli-bench-figure-{_FIGURES[figure]}", "what", **sizes), bars)
        )
    caption = _CAPTIONS[language].format(
        cpu=report["machine"]["cpu"],
        threads=report["threads"],
        repeat=report["options"]["repeat"],
        date=made["date"],
        commit=made["commit"],
    )
    return bar_chart(_TITLES[language], caption, panels)


def draw() -> list[Path]:
    """Draw every result of a kind that has a plot; return the files."""
    drawn = []
    IMAGES.mkdir(parents=True, exist_ok=True)
    for path in sorted(RESULTS.glob("*.json")):
        report = json.loads(path.read_text("utf-8"))
        if report.get("kind") not in ("comparison", "sustain") or path.stem.startswith("example"):
            continue
        if not report["made"].get("stands", True):
            print(f"{path.name} does not stand: a peer is below its anchor", file=sys.stderr)
            continue
        for language in messages.LANGUAGES:
            messages.set_language(language)
            out = IMAGES / f"{path.stem}.{language}.svg"
            out.write_text(plot(report, language), encoding="utf-8")
            drawn.append(out)
    messages.set_language(None)
    return drawn


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add")
    add.add_argument("report", type=Path)
    add.add_argument("out", type=Path)
    show = commands.add_parser("table")
    show.add_argument("result", type=Path)
    show.add_argument("--lang", choices=messages.LANGUAGES, default="en")
    verify = commands.add_parser("check")
    verify.add_argument("result", type=Path)
    commands.add_parser("draw")
    options = parser.parse_args()
    if options.command == "add":
        report = stamp(json.loads(options.report.read_text("utf-8")))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=1, ensure_ascii=False)
        options.out.write_text(text + "\n", encoding="utf-8")
    elif options.command == "table":
        messages.set_language(options.lang)
        print(table(json.loads(options.result.read_text("utf-8"))))
    elif options.command == "check":
        lines, stands = check(json.loads(options.result.read_text("utf-8")))
        print("\n".join(lines))
        return 0 if stands else 1
    else:
        print("\n".join(str(path.relative_to(ROOT)) for path in draw()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
