"""Figures of a server under load as tables and plots, in both languages."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from pocketr1 import messages
from pocketr1.bench.svg import Line, Panel, lines_against

__all__ = ["PARTS", "plots", "section", "table", "tables"]

PARTS = ("streams", "stall", "static", "load")

_TEXTS = {
    "streams": ("streams at once", "同时的流数"),
    "scale_of": ("{most} over 1", "{most} 路比 1 路"),
    "whole": ("{name}, tok/s", "{name}，tok/s"),
    "together": ("{name}, while all decode", "{name}，全部解码时"),
    "server": ("server", "服务器"),
    "largest": ("largest gap, ms", "最大间隔，毫秒"),
    "quiet": ("median gap before, ms", "此前间隔中位数，毫秒"),
    "over_quiet": ("largest over it", "最大与其之比"),
    "busy": ("median gap meanwhile, ms", "期间间隔中位数，毫秒"),
    "over_busy": ("largest over it", "最大与其之比"),
    "prompt_speed": ("prompts, tok/s", "提示，tok/s"),
    "streams_speed": ("streams meanwhile, tok/s", "期间各流，tok/s"),
    "last_first": ("first token of the last prompt, s", "最后一个提示的首词元，秒"),
    "batching": ("batching", "批处理"),
    "continuous": ("continuous, over HTTP", "连续批处理，经 HTTP"),
    "static": ("static, by input length", "静态，按输入长度"),
    "speed": ("tok/s", "tok/s"),
    "more": ("more", "高出"),
    "mean_latency": ("mean latency, s", "平均延迟，秒"),
    "first": ("first token, s", "首词元，秒"),
    "gap": ("gap, ms", "间隔，毫秒"),
    "rate": ("requests a second", "每秒请求数"),
    "refused": ("told to come again", "被要求重试"),
    "title_streams": ("Streams at once", "多路同时"),
    "title_load": ("Under load", "负载之下"),
    "panel_speed": ("all answers together, tok/s", "全部回答合计，tok/s"),
    "panel_together": ("while all decode, tok/s", "全部解码时，tok/s"),
    "panel_first": ("first token, 95th percentile, s", "首词元，第 95 百分位，秒"),
    "panel_latency": ("whole answer, mean, s", "整个回答，平均，秒"),
    "panel_gap": ("gap between tokens, 99th percentile, ms", "词元间隔，第 99 百分位，毫秒"),
    "caption_streams": (
        "Prompts of {short} tokens, answers of {answer}; median (least–most) of {repeat} rounds.",
        "提示 {short} 词元，回答 {answer} 词元；{repeat} 轮的中位数（最小–最大）。",
    ),
    "caption_stall": (
        "Three prompts of {long} tokens beside four streams.",
        "四路解码时到来三个 {long} 词元的提示。",
    ),
    "caption_static": (
        "{static_requests} requests, {static_rate:g} a second.",
        "{static_requests} 个请求，每秒 {static_rate:g} 个。",
    ),
    "caption_load": (
        "Requests for {seconds:g} seconds at each rate.",
        "每种速率发送 {seconds:g} 秒请求。",
    ),
    "threads": ("{count} threads", "{count} 线程"),
}


def _said(code: str, **values: object) -> str:
    return _TEXTS[code][messages.language() == "zh"].format(**values)


def tables(report: dict[str, Any]) -> dict[str, str]:
    """Return the tables of what was measured, as Markdown, in the language that is set."""
    return {part: table(report, part) for part in PARTS if part in report}


def section(name: str, report: dict[str, Any]) -> str:
    """Return the part of a guide that shows a result: what ran, marks of its tables, plots.

    The tables below the marks are left to ``results.py``.
    """
    language = messages.language()
    servers = "; ".join(
        " ".join(str(each[key]) for key in ("name", "version", "options") if each.get(key))
        for each in report["servers"]
    )
    parts = [f"### {report['model']}", f"{_caption(report)}. {servers}."]
    for part in PARTS:
        if part not in report:
            continue
        parts.append(_said(f"caption_{part}", **report["options"]))
        parts.append(f"<!-- results: {name} {part} -->\n")
        if part in _PLOTS:
            title = _said(f"title_{part}")
            parts.append(f"![{title}](../images/{name}-{part}.{language}.svg)")
    return "\n\n".join(parts) + "\n"


def table(report: dict[str, Any], part: str) -> str:
    """Return one table."""
    rows = {"streams": _streams, "stall": _stall, "static": _static, "load": _load}[part](report)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _streams(report: dict[str, Any]) -> list[list[str]]:
    found = report["streams"]
    numbers = list(next(iter(found.values())))
    head = [_said("streams")]
    for name in found:
        head += [_said("whole", name=name), _said("together", name=name)]
    rows = [head]
    for number in numbers:
        row = [number]
        for of in found.values():
            row += [_spread(of[number], "tok_s"), _spread(of[number], "together_tok_s")]
        rows.append(row)
    most = numbers[-1]
    row = [_said("scale_of", most=most)]
    for of in found.values():
        for figure in ("tok_s", "together_tok_s"):
            least, greatest = (_values(of[n], figure) for n in (numbers[0], most))
            if not (least and greatest) or len(numbers) == 1:
                row.append("–")
                continue
            row.append(f"{statistics.median(greatest) / statistics.median(least):.2f}×")
    return [*rows, row]


def _stall(report: dict[str, Any]) -> list[list[str]]:
    head = ("server", "largest", "quiet", "over_quiet", "busy", "over_busy", "prompt_speed",
            "streams_speed", "last_first")  # fmt: skip
    rows = [[_said(code) for code in head]]
    for name, rounds in report["stall"].items():
        good = [row for row in rounds if not row["errors"]]
        if not good:
            rows.append([name, *["–"] * (len(head) - 1)])
            continue
        last = [{"last": max(row["prompt_first_token_s"])} for row in good]
        rows.append([
            name,
            _spread(good, "largest_s", 1e3),
            _spread(good, "quiet_median_s", 1e3),
            _spread(good, "over_quiet", unit="×"),
            _spread(good, "busy_median_s", 1e3),
            _spread(good, "over_busy", unit="×"),
            _spread(good, "prompt_tok_s"),
            _spread(good, "streams_tok_s"),
            _spread(last, "last"),
        ])  # fmt: skip
    return rows


def _static(report: dict[str, Any]) -> list[list[str]]:
    head = ("batching", "speed", "more", "mean_latency", "first", "gap")
    rows = [[_said(code) for code in head]]
    rows[0][4] += " p50, p95"
    rows[0][5] += " p50, p99"
    base = _values(report["static"]["static"], "tok_s")
    for name, code in (("pocketr1", "continuous"), ("static", "static")):
        rounds = [row for row in report["static"][name] if "tok_s" in row]
        gains = [
            ours / theirs - 1 for ours, theirs in zip(_values(rounds, "tok_s"), base, strict=False)
        ]
        rows.append([
            _said(code),
            _spread(rounds, "tok_s"),
            f"{statistics.median(gains):+.0%}" if gains and name == "pocketr1" else "",
            _median(rounds, "latency_s", "mean"),
            f"{_median(rounds, 'first_token_s', 'p50')}, {_median(rounds, 'first_token_s', 'p95')}",
            f"{_median(rounds, 'gap_s', 'p50', 1e3)}, {_median(rounds, 'gap_s', 'p99', 1e3)}",
        ])  # fmt: skip
    return rows


def _load(report: dict[str, Any]) -> list[list[str]]:
    head = ("rate", "server", "speed", "first", "gap", "mean_latency", "refused")
    rows = [[_said(code) for code in head]]
    rows[0][3] += " p50, p95"
    rows[0][4] += " p50, p95, p99, max"
    of = {name: {row["rate"]: row for row in rows} for name, rows in report["load"].items()}
    for rate in next(iter(of.values())):
        for name, found in of.items():
            row = found.get(rate)
            if row is None or "tok_s" not in row:
                continue
            first, gap = row["first_token_s"], row["gap_s"]
            rows.append([
                f"{rate:g}",
                name,
                _short(row["tok_s"]),
                ", ".join(_short(first[key]) for key in ("p50", "p95")),
                ", ".join(_short(1e3 * gap[key]) for key in ("p50", "p95", "p99", "max")),
                _short(row["latency_s"]["mean"]),
                str(row["refused"]),
            ])  # fmt: skip
    return rows


def _values(rows: Sequence[dict[str, Any]], figure: str) -> list[float]:
    return [row[figure] for row in rows if row.get(figure) is not None]


def _spread(rows: Sequence[dict[str, Any]], figure: str, scale: float = 1.0, unit: str = "") -> str:
    """Return the median of some rounds, with the extremes where there are several."""
    values = [scale * value for value in _values(rows, figure)]
    if not values:
        return "–"
    text = f"{_short(statistics.median(values))}{unit}"
    if len(values) == 1:
        return text
    return f"{text} ({_short(min(values))}–{_short(max(values))})"


def _median(rows: Sequence[dict[str, Any]], figure: str, key: str, scale: float = 1.0) -> str:
    values = [scale * row[figure][key] for row in rows if row[figure][key] is not None]
    return _short(statistics.median(values)) if values else "–"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def plots(report: dict[str, Any], language: str) -> dict[str, str]:
    """Return the plots of what was measured, as SVG, by the names of their tables."""
    return {part: draw(report) for part, draw in _PLOTS.items() if part in report}


def _caption(report: dict[str, Any]) -> str:
    made, threads = report["made"], _said("threads", count=report["threads"])
    parts = (report["model"], report["machine"]["cpu"], threads, made["date"], made["commit"])
    return ", ".join(str(part) for part in parts)


def _streams_plot(report: dict[str, Any]) -> str:
    panels = []
    for code, figure in (("panel_speed", "tok_s"), ("panel_together", "together_tok_s")):
        lines = []
        for name, of in report["streams"].items():
            points = [
                (float(number), statistics.median(values))
                for number, rounds in of.items()
                if (values := _values(rounds, figure))
            ]
            lines.append(Line(name, points, name == "pocketr1"))
        panels.append(Panel(_said(code), lines))
    return lines_against(_said("title_streams"), _caption(report), _said("streams"), panels)


def _load_plot(report: dict[str, Any]) -> str:
    figures: tuple[tuple[str, Callable[[dict[str, Any]], float]], ...] = (
        ("panel_speed", lambda row: row["tok_s"]),
        ("panel_first", lambda row: row["first_token_s"]["p95"]),
        ("panel_latency", lambda row: row["latency_s"]["mean"]),
        ("panel_gap", lambda row: 1e3 * row["gap_s"]["p99"]),
    )
    panels = [
        Panel(
            _said(code),
            [
                Line(
                    name,
                    [(row["rate"], figure(row)) for row in rows if "tok_s" in row],
                    name == "pocketr1",
                )
                for name, rows in report["load"].items()
            ],
        )
        for code, figure in figures
    ]
    return lines_against(_said("title_load"), _caption(report), _said("rate"), panels)


_PLOTS = {"streams": _streams_plot, "load": _load_plot}
