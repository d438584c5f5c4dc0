"""Small charts as SVG: text that a page can show and git can keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Bar", "Curve", "Line", "Panel", "bar_chart", "curves_over_time", "lines_against"]

_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_INK, _FAINT, _OURS, _THEIRS = "#1f2328", "#d0d7de", "#1a7f37", "#8c959f"
_WIDTH = 760
_CURVES = ("#1a7f37", "#cf222e", "#0969da")


@dataclass(frozen=True)
class Bar:
    """label: to its left; value with its extremes; ours: drawn in the other colour."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Curve:
    """One panel: title with the unit, and (seconds, value) points in order of time."""

    title: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a panel: (x, y) points in order of x; ours: drawn in the other colour."""

    label: str
    points: Sequence[tuple[float, float]]
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines that share their axes; title: with the unit of y."""

    title: str
    lines: Sequence[Line]


def bar_chart(title: str, caption: str, panels: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Return a chart of horizontal bars, one panel above the other, with whiskers for extremes.

    Each panel has its own scale, from zero. Raises ValueError where there is no bar at all.
    """
    if not any(bars for _, bars in panels):
        raise ValueError("no bars to draw")
    left, row, right = 230, 24, 90
    parts: list[str] = []
    y = 34.0
    for name, bars in panels:
        if not bars:
            continue
        y += 26
        parts.append(_text(12, y - 8, name, weight="600"))
        most = max(bar.high for bar in bars) or 1.0
        room = _WIDTH - left - right
        for bar in bars:
            width = room * bar.value / most
            low, high = (left + room * edge / most for edge in (bar.low, bar.high))
            middle = y + row / 2 - 2
            parts.append(_text(left - 8, middle + 4, bar.label, anchor="end"))
            colour = _OURS if bar.ours else _THEIRS
            parts.append(
                f'<rect x="{left}" y="{y:.1f}" width="{width:.1f}" height="{row - 6}" '
                f'fill="{colour}"/>'
            )
            parts.append(_line(low, middle, high, middle, _INK))
            parts.append(_text(max(high, left + width) + 6, middle + 4, _number(bar.value)))
            y += row
    height = y + 34
    parts.insert(0, _text(12, 24, title, size=16, weight="600"))
    parts.append(_text(12, height - 12, caption, size=11))
    return _document(_WIDTH, height, parts)


def curves_over_time(title: str, caption: str, curves: Sequence[Curve]) -> str:
    """Return panels that share one axis of time in minutes; a curve without points is left out.

    Raises ValueError where there is no point at all.
    """
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        raise ValueError("no points to draw")
    left, right, panel, gap = 70, 20, 130, 34
    end = max(curve.points[-1][0] for curve in drawn) or 1.0
    parts = [_text(12, 24, title, size=16, weight="600")]
    y = 50.0
    for curve, colour in zip(drawn, _CURVES * len(drawn), strict=False):
        values = [value for _, value in curve.points]
        low, high = _range(min(values), max(values))
        parts.append(_text(left, y + 2, curve.title, weight="600"))
        top = y + 12
        for share in (0.0, 0.5, 1.0):
            line = top + (1 - share) * panel
            parts.append(_line(left, line, _WIDTH - right, line, _FAINT))
            label = _number(low + share * (high - low))
            parts.append(_text(left - 8, line + 4, label, anchor="end"))
        places = " ".join(
            f"{left + (_WIDTH - left - right) * at / end:.1f},"
            f"{top + panel * (1 - (value - low) / (high - low)):.1f}"
            for at, value in curve.points
        )
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        y = top + panel + gap
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = left + (_WIDTH - left - right) * share
        label = f"{_number(end * share / 60)} min"
        anchor = "end" if share == 1 else "middle"
        parts.append(_text(place, y - gap + 18, label, anchor=anchor))
    height = y + 18
    parts.append(_text(12, height - 10, caption, size=11))
    return _document(_WIDTH, height, parts)


def lines_against(title: str, caption: str, axis: str, panels: Sequence[Panel]) -> str:
    """Return panels that share one axis from zero, with a tick where a line has a point.

    axis: what it shows. Every panel has its own scale, from zero, and names its lines at their
    ends. Raises ValueError where there is no point at all.
    """
    ticks = sorted({x for each in panels for line in each.lines for x, _ in line.points})
    if not ticks:
        raise ValueError("no points to draw")
    left, right, panel, gap = 70, 110, 130, 34
    room, most = _WIDTH - left - right, ticks[-1] or 1.0
    parts = [_text(12, 24, title, size=16, weight="600")]
    y = 50.0
    for each in panels:
        drawn = [line for line in each.lines if line.points]
        if not drawn:
            continue
        high = max(value for line in drawn for _, value in line.points) or 1.0
        parts.append(_text(left, y + 2, each.title, weight="600"))
        top = y + 12
        for share in (0.0, 0.5, 1.0):
            height = top + (1 - share) * panel
            parts.append(_line(left, height, left + room, height, _FAINT))
            parts.append(_text(left - 8, height + 4, _number(share * high), anchor="end"))
        ends = _apart([top + panel * (1 - line.points[-1][1] / high) for line in drawn])
        for line, end in zip(drawn, ends, strict=True):
            colour = _OURS if line.ours else _THEIRS
            places = [
                (left + room * x / most, top + panel * (1 - v / high)) for x, v in line.points
            ]
            text = " ".join(f"{x:.1f},{height:.1f}" for x, height in places)
            parts.append(
                f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{x:.1f}" cy="{h:.1f}" r="3" fill="{colour}"/>' for x, h in places
            ]
            parts.append(_text(places[-1][0] + 8, end + 4, line.label))
        for x in ticks:
            place = left + room * x / most
            parts.append(_text(place, top + panel + 16, _number(x), anchor="middle", size=11))
        y = top + panel + gap
    parts.append(_text(left + room, y + 2, axis, anchor="end"))
    height = y + 30
    parts.append(_text(12, height - 10, caption, size=11))
    return _document(_WIDTH, height, parts)


def _apart(heights: Sequence[float], least: float = 14.0) -> list[float]:
    """Return heights of labels, moved down where two would lie upon each other."""
    placed = dict.fromkeys(range(len(heights)), 0.0)
    last = -math.inf
    for number in sorted(placed, key=lambda number: heights[number]):
        last = placed[number] = max(heights[number], last + least)
    return [*placed.values()]


def _range(low: float, high: float) -> tuple[float, float]:
    """Return an axis: from zero, unless all the values lie far from it."""
    low = 0.0 if low < 0.5 * high else 0.9 * low
    return (low, high) if high > low else (low, low + 1.0)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{_INK}">{escape(text)}</text>'
    )


def _document(width: float, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" {_FONT}>'
    )
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"
