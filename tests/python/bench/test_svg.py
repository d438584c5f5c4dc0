"""The charts: well-formed, to scale, and safe with any text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pocketr1.bench.svg import Bar, Curve, bar_chart, curves_over_time

_SPACE = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_values_and_texts_are_escaped() -> None:
    bars = [Bar("ours <&>", 40.0, 38.0, 44.0, ours=True), Bar("peer", 10.0, 10.0, 10.0)]
    root = ElementTree.fromstring(bar_chart("t", "c", [("decode, tok/s", bars), ("empty", [])]))
    ground, *drawn = (float(r.get("width", 0)) for r in root.iter(f"{_SPACE}rect"))
    assert drawn[0] == pytest.approx(4 * drawn[1], abs=0.2)
    assert max(drawn) < ground
    words = [text.text for text in root.iter(f"{_SPACE}text")]
    assert {"ours <&>", "peer", "40", "10", "t", "c", "decode, tok/s"} <= set(words)
    assert "empty" not in words


def test_curves_rise_where_the_values_do_and_an_empty_one_is_left_out() -> None:
    curves = [Curve("tok/s", [(0, 10.0), (30, 20.0), (60, 15.0)]), Curve("°C", [])]
    root = ElementTree.fromstring(curves_over_time("t", "c", curves))
    (line,) = root.iter(f"{_SPACE}polyline")
    places = [tuple(map(float, place.split(","))) for place in line.get("points", "").split()]
    x, y = zip(*places, strict=True)
    assert list(x) == sorted(x)
    assert y[1] < y[2] < y[0]  # the axis of an SVG points down
    assert "°C" not in [text.text for text in root.iter(f"{_SPACE}text")]


def test_a_constant_curve_and_a_single_point_are_drawn() -> None:
    ElementTree.fromstring(curves_over_time("t", "c", [Curve("MHz", [(1.0, 0.0)])]))
    ElementTree.fromstring(curves_over_time("t", "c", [Curve("MHz", [(0, 5.0), (9, 5.0)])]))


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="no points"):
        curves_over_time("t", "c", [Curve("tok/s", [])])
    with pytest.raises(ValueError, match="no bars"):
        bar_chart("t", "c", [("decode", [])])
