"""The page: whole, alone, and true to the report."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pocketr1
from pocketr1.evaluate import EvaluateOptions, EvaluationReport, evaluate_models, page
from pocketr1.evaluate.plots import Mark, Series, histogram, intervals
from pocketr1.evaluate.report import Flip, Histogram


@pytest.fixture(scope="module")
def report(good: Path, task: Path) -> EvaluationReport:
    options = EvaluateOptions(limit=20, max_tokens=400)
    return evaluate_models(good, "tiny", tasks=[task], options=options)


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    pocketr1.set_language(request.param)
    yield request.param
    pocketr1.set_language(None)


class Tags(HTMLParser):
    """Collects tags and checks that they nest."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing(
    report: EvaluationReport, language: str
) -> None:
    text = page.render(report)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "img", "iframe", "object"}
    assert not [attrs for _, attrs in tags.seen if {"src", "href"} & attrs.keys()]
    assert not re.search(r"url\(|@import|https?://", text)
    (html,) = [attrs for tag, attrs in tags.seen if tag == "html"]
    assert str(html["lang"]).startswith(language)


def test_the_page_says_what_the_report_found(report: EvaluationReport) -> None:
    pocketr1.set_language("en")
    try:
        text = page.render(report)
    finally:
        pocketr1.set_language(None)
    assert ("PASS" if report.verdict == "pass" else "FAIL") in text
    assert str(report.tasks[0].sha256) in text
    for tensor in report.model.worst_tensors():
        assert tensor["name"] in text
    assert text.count("<svg") == 5


def test_light_and_dark_have_all_the_same_colours() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", page._STYLE, re.DOTALL)
    names = [set(re.findall(r"(--\w+):", block)) for block in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--\w+)\)", page._STYLE)) <= names[0]


def test_what_a_task_s_file_says_cannot_become_markup(report: EvaluationReport) -> None:
    evil = Flip("<script>alert(1)</script>", '"><b>', "<i>", None)
    task = replace(report.tasks[0], name="<u>", lost=[evil])
    text = page.render(replace(report, tasks=[task]))
    assert not re.search(r"<(script|b|i|u)>", text)


def test_a_page_that_cannot_be_written_is_explained(
    report: EvaluationReport, tmp_path: Path
) -> None:
    with pytest.raises(pocketr1.EngineError) as caught:
        page.write(report, tmp_path / "missing" / "page.html")
    assert caught.value.code == "evaluate-page"


def test_a_page_is_replaced_whole(report: EvaluationReport, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old", "utf-8")
    page.write(report, path)
    assert path.read_text("utf-8").endswith("</html>\n")
    assert list(tmp_path.iterdir()) == [path]


def svg(figure: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", figure, re.DOTALL)[0])  # type: ignore[index]


def test_a_dot_stands_where_its_value_does() -> None:
    marks = [Mark("a", 10, 0, 20), Mark("b", 20, 20, 20)]
    figure = svg(intervals("t", marks, low=0, high=20))
    places = [float(dot.attrib["cx"]) for dot in figure.iter("circle")]
    assert places == pytest.approx([220 + 430 / 2, 650])


@pytest.mark.parametrize(
    "marks", [[Mark("a", 0, 0, 0)], [Mark("a", -3, -5, 2)], [Mark("a", 1e-6, 0, 2e-6)]]
)
def test_an_axis_holds_all_values(marks: list[Mark]) -> None:
    figure = svg(intervals("t", marks, limit=0.0))
    for dot in figure.iter("circle"):
        assert 219 <= float(dot.attrib["cx"]) <= 651


def test_bars_are_shares_of_their_own_series() -> None:
    shape = Histogram([0, 1, 2, 3, 4], [0, 0, 0, 0])
    series = [Series("a", [1, 1, 0, 0]), Series("b", [100, 100, 0, 0], "reference")]
    bars = [bar for bar in svg(histogram("t", shape, series)).iter("rect") if "x" in bar.attrib]
    heights = [float(bar.attrib["height"]) for bar in bars[:8]]
    assert heights[:4] == heights[4:] and heights[0] > 100


def test_an_empty_histogram_is_drawn() -> None:
    assert svg(histogram("t", Histogram([0, 1], [0]), [Series("a", [0])])) is not None
