"""The plots of the report's page: SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pocketr1.evaluate.report import Histogram

__all__ = ["Mark", "Series", "histogram", "intervals"]

_WIDTH = 720
_LEFT, _RIGHT = 220, 70
_ROW = 30


@dataclass(frozen=True)
class Mark:
    """A value with its interval, on a line of its own. kind: ``model`` or ``reference``."""

    label: str
    value: float
    low: float
    high: float
    kind: str = "model"


@dataclass(frozen=True)
class Series:
    """Counts of one model over a histogram's bins."""

    label: str
    counts: Sequence[int]
    kind: str = "model"


def intervals(
    title: str,
    marks: Sequence[Mark],
    *,
    low: float | None = None,
    high: float | None = None,
    limit: float | None = None,
    limit_label: str = "",
) -> str:
    """Return values as dots with whiskers, one below the other, on a common axis.

    low, high: ends of the axis, where the marks do not set them; limit: drawn as a dashed line.
    """
    bounds = [0.0, *(m.low for m in marks), *(m.high for m in marks)]
    bounds += [limit] if limit is not None else []
    start = min(bounds) if low is None else low
    end = max(bounds) if high is None else high
    span = (end - start) or 1.0
    start, end = (start if low is not None or start == 0 else start - span / 20), end
    end = end if high is not None else end + span / 20
    span = (end - start) or 1.0

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - start) / span

    bottom = 16 + _ROW * len(marks)
    parts = []
    for tick in _ticks(start, end):
        parts.append(_line(x(tick), 8, x(tick), bottom, "grid"))
        parts.append(_text(x(tick), bottom + 16, _number(tick), "middle", "faint"))
    if limit is not None:
        parts.append(_line(x(limit), 2, x(limit), bottom, "limit"))
        parts.append(_text(x(limit) + 5, 10, limit_label, "start", "limit-text"))
    for place, mark in enumerate(marks):
        y = 28 + _ROW * place
        parts.append(_text(_LEFT - 12, y + 4, mark.label, "end", ""))
        parts.append(_line(x(mark.low), y, x(mark.high), y, f"whisker {mark.kind}"))
        parts.append(f'<circle cx="{x(mark.value):.1f}" cy="{y}" r="5" class="dot {mark.kind}"/>')
        parts.append(_text(x(mark.high) + 8, y + 4, _number(mark.value), "start", ""))
    return _svg(title, bottom + 24, parts)


def histogram(
    title: str, shape: Histogram, series: Sequence[Series], *, logarithmic: bool = False
) -> str:
    """Return the shares of each series in each bin as bars side by side.

    logarithmic: the edges are powers of ten, which the axis then names.
    """
    top, bottom, left, right = 12, 190, 48, 12
    bins = len(shape.counts)
    shares = [[count / max(1, sum(s.counts)) for count in s.counts] for s in series]
    most = max((share for row in shares for share in row), default=0.0) or 1.0
    width = (_WIDTH - left - right) / max(1, bins)
    parts = []
    for share in (0.0, most / 2, most):
        y = bottom - (bottom - top) * share / most
        parts.append(_line(left, y, _WIDTH - right, y, "grid"))
        parts.append(_text(left - 6, y + 4, f"{100 * share:.0f}%", "end", "faint"))
    for number, (row, one) in enumerate(zip(shares, series, strict=True)):
        thick = width * 0.86 / len(series)
        for place, share in enumerate(row):
            tall = (bottom - top) * share / most
            at = left + width * place + width * 0.07 + thick * number
            parts.append(
                f'<rect x="{at:.1f}" y="{bottom - tall:.1f}" width="{thick:.1f}" '
                f'height="{tall:.1f}" class="bar {one.kind}"/>'
            )
    step = 4
    for place in range(0, bins + 1, step):
        edge = shape.edges[place]
        label = f"{edge:.0e}".replace("e-0", "e-").replace("e+0", "e") if logarithmic else ""
        at = left + width * place
        anchor = "middle" if 0 < place < bins else "start" if place == 0 else "end"
        parts.append(_text(at, bottom + 18, label or f"{edge:.0f}", anchor, "faint"))
    x = float(left)
    for one in series if len(series) > 1 else ():
        parts.append(
            f'<rect x="{x:.0f}" y="{bottom + 30}" width="11" height="11" class="bar {one.kind}"/>'
        )
        parts.append(_text(x + 17, bottom + 40, one.label, "start", ""))
        x += 40 + 12 * len(one.label)
    return _svg(title, bottom + (50 if len(series) > 1 else 28), parts)


def _ticks(start: float, end: float) -> list[float]:
    """Return round numbers from start to end, at most seven."""
    span = end - start
    step = next(
        scale * 10.0**power
        for power in range(-9, 12)
        for scale in (1, 2, 5)
        if span / (scale * 10.0**power) <= 6
    )
    first = -(-start // step)
    ticks = []
    while first * step <= end + 1e-12:
        ticks.append(round(first * step, 12) + 0.0)
        first += 1
    return ticks


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    """Return the figure; the title is its caption, and what a screen reader says."""
    body = "\n".join(parts)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>\n"
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">\n'
        f"{body}\n</svg></figure>"
    )
