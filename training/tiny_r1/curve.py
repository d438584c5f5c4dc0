"""Draw the loss curve of a run: ``python -m tiny_r1.curve LOG.jsonl OUT.svg``."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

__all__ = ["draw"]

_WIDTH, _HEIGHT, _MARGIN = 640, 320, 48
_SMOOTHED = 20  # steps of training loss that one point stands for


def draw(records: list[dict[str, float]]) -> str:
    """Return an SVG of training and held-out loss (nats per token, logarithmic) by step."""
    steps = int(records[-1]["step"])
    trained = [
        (
            records[begin]["step"],
            sum(r["loss"] for r in records[begin : begin + _SMOOTHED])
            / len(records[begin : begin + _SMOOTHED]),
        )
        for begin in range(0, len(records), _SMOOTHED)
    ]
    held_out = [(r["step"], r["held_out_loss"]) for r in records if "held_out_loss" in r]
    values = [loss for _, loss in trained + held_out]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(step: float, loss: float) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * step / steps
        y = _MARGIN + (_HEIGHT - 2 * _MARGIN) * (high - math.log10(loss)) / (high - low)
        return f"{x:.1f},{y:.1f}"

    def line(points: list[tuple[float, float]], color: str) -> str:
        path = " ".join(place(*point) for point in points)
        return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'

    def text(x: float, y: float, words: str, color: str = "#444", anchor: str = "start") -> str:
        return f'<text x="{x}" y="{y}" fill="{color}" text-anchor="{anchor}">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for power in range(low, high + 1):
        x, y = place(0, 10.0**power).split(",")
        parts.append(f'<path d="M{x} {y}H{_WIDTH - _MARGIN}" stroke="#ddd"/>')
        parts.append(text(_MARGIN - 6, float(y) + 4, f"{10.0**power:g}", anchor="end"))
    for quarter in range(5):
        x, _ = place(steps * quarter / 4, 10.0**low).split(",")
        parts.append(
            text(float(x), _HEIGHT - _MARGIN + 18, str(steps * quarter // 4), anchor="middle")
        )
    parts += [line(trained, "#888"), line(held_out, "#c33")]
    parts.append(text(_MARGIN, 22, "loss, nats per token of the reply"))
    parts.append(text(_WIDTH - _MARGIN, 22, "training", "#888", "end"))
    parts.append(text(_WIDTH - _MARGIN, 38, "held out", "#c33", "end"))
    parts.append(text(_WIDTH / 2, _HEIGHT - 10, "step", anchor="middle"))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    log, out = map(Path, sys.argv[1:])
    out.write_text(draw([json.loads(entry) for entry in log.read_text().splitlines()]))
