"""The brief's table, and what each step of compression costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketr1.bench import CLAIMS, ScenarioOptions, run_scenarios
from pocketr1.bench.prompts import PROMPTS
from pocketr1.errors import EngineError, UsageError


def test_every_scenario_has_a_claim_and_asks_in_both_languages() -> None:
    assert set(PROMPTS) == set(CLAIMS)
    for english, chinese in PROMPTS.values():
        assert english.isascii()
        assert sum("\u4e00" <= letter <= "\u9fff" for letter in chinese) > 30


def test_the_claims_are_the_brief_s() -> None:
    rows = [(c.first_load_s, c.tok_s, c.memory_gb) for c in CLAIMS.values()]
    assert rows == [(8.7, 18.2, 3.2), (6.3, 14.5, 2.9), (9.1, 12.7, 3.5)]


def test_scenarios_and_steps_are_measured_with_the_claims_beside_them(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    task = tmp_path / "task.jsonl"
    task.write_text('{"question": "What is 2 + 3?", "answer": "5"}\n')
    options = ScenarioOptions(
        tokens=4, threads=1, steps=(str(tiny_checkpoint), str(tiny_bundle)), task=str(task)
    )
    jobs: list[str] = []
    report = run_scenarios(str(tiny_bundle), options, jobs.append)
    assert jobs == [*PROMPTS, *options.steps]
    tree = json.loads(json.dumps(report.to_dict()))
    assert [row["name"] for row in tree["scenarios"]] == list(PROMPTS)
    for row in tree["scenarios"]:
        assert row["tokens"] == 2 * 4
        assert row["tok_s"] > 0 and row["ttft_s"] > 0 and row["first_load_s"] > 0
        assert 0.02 < row["memory_gb"] < 0.5
        assert row["claim"]["tok_s"] in (18.2, 14.5, 12.7)
    reference, compressed = tree["steps"]
    assert reference["bits_per_weight"] == 16
    assert reference["kld_mean"] is None and reference["top1_agreement"] is None
    assert compressed["bits_per_weight"] < 5
    assert 0 < compressed["kld_mean"] < 1
    assert 0 < compressed["top1_agreement"] <= 1
    assert compressed["format"].startswith("w4")
    for step in tree["steps"]:
        assert step["perplexity"] > 1
        assert step["problems"] == 1
        assert step["accuracy"] in (0, 1)
        low, high = step["accuracy_interval"]
        assert 0 <= low <= step["accuracy"] <= high <= 1


def test_what_cannot_be_read_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    options = ScenarioOptions(tokens=1, steps=(str(tiny_bundle),), text=str(tmp_path / "no"))
    with pytest.raises(UsageError) as caught:
        run_scenarios(str(tiny_bundle), options)
    assert caught.value.code == "bench-text"
    with pytest.raises(EngineError):
        run_scenarios("no such model")
    with pytest.raises(UsageError):
        ScenarioOptions(tokens=0)
