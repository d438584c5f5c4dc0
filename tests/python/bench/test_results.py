"""benchmarks/results.py: tables and plots are made from kept results, and only from them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pocketr1 import messages
from pocketr1.bench import Machine, Sample, Scenario, ScenarioReport, Step, SustainReport

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests"
)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    messages.set_language("en")
    yield importlib.import_module("results")
    messages.set_language(None)


def spread(value: float) -> dict[str, Any]:
    return {"median": value, "min": 0.9 * value, "max": 1.1 * value, "values": [value]}


def engine(name: str, model: str, decode: float, prefill: float) -> dict[str, Any]:
    return {
        "engine": name,
        "model": f"/somewhere/{model}",
        "weights_mb": 945.4,
        "bits_per_weight": 4.252,
        "figures": {"decode_tok_s": spread(decode), "prefill_tok_s": spread(prefill)},
        "gain": {} if name == "pocketr1" else {"decode_tok_s": spread(30 / decode)},
    }


@pytest.fixture
def report() -> dict[str, Any]:
    return {
        "kind": "comparison",
        "machine": {"cpu": "A CPU <&>", "system": "Linux 6.1-mine x86_64"},
        "threads": 2,
        "options": {"prompt_tokens": 512, "long_tokens": 4096, "together": 8, "repeat": 3},
        "engines": [
            engine("pocketr1", "r1-int4", 30.0, 300.0),
            engine("llama.cpp", "q4_0.gguf", 14.0, 58.0),
        ],
        "missing": [{"engine": "openvino", "code": "c", "params": {"python": "/somewhere"}}],
        "roofline": {
            "read_bytes_s": 22e9,
            "products_s": 600e9,
            "demand": {"products": 1_310_195_712},  # of the 1.5B
        },
    }


@pytest.fixture
def scenarios() -> dict[str, Any]:
    """Return two scenarios of three and a step, as the command writes them."""
    machine = Machine("A CPU <&>", 2, 8000, "Linux 6.1-mine x86_64", {})
    row = {"cold": True, "ttft_s": 0.5, "prompt_tokens": 90, "tokens": 512}
    row |= {"isa": "scalar", "threads": 2, "drafted": 0, "accepted": 0}
    rows = [
        Scenario(name=name, first_load_s=0.8, tok_s=speed, memory_gb=0.96, **row)
        for name, speed in (("text", 40.0), ("mathematics", 38.5))
    ]
    figures = {"text_tokens": 400, "problems": 100, "bits_per_weight": 4.252}
    figures |= {"weights_mb": 945.0, "prefill_tok_s": 480.0, "decode_tok_s": 41.0}
    step = Step(
        model="/somewhere/r1-int4", format="w4g64", peak_rss_mb=960.0, perplexity=12.5,
        kld_mean=0.0123, top1_agreement=0.95, accuracy=0.8, accuracy_interval=(0.7, 0.9),
        **figures,
    )  # fmt: skip
    return ScenarioReport("/somewhere/r1-int4", rows, [step], machine).to_dict()


@pytest.fixture
def sustain() -> dict[str, Any]:
    samples = [Sample(30.0 * n, 40.0 - n, 50.0 + n, None) for n in range(1, 21)]
    machine = Machine("A CPU <&>", 2, 8000, "Linux 6.1-mine x86_64", {})
    return SustainReport("/somewhere/m", "scalar", 2, 600.0, 18000, samples, machine).to_dict()


def test_a_result_says_of_which_commit_and_nothing_of_the_machine_s_paths(
    results: Any, report: dict[str, Any]
) -> None:
    kept = results.stamp(report)
    assert set(kept["made"]) == {"date", "commit", "load_average", "peers", "stands"}
    assert kept["made"]["stands"]
    assert [e["model"] for e in kept["engines"]] == ["r1-int4", "q4_0.gguf"]
    assert "/somewhere" not in json.dumps(kept)
    assert kept["machine"]["system"] == "Linux x86_64"


def test_the_table_has_a_row_for_each_figure(results: Any, report: dict[str, Any]) -> None:
    lines = results.table(results.stamp(report)).splitlines()
    assert lines[0] == "|  | pocketr1 r1-int4 | llama.cpp q4_0 |"
    assert "| prefill 512, tok/s | 300 (270–330) | 58.0 (52.2–63.8) |" in lines
    assert "| decode, tok/s | 30.0 (27.0–33.0) | 14.0 (12.6–15.4) 2.14× |" in lines
    assert not any("4096" in line for line in lines)  # it was not measured


@pytest.mark.parametrize(("language", "claimed"), [("en", "claimed"), ("zh", "声称")])
def test_scenarios_are_kept_as_two_tables_and_two_plots(
    results: Any, scenarios: dict[str, Any], language: str, claimed: str
) -> None:
    messages.set_language(language)
    kept = results.stamp(json.loads(json.dumps(scenarios)))
    assert "/somewhere" not in json.dumps(kept)
    tables, plots = results.tables(kept), results.plots(kept, language)
    assert set(tables) == set(plots) == {"", "steps"}
    head, _, text, mathematics = tables[""].splitlines()
    assert claimed in head
    assert "| 40.0 | 18.2 |" in text and "| 38.5 | 12.7 |" in mathematics
    assert "| r1-int4 | w4g64 | 4.25 | 960 |" in tables["steps"]
    assert "80.0% (70.0% – 90.0%)" in tables["steps"]
    for part, words in (("", (claimed, "18.2", "40")), ("steps", ("r1-int4 w4g64", "0.0123"))):
        shown = _texts(plots[part])
        assert all(any(word in text for text in shown) for word in words)


def test_minutes_are_kept_as_a_table_and_a_plot_without_what_no_sensor_told(
    results: Any, sustain: dict[str, Any]
) -> None:
    kept = results.stamp(sustain)
    head, _, row = results.tables(kept)[""].splitlines()
    assert "hottest sensor" in head and "frequency" not in head
    assert row == "| 10 min | 30.0 (20.0–39.0) tok/s | 53% | 51 – 70 °C |"
    shown = _texts(results.plots(kept, "en")[""])
    assert "tok/s" in shown and "°C" in shown and "MHz" not in shown
    assert any("scalar" in text and kept["made"]["commit"] in text for text in shown)


def _texts(plot: str) -> list[str]:
    root = ElementTree.fromstring(plot)
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(("language", "word"), [("en", "Side by side"), ("zh", "同场对比")])
def test_the_plot_speaks_both_languages(
    results: Any, report: dict[str, Any], language: str, word: str
) -> None:
    messages.set_language(language)
    texts = " ".join(_texts(results.plots(results.stamp(report), language)[""]))
    assert word in texts and "A CPU <&>" in texts and "llama.cpp q4_0" in texts


def test_a_peer_below_its_anchor_voids_the_run(results: Any, report: dict[str, Any]) -> None:
    report = results.stamp(report)
    lines, stands = results.check(report)
    assert stands and len(lines) == 2
    report["roofline"]["read_bytes_s"] *= 1.2  # this machine reads faster
    lines, stands = results.check(report)
    assert not stands
    assert "llama.cpp q4_0  decode_tok_s  0.83 of its anchor  below its anchor" in lines


def test_a_larger_shape_is_held_to_its_own_anchors(results: Any, report: dict[str, Any]) -> None:
    report["engines"] = [
        engine("pocketr1", "r1-distill-qwen-7b-int4", 9.0, 60.0),
        engine("llama.cpp", "q4_0.gguf", 3.6, 13.1),
        engine("llama.cpp", "q4_k_m.gguf", 0.1, 0.1),
    ]
    report["roofline"]["demand"]["products"] = 6_525_288_448
    lines, stands = results.check(results.stamp(report))
    assert stands
    assert [line.split("  ")[-1] for line in lines] == [
        *("1.00 of its anchor",) * 2,
        "no anchor for r1-distill-qwen-7b",
    ]
    assert results.tables(report)[""].startswith("|  | pocketr1 int4 | llama.cpp q4_0 |")
    report["engines"][1]["figures"]["prefill_tok_s"]["median"] = 11.0
    assert not results.check(report)[1]


def test_a_shape_of_which_nothing_is_known_stands(results: Any, report: dict[str, Any]) -> None:
    report["roofline"]["demand"]["products"] = 5
    assert results.check(results.stamp(report)) == (
        ["llama.cpp q4_0  no anchor for this shape"],
        True,
    )


def test_the_shapes_are_told_apart_by_their_products(results: Any) -> None:
    shapes = importlib.import_module("shapes").SHAPES
    anchors = importlib.import_module("anchors")
    products = {name: anchors._products(config) for name, config in shapes.items()}
    assert len(set(products.values())) == len(shapes)
    for path in _kept():
        kept = json.loads(path.read_text("utf-8"))
        if path.stem.startswith("r1-") and kept["kind"] == "comparison":
            assert path.stem.startswith(str(results.shape_of(kept)))


def test_marked_tables_and_images_are_those_of_the_kept_results(
    results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [path for path, page in results.pages().items() if path.read_text("utf-8") != page] == []
    images = results.IMAGES
    monkeypatch.setattr(results, "IMAGES", tmp_path)
    for drawn in results.draw():
        assert (images / drawn.name).read_text("utf-8") == drawn.read_text("utf-8"), drawn.name


def test_a_marked_table_is_renewed_and_nothing_else(
    results: Any, sustain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    (tmp_path / "m-sustain.json").write_text(json.dumps(results.stamp(sustain)))
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    english, chinese = tmp_path / "README.md", tmp_path / "docs" / "zh" / "a.md"
    english.write_text("a\n\n<!-- results: m-sustain -->\n\n| old |\n|---|\n| 1 |\n\nb | c\n")
    chinese.write_text("<!-- results: m-sustain -->\n", encoding="utf-8")
    (tmp_path / "docs" / "plain.md").write_text("| 1 |\n")
    renewed = results.pages()
    assert set(renewed) == {english, chinese}
    before, table, after = renewed[english].split("\n\n", 1)[0], *renewed[english].split("\n\n")[2:]
    assert (before, after) == ("a", "b | c\n")
    assert table.splitlines()[2].startswith("| 10 min | 30.0")
    assert "时长" in renewed[chinese]
    english.write_text(renewed[english], encoding="utf-8")
    assert results.pages()[english] == renewed[english]  # a second time changes nothing
    english.write_text("<!-- results: m-sustain steps -->\n")
    with pytest.raises(SystemExit, match="there is no such table"):
        results.pages()


@pytest.mark.parametrize(("language", "page"), [("en", "README.md"), ("zh", "README.zh-CN.md")])
def test_every_table_of_a_page_that_names_an_engine_is_a_kept_one(
    results: Any, language: str, page: str
) -> None:
    messages.set_language(language)
    kept = [json.loads(path.read_text("utf-8")) for path in _kept()]
    tables = {table for report in kept for table in results.table(report).split("\n\n")}
    shown = [block for block in _tables(page) if "openvino" in block or "xiaomi" in block.lower()]
    assert shown
    assert [block for block in shown if block not in tables] == []


def _kept() -> list[Path]:
    return sorted((BENCHMARKS / "results").glob("*.json"))


def _tables(page: str) -> list[str]:
    """Return the Markdown tables of a page of the repository."""
    text = (BENCHMARKS.parent / page).read_text("utf-8")
    blocks = [block.strip() for block in text.split("\n\n")]
    return [block for block in blocks if block.startswith("|")]


def test_kept_results_can_be_drawn(results: Any) -> None:
    for path in sorted((BENCHMARKS / "results").glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))
        assert {"date", "commit", "load_average"} <= set(kept["made"])
        for plot in results.plots(kept, "en").values():
            ElementTree.fromstring(plot)


def test_only_what_stands_is_drawn(
    results: Any, report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "IMAGES", tmp_path / "images")
    kept = results.stamp(report)
    (tmp_path / "good.json").write_text(json.dumps(kept))
    kept["made"]["stands"] = False
    (tmp_path / "void.json").write_text(json.dumps(kept))
    assert [path.name for path in results.draw()] == ["good.en.svg", "good.zh.svg"]
