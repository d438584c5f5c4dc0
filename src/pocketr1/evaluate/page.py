"""The report as one page of HTML: no script, no font, no picture from anywhere else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from pocketr1 import messages
from pocketr1.errors import EngineError
from pocketr1.evaluate.plots import Mark, Series, histogram, intervals
from pocketr1.evaluate.report import EvaluationReport, ModelFacts, TaskResult
from pocketr1.evaluate.words import (
    check_text,
    comparison_rows,
    divergence_title,
    number,
    remark_text,
    separation_text,
    verdict_text,
)
from pocketr1.measure import Comparison

__all__ = ["render", "write"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --soft: #f3f5f7;
  --faint: #59636e; --rule: #d5dae0; --model: #1a7f37; --reference: #8c959f; --bad: #c4232f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #14171a; --soft: #1e2327;
  --faint: #9aa4ae; --rule: #363d44; --model: #3fb950; --reference: #7d8790; --bad: #ff6b6b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 56rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; }
p { margin: .5rem 0; }
.faint, figcaption { color: var(--faint); font-size: .92rem; }
.verdict { display: inline-block; padding: .3rem .9rem; border-radius: .4rem; font-weight: 700;
  color: var(--paper); background: var(--faint); }
.verdict.pass { background: var(--model); }
.verdict.fail { background: var(--bad); }
ul { padding-left: 1.3rem; margin: .6rem 0; }
li.bad::marker { color: var(--bad); content: "✗ "; }
li.good::marker { color: var(--model); content: "✓ "; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
th, td { padding: .35rem .7rem; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; font-variant-numeric: tabular-nums; }
th { font-weight: 600; } thead th { color: var(--faint); font-weight: 500; white-space: nowrap; }
td { min-width: 4.5rem; } .wrap td { overflow-wrap: anywhere; }
tbody th { font-weight: 400; min-width: 6rem; color: var(--faint); }
figure { margin: 1.4rem 0; overflow-x: auto; }
svg { width: 100%; min-width: 27rem; height: auto; display: block; }
svg text { font-size: 13px; fill: var(--ink); } svg text.faint { fill: var(--faint); }
svg text.limit-text { fill: var(--bad); } svg line { stroke: var(--ink); }
svg line.grid { stroke: var(--rule); } svg .limit { stroke: var(--bad); stroke-dasharray: 5 4;
  stroke-width: 1.5; } svg .whisker { stroke-width: 2; }
svg .model { stroke: var(--model); fill: var(--model); }
svg .reference { stroke: var(--reference); fill: var(--reference); }
svg rect { stroke: none; }
"""


def write(report: EvaluationReport, path: Path) -> None:
    """Write the page, whole or not at all; raises EngineError (``evaluate-page``)."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(render(report))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise EngineError("evaluate-page", path=path, reason=reason) from error


def render(report: EvaluationReport) -> str:
    """Return the page, in the current language."""
    text = messages.text
    title = text("evaluate-title", model=report.model.report.path)
    language = {"en": "en", "zh": "zh-Hans"}[messages.language()]
    parts = [f"<h1>{escape(title)}</h1>", *_judgement(report)]
    for task in report.tasks:
        parts += _task(task)
    parts += _drops(report)
    parts += _divergence(report)
    parts += [_heading(text("evaluate-sizes")), _sizes(report)]
    parts += _tensors(report.model)
    parts += [_heading(text("evaluate-separation")), _paragraph(separation_text(report.separation))]
    if report.remarks:
        parts += [_heading(text("evaluate-remarks")), _list(map(remark_text, report.remarks))]
    parts += [_heading(text("evaluate-repeat")), _provenance(report)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _judgement(report: EvaluationReport) -> list[str]:
    kind = report.verdict or "none"
    parts = [f'<p><span class="verdict {kind}">{escape(verdict_text(report))}</span></p>']
    if report.checks:
        items = "".join(
            f'<li class="{"good" if check.passed else "bad"}">{escape(check_text(check))}</li>'
            for check in report.checks
        )
        parts.append(f"<ul>{items}</ul>")
        parts.append(f'<p class="faint">{escape(messages.text("evaluate-why"))}</p>')
    if report.advice:
        parts.append(_heading(messages.text("evaluate-advice")))
        parts.append(_list(map(remark_text, report.advice)))
    return parts


def _task(task: TaskResult) -> list[str]:
    text = messages.text
    reference, loss, lengths = task.reference_accuracy, task.loss, task.reference_lengths
    rows = [(text("evaluate-problems"), f"{task.n} × {task.seeds}")]
    if loss is not None:
        low, high = loss.interval
        rows.append(
            (text("evaluate-drop"), f"{100 * loss.value:.2f} ({100 * low:.2f} … {100 * high:.2f})")
        )
        rows.append(
            (
                text("evaluate-flips"),
                f"{loss.first_only}, {loss.second_only} (p = {loss.p_value:.3g})",
            )
        )
    for name in ("truncated", "looping"):
        value = getattr(task.lengths, name)
        other = "" if lengths is None else f" ({getattr(lengths, name)})"
        alone = "-alone" if lengths is None else ""
        rows.append((text(f"evaluate-{name}{alone}"), f"{value}{other}"))
    mean = f"{task.lengths.mean_tokens:.1f}"
    if lengths is not None:
        mean += f" ({lengths.mean_tokens:.1f})"
    alone = "-alone" if lengths is None else ""
    rows.append((text(f"evaluate-tokens{alone}"), mean))
    marks = [_accuracy(text("evaluate-model"), task, "model")]
    if reference is not None:
        marks.append(_accuracy(text("evaluate-reference"), task, "reference"))
    for name, group in task.groups.items():
        marks.append(_accuracy(f"{name}: {text('evaluate-model')}", group, "model"))
        if group.reference_accuracy is not None:
            label = f"{name}: {text('evaluate-reference')}"
            marks.append(_accuracy(label, group, "reference"))
    series = [Series(text("evaluate-model"), task.lengths.histogram.counts)]
    if lengths is not None:
        counts = lengths.histogram.counts
        series.append(Series(text("evaluate-reference"), counts, "reference"))
    shape = task.lengths.histogram
    parts = [
        _heading(text("evaluate-task", task=task.name)),
        _table((), rows),
        intervals(text("evaluate-plot-accuracy"), marks, low=0, high=100),
        histogram(text("evaluate-plot-length"), shape, series),
    ]
    if task.lost:
        head = [text(f"evaluate-{n}") for n in ("question", "expected", "given", "reference-given")]
        lost = [
            (f.question, f.expected, f.given or "–", f.reference_given or "–") for f in task.lost
        ]
        parts += [_paragraph(text("evaluate-lost")), _table(head, lost)]
    return parts


def _accuracy(label: str, task: TaskResult, kind: str) -> Mark:
    found = task.accuracy if kind == "model" else task.reference_accuracy
    assert found is not None
    low, high = found.interval
    return Mark(label, 100 * found.value, 100 * low, 100 * high, kind)


def _drops(report: EvaluationReport) -> list[str]:
    marks = [
        Mark(task.name, 100 * task.loss.value, *_points(task.loss.interval))
        for task in report.tasks
        if task.loss is not None
    ]
    limits = [check.limit for check in report.checks if check.kind == "drop"]
    if not marks or not limits:
        return []
    label = messages.text("evaluate-plot-limit", value=f"{limits[0]:g}")
    title = messages.text("evaluate-plot-drop")
    return [intervals(title, marks, limit=limits[0], limit_label=label)]


def _points(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return 100 * low, 100 * high


def _divergence(report: EvaluationReport) -> list[str]:
    text = messages.text
    where = None if report.text is None else report.text.path
    if report.whole is None:
        if report.perplexity is None or where is None:
            return []
        alone = [
            (text("evaluate-scored"), str(report.perplexity.tokens)),
            (text("evaluate-perplexity-alone"), number(report.perplexity.value)),
        ]
        return [_heading(text("evaluate-perplexity-on", path=where)), _table((), alone)]
    parts = [_heading(divergence_title(report))]
    known = {name: part for name, part in report.parts.items() if part is not None}
    if report.whole_of == "text":
        parts.append(_comparisons({"whole": report.whole}))
    else:
        parts.append(_comparisons({"whole": report.whole, **known}))
    if report.divergences is not None:
        series = [Series(text("evaluate-part-whole"), report.divergences.counts)]
        title = text("evaluate-plot-kld")
        parts.append(histogram(title, report.divergences, series, logarithmic=True))
    if report.whole_of == "text" and known:
        parts += [_heading(text("evaluate-divergence-replies")), _comparisons(known)]
    return parts


def _comparisons(columns: Mapping[str, Comparison]) -> str:
    figures = [comparison_rows(each) for each in columns.values()]
    rows = [(messages.text(code), *(figure[code] for figure in figures)) for code in figures[0]]
    names = (messages.text(f"evaluate-part-{name}") for name in columns)
    return _table(("", *names), rows)


def _sizes(report: EvaluationReport) -> str:
    text = messages.text
    facts = [f for f in (report.model, report.reference) if f is not None]
    names = [text("evaluate-model"), text("evaluate-reference")][: len(facts)]
    columns = [_size_column(each) for each in facts]
    if all(each.peak_rss_bytes is None for each in facts):
        for column in columns:
            del column["evaluate-peak"]
    rows = [(text(code), *(column[code] for column in columns)) for code in columns[0]]
    return _table(("", *names), rows)


def _size_column(facts: ModelFacts) -> dict[str, str]:
    report = facts.report
    formats = Counter(tensor.format for tensor in report.tensors)
    peak = facts.peak_rss_bytes
    return {
        "evaluate-size": f"{report.file_bytes / 1e6:.1f} MB",
        "evaluate-bits": f"{report.bits_per_weight:.3f} ({report.decoder_bits_per_weight:.3f})",
        "evaluate-parameters": f"{report.parameters / 1e6:.1f} M "
        f"({report.decoder_parameters / 1e6:.1f} M)",
        "evaluate-formats": ", ".join(f"{name} ({n})" for name, n in formats.items()),
        "evaluate-peak": "–" if peak is None else f"{peak / 1e6:.1f} MB",
    }


def _tensors(facts: ModelFacts) -> list[str]:
    worst = facts.worst_tensors()
    if not worst:
        return []
    marks = [Mark(str(row["name"]), *([100 * row["relative_rms"]] * 3)) for row in worst]
    return [
        _heading(messages.text("evaluate-worst")),
        intervals(messages.text("evaluate-plot-tensors"), marks, low=0),
    ]


def _provenance(report: EvaluationReport) -> str:
    text = messages.text
    files = [] if report.text is None else [(report.text.path, report.text.sha256)]
    files += [(task.path or task.name, task.sha256 or "") for task in report.tasks]
    machine = report.machine
    rows = [
        (
            text("evaluate-machine"),
            f"{machine.get('cpu')}, {machine.get('isa')}, {machine.get('threads')} threads",
        ),
        (
            text("evaluate-settings"),
            ", ".join(f"{name} {value}" for name, value in report.settings.items()),
        ),
        *((text("evaluate-files"), f"{path}: SHA-256 {digest}") for path, digest in files),
        (text("evaluate-seconds"), f"{report.seconds:.0f} s"),
    ]
    versions = machine.get("versions")
    if isinstance(versions, dict):
        rows[0] = (rows[0][0], rows[0][1] + "".join(f", {n} {v}" for n, v in versions.items()))
    return _table((), rows, wrap=True)


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: bool = False) -> str:
    lines = [f'<div class="scroll{" wrap" if wrap else ""}"><table>']
    if head:
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    lines.append("</tbody></table></div>")
    return "\n".join(lines)
