"""The guides and decisions show the figures that are kept, and nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("calibration", 2),
        ("calibrated_accuracy", 4),
        ("table_grid", 1),
        ("kv_formats", 2),
        ("full_context", 2),
        ("kv_store", 2),
    ],
)
def test_a_pages_table_is_the_kept_figures(
    monkeypatch: pytest.MonkeyPatch, script: str, count: int
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    made = importlib.import_module(script).pages()
    assert len(made) == count
    assert [path for path, page in made.items() if path.read_text("utf-8") != page] == []


def test_new_rows_replace_those_of_the_same_model_and_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kept_with = importlib.import_module("calibration").kept_with
    old = [{"engine": "pocketr1", "name": "a"}, {"engine": "llama.cpp", "name": "b"}]
    document = {"samples": 5, "models": {"twin": old, "tiny": [{"engine": "llama.cpp"}]}}
    new = [{"engine": "llama.cpp", "name": "c"}]
    merged = kept_with(document, {"twin": new})
    assert merged["samples"] == 5
    assert merged["models"] == {"twin": [old[0], new[0]], "tiny": [{"engine": "llama.cpp"}]}
    assert document["models"]["twin"] == old
