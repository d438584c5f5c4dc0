"""What was measured, kept: stamp a report, print it as a table, draw the plots of the README.

    python benchmarks/results.py add REPORT.json benchmarks/results/NAME.json
    python benchmarks/results.py table benchmarks/results/NAME.json [--lang zh]
    python benchmarks/results.py check benchmarks/results/NAME.json     are the peers at their best?
    python benchmarks/results.py draw                 every result to docs/images/, both languages
    python benchmarks/results.py pages                every table in README and docs/ anew

`add` puts the commit, the time and the load of the machine beside the figures. A table or a plot is
always made from such a file, so that no figure in a page is typed by hand. In a page

    <!-- results: NAME -->

stands above the table of benchmarks/results/NAME.json, `<!-- results: NAME steps -->` above its
second one; `pages` writes or renews the table below such a line, and a test holds it to the file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import serving_report
from anchors import check, label, shape_of

from pocketr1 import messages
from pocketr1.bench import CLAIMS, ScenarioReport
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
_TITLES = {
    "comparison": {"en": "Side by side", "zh": "同场对比"},
    "scenarios": {"en": "Real questions", "zh": "真实问题"},
    "steps": {"en": "What each step costs", "zh": "每一步的代价"},
}


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
    """Return all tables of a report as Markdown, in the language that is set."""
    return "\n\n".join(tables(report).values())


def tables(report: dict[str, Any]) -> dict[str, str]:
    """Return each table of a report as Markdown: `""` the first, `steps` that of the steps.

    A server's are named by their scenarios.
    """
    if report["kind"] == "serving":
        return serving_report.tables(report)
    if report["kind"] == "scenarios":
        whole = ScenarioReport.from_dict(report)
        shown = {"": _markdown(scenario_rows(whole))}
        return {**shown, "steps": _markdown(step_rows(whole))} if whole.steps else shown
    if report["kind"] == "sustain":
        return {"": _markdown(_sustain_rows(report))}
    return {"": _markdown(_comparison_rows(report))}


def _sustain_rows(report: dict[str, Any]) -> list[list[str]]:
    """Return speed, temperature and frequency; what no sensor told has no column."""
    speeds = [sample["tok_s"] for sample in report["samples"]]
    celsius, mhz = (
        [sample[key] for sample in report["samples"] if sample[key] is not None]
        for key in ("celsius", "mhz")
    )
    columns = {
        "time": f"{report['seconds'] / 60:.3g} min",
        "sustained": f"{_short(report['tok_s'])} ({_short(min(speeds))}–{_short(max(speeds))}) "
        "tok/s",
        "kept": f"{report['kept']:.0%}",
    }
    if celsius:
        columns["temperature"] = f"{celsius[0]:.0f} – {celsius[-1]:.0f} °C"
    if mhz:
        columns["frequency"] = f"{min(mhz):.0f} – {max(mhz):.0f} MHz"
    return [[messages.text(f"cli-bench-{name}") for name in columns], [*columns.values()]]


def _comparison_rows(report: dict[str, Any]) -> list[list[str]]:
    sizes, shape, engines = _sizes(report), shape_of(report), report["engines"]
    rows = [["", *(label(engine, shape) for engine in engines)]]
    for code, key, form in (
        ("cli-bench-weights-mb", "weights_mb", ".0f"),
        ("cli-bench-bits", "bits_per_weight", ".3f"),
    ):
        rows.append([messages.text(code), *(format(engine[key], form) for engine in engines)])
    caches = [engine.get("settings", {}).get("kv") for engine in engines]
    if all(caches):
        rows.append([messages.text("cli-bench-kv"), *caches])
    for figure, code in _FIGURES.items():
        if any(figure in engine["figures"] for engine in engines):
            name = messages.text(f"cli-bench-figure-{code}", "what", **sizes)
            rows.append([name, *(_cell(engine, figure) for engine in engines)])
    return rows


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


def plots(report: dict[str, Any], language: str) -> dict[str, str]:
    """Return each plot of a report as SVG, under the names of `tables`."""
    if report["kind"] == "serving":
        return serving_report.plots(report, language)
    if report["kind"] == "scenarios":
        drawn = {"": _scenarios_plot(report, language)}
        return {**drawn, "steps": _steps_plot(report, language)} if report["steps"] else drawn
    if report["kind"] == "sustain":
        return {"": _sustain_plot(report)}
    return {"": _comparison_plot(report, language)}


def _made(report: dict[str, Any], *more: str) -> str:
    """Return the line below a plot: what ran where, and when."""
    made = report["made"]
    parts = [report["model"], report["machine"]["cpu"], *more, made["date"], made["commit"]]
    return ", ".join(parts)


def _sustain_plot(report: dict[str, Any]) -> str:
    curves = [
        Curve(unit, [(s["seconds"], s[key]) for s in report["samples"] if s[key] is not None])
        for unit, key in (("tok/s", "tok_s"), ("°C", "celsius"), ("MHz", "mhz"))
    ]
    threads = messages.text("cli-bench-threads")
    caption = _made(report, report["isa"], f"{threads} {report['threads']}")
    return curves_over_time(messages.text("bench-sustain-title"), caption, curves)


def _scenarios_plot(report: dict[str, Any], language: str) -> str:
    claimed = messages.text("cli-bench-claimed")
    panels = []
    for figure, code in (
        ("first_load_s", "cli-bench-first-load"),
        ("tok_s", "cli-bench-speed"),
        ("memory_gb", "cli-bench-memory-gb"),
    ):
        bars = []
        for row in report["scenarios"]:
            name = messages.text(f"cli-bench-scenario-{row['name']}")
            bars.append(_bar(name, row[figure], ours=True))
            bars.append(_bar(claimed, getattr(CLAIMS[row["name"]], figure)))
        panels.append((messages.text(code), bars))
    caption = f"{_made(report)}; {messages.text('cli-bench-claim-note')}"
    return bar_chart(_TITLES["scenarios"][language], caption, panels)


def _steps_plot(report: dict[str, Any], language: str) -> str:
    panels = []
    for figure, code in (
        ("peak_rss_mb", "memory"),
        ("prefill_tok_s", "prefill"),
        ("decode_tok_s", "decode"),
        ("perplexity", "perplexity"),
        ("kld_mean", "kld"),
        ("accuracy", "accuracy"),
    ):
        bars = []
        for step in report["steps"]:
            if step[figure] is None:
                continue
            name = f"{step['model']} {step['format']}"
            if figure == "accuracy" and step["accuracy_interval"] is not None:
                low, high = step["accuracy_interval"]
                bars.append(Bar(name, step[figure], low, high, True))
            else:
                bars.append(_bar(name, step[figure], ours=True))
        panels.append((messages.text(f"cli-bench-step-{code}"), bars))
    return bar_chart(_TITLES["steps"][language], _made(report), panels)


def _bar(name: str, value: float, *, ours: bool = False) -> Bar:
    return Bar(name, value, value, value, ours)


def _comparison_plot(report: dict[str, Any], language: str) -> str:
    sizes, shape, made = _sizes(report), shape_of(report), report["made"]
    panels = []
    for figure in _DRAWN:
        bars = [
            Bar(
                label(engine, shape),
                spread["median"],
                spread["min"],
                spread["max"],
                engine["engine"] == "pocketr1",
            )
            for engine in report["engines"]
            if (spread := engine["figures"].get(figure)) is not None
        ]
        name = messages.text(f"cli-bench-figure-{_FIGURES[figure]}", "what", **sizes)
        panels.append((name, bars))
    caption = _CAPTIONS[language].format(
        cpu=report["machine"]["cpu"],
        threads=report["threads"],
        repeat=report["options"]["repeat"],
        date=made["date"],
        commit=made["commit"],
    )
    return bar_chart(_TITLES["comparison"][language], caption, panels)


def draw() -> list[Path]:
    """Draw every result but examples and what does not stand; return the files."""
    drawn = []
    IMAGES.mkdir(parents=True, exist_ok=True)
    for path in sorted(RESULTS.glob("*.json")):
        report = json.loads(path.read_text("utf-8"))
        if path.stem.startswith("example"):
            continue
        if not report["made"].get("stands", True):
            print(f"{path.name} does not stand: a peer is below its anchor", file=sys.stderr)
            continue
        for language in messages.LANGUAGES:
            messages.set_language(language)
            for part, image in plots(report, language).items():
                name = f"{path.stem}-{part}" if part else path.stem
                out = IMAGES / f"{name}.{language}.svg"
                out.write_text(image, encoding="utf-8")
                drawn.append(out)
    messages.set_language(None)
    return drawn


_MARK = re.compile(r"^<!-- results: (\S+)(?: (\S+))? -->\n\n?((?:\|.*(?:\n|\Z))*)", re.M)


def pages() -> dict[Path, str]:
    """Return every page with a marked table as it should be.

    Raises SystemExit, naming the page, where there is no such result or no such table in it.
    """
    files = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    renewed = {}
    for path in files:
        page = path.read_text("utf-8")
        if not _MARK.search(page):
            continue
        messages.set_language("zh" if "zh" in str(path.relative_to(ROOT)) else "en")

        def table_below(mark: re.Match[str], path: Path = path) -> str:
            name, part = mark[1], mark[2] or ""
            result = RESULTS / f"{name}.json"
            found = tables(json.loads(result.read_text("utf-8"))) if result.exists() else {}
            if part not in found:
                raise SystemExit(f"{path.name}: {mark[0].splitlines()[0]}: there is no such table")
            head = mark[0].splitlines()[0]
            return f"{head}\n\n{found[part]}\n"

        renewed[path] = _MARK.sub(table_below, page)
    messages.set_language(None)
    return renewed


def write_pages() -> list[Path]:
    """Write every page with a marked table anew; return the files."""
    renewed = pages()
    for path, page in renewed.items():
        path.write_text(page, encoding="utf-8")
    return list(renewed)


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
    commands.add_parser("pages")
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
    elif options.command == "pages":
        print("\n".join(str(path.relative_to(ROOT)) for path in write_pages()))
    else:
        print("\n".join(str(path.relative_to(ROOT)) for path in draw()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
