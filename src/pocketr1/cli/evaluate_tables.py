"""The report of ``pocketr1 evaluate`` on a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.cli.output import fitted, is_terminal, show
from pocketr1.evaluate import words

if TYPE_CHECKING:
    from pocketr1.evaluate import EvaluationReport, ModelFacts, Remark, TaskResult

__all__ = ["show_evaluation"]


def show_evaluation(report: EvaluationReport) -> None:
    """Print the report: the verdict first, then what it rests on."""
    text = messages.text
    title = text("evaluate-title", model=report.model.report.path)
    verdict = words.verdict_text(report)
    show(fitted(text("evaluate-headline", title=title, verdict=verdict), sys.stdout))
    for check in report.checks:
        _item(words.check_text(check), mark="+" if check.passed else "-")
    if report.checks:
        show(fitted(text("evaluate-why"), sys.stdout))
    _remarks("evaluate-advice", report.advice)
    for task in report.tasks:
        _section(text("evaluate-task", task=task.name), _task_rows(task))
    _divergence(report)
    for facts, code in ((report.model, "evaluate-model"), (report.reference, "evaluate-reference")):
        if facts is not None:
            _section(text("evaluate-sizes-of", who=text(code)), _size_rows(facts))
    worst = report.model.worst_tensors()
    rows = {
        str(row["name"]): f"{100 * row['relative_rms']:.2f}% ({row['format']})" for row in worst
    }
    if rows:
        _section(text("evaluate-worst"), rows)
    _section(text("evaluate-separation"), {})
    _item(words.separation_text(report.separation))
    _remarks("evaluate-remarks", report.remarks)


def _task_rows(task: TaskResult) -> dict[str, str]:
    reference, loss, lengths = task.reference_accuracy, task.loss, task.reference_lengths
    alone = "" if lengths is not None else "-alone"
    rows = {"evaluate-problems": f"{task.n} x {task.seeds}"}
    rows["evaluate-accuracy"] = words.percent(task.accuracy.value, task.accuracy.interval)
    if reference is not None:
        rows["evaluate-reference-accuracy"] = words.percent(reference.value, reference.interval)
    if loss is not None:
        low, high = loss.interval
        rows["evaluate-drop"] = f"{100 * loss.value:.2f} ({100 * low:.2f} … {100 * high:.2f})"
        flips = f"{loss.first_only}, {loss.second_only}"
        rows["evaluate-flips"] = f"{flips} (p = {loss.p_value:.3g})"
    pairs = {
        "tokens": (f"{task.lengths.mean_tokens:.1f}", lengths and f"{lengths.mean_tokens:.1f}"),
        "truncated": (str(task.lengths.truncated), lengths and str(lengths.truncated)),
        "looping": (str(task.lengths.looping), lengths and str(lengths.looping)),
    }
    for name, (value, other) in pairs.items():
        rows[f"evaluate-{name}{alone}"] = value if other is None else f"{value} ({other})"
    named = {messages.text(code): value for code, value in rows.items()}
    for name, group in task.groups.items():
        right = words.percent(group.accuracy.value, group.accuracy.interval)
        if group.loss is not None:
            points = f"{100 * group.loss.value:.2f}"
            right += f", {messages.text('evaluate-group-lost', points=points)}"
        named[messages.text("evaluate-group", name=name)] = right
    return named


def _divergence(report: EvaluationReport) -> None:
    text = messages.text
    where = None if report.text is None else report.text.path
    if report.whole is None:
        if report.perplexity is not None and where is not None:
            rows = {
                text("evaluate-scored"): str(report.perplexity.tokens),
                text("evaluate-perplexity-alone"): words.number(report.perplexity.value),
            }
            _section(text("evaluate-perplexity-on", path=where), rows)
        return
    rows = {text(code): value for code, value in words.comparison_rows(report.whole).items()}
    parts = {
        text("evaluate-part", part=text(f"evaluate-part-{name}")): (
            f"{part.divergence.mean:.5f} ({part.divergence.tokens})"
        )
        for name, part in report.parts.items()
        if part is not None
    }
    if report.whole_of == "text":
        _section(words.divergence_title(report), rows)
        if parts:
            _section(text("evaluate-divergence-replies"), parts)
    else:
        _section(words.divergence_title(report), {**rows, **parts})


def _size_rows(facts: ModelFacts) -> dict[str, str]:
    report = facts.report
    formats = Counter(tensor.format for tensor in report.tensors)
    rows = {
        "evaluate-size": f"{report.file_bytes / 1e6:.1f} MB",
        "evaluate-bits": f"{report.bits_per_weight:.3f} ({report.decoder_bits_per_weight:.3f})",
        "evaluate-parameters": f"{report.parameters / 1e6:.1f} M "
        f"({report.decoder_parameters / 1e6:.1f} M)",
        "evaluate-formats": ", ".join(f"{name} ({n})" for name, n in formats.items()),
    }
    if facts.peak_rss_bytes is not None:
        rows["evaluate-peak"] = f"{facts.peak_rss_bytes / 1e6:.1f} MB"
    return {messages.text(code): value for code, value in rows.items()}


def _section(title: str, rows: Mapping[str, str]) -> None:
    show()
    show(fitted(title, sys.stdout))
    room = layout.width(sys.stdout) - 2 if is_terminal(sys.stdout) else None
    for line in layout.labelled(list(rows.items()), room):
        show(f"  {line}")


def _remarks(title: str, remarks: Sequence[Remark]) -> None:
    if remarks:
        _section(messages.text(title), {})
        for each in remarks:
            _item(words.remark_text(each))


def _item(text: str, mark: str = "-") -> None:
    room = layout.width(sys.stdout) - 4 if is_terminal(sys.stdout) else None
    lines = [text] if room is None else layout.wrapped(text, room).split("\n")
    for number, line in enumerate(lines):
        show(f"  {mark if number == 0 else ' '} {line}")
