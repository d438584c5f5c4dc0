"""benchmarks/results.py: tables and plots are made from kept results, and only from them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pocketr1 import messages

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
        "roofline": {"read_bytes_s": 22e9, "products_s": 600e9},
    }


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


@pytest.mark.parametrize(("language", "word"), [("en", "Side by side"), ("zh", "同场对比")])
def test_the_plot_speaks_both_languages(
    results: Any, report: dict[str, Any], language: str, word: str
) -> None:
    messages.set_language(language)
    root = ElementTree.fromstring(results.plot(results.stamp(report), language))
    texts = " ".join(text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert word in texts and "A CPU <&>" in texts and "llama.cpp q4_0" in texts


def test_a_peer_below_its_anchor_voids_the_run(results: Any, report: dict[str, Any]) -> None:
    report = results.stamp(report)
    lines, stands = results.check(report)
    assert stands and len(lines) == 2
    report["roofline"]["read_bytes_s"] *= 1.2  # this machine reads faster
    lines, stands = results.check(report)
    assert not stands
    assert "llama.cpp q4_0  decode_tok_s  0.83 of its anchor  below its anchor" in lines


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
        if kept["kind"] in ("comparison", "sustain"):
            ElementTree.fromstring(results.plot(kept, "en"))


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
