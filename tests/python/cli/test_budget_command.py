"""``--memory-budget`` and ``inspect --budget`` on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pocketr1
from pocketr1 import messages
from pocketr1.arch import ModelSpec
from pocketr1.cli import options
from pocketr1.cli.app import main
from pocketr1.cli.streamed import foresee, show_forecast, streamed_text
from pocketr1.doctor.candidates import token_weight_bytes


def document(capfd: pytest.CaptureFixture[str], *line: object, code: int = 0) -> Any:
    capfd.readouterr()
    assert main([*map(str, line), "--json"]) == code
    return json.loads(capfd.readouterr().out)


def test_run_answers_the_same_within_a_budget_and_says_what_it_took(
    capfd: pytest.CaptureFixture[str],
) -> None:
    line = ["run", "tiny", "What is 17 times 23?", "--temperature", "0"]
    free = document(capfd, *line, "--memory-budget", "none")
    bound = document(capfd, *line, "--memory-budget", "2GB")
    assert free["memory"] is None
    assert bound["token_ids"] == free["token_ids"]
    assert bound["memory"]["resident_bytes"] > 1_000_000
    assert main([*line, "--memory-budget", "2GB"]) == 0
    assert "all weights resident" in capfd.readouterr().err


def test_a_budget_too_small_is_refused_with_the_one_that_works(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["run", tiny_bundle, "Hello", "--max-tokens", "4", "--raw", "--memory-budget"]
    error = document(capfd, *line, "1MB", code=2)["error"]
    assert error["code"] == "budget-too-small"
    smallest = error["params"]["smallest"]
    assert smallest in error["mend"]
    assert document(capfd, *line, smallest)["completion_tokens"] >= 1


def test_inspect_shows_where_a_budget_goes(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["inspect", tiny_bundle, "--budget", "2GB", "--max-context", "512"]
    plan = document(capfd, *line)["memory"]
    assert (plan["budget"], plan["max_context"], plan["ring"]) == (2 * 10**9, 512, 0)
    assert plan["storage_bound_tok_s"] is None
    assert plan["speed_bound_tok_s"] == plan["memory_bound_tok_s"]
    assert plan["weight_bytes_at_bits"].keys() <= {"2", "3", "4", "8"}
    for language, word in (("en", "weights resident"), ("zh", "常驻权重")):
        assert main([*map(str, line), "--lang", language]) == 0
        assert word in capfd.readouterr().out
    error = document(capfd, "inspect", tiny_bundle, "--max-context", "512", code=2)["error"]
    assert error["code"] == "cli-plan-option"


def test_the_plan_says_at_how_many_bits_all_would_stay(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forecast = foresee(str(tiny_bundle), "2GB", None, "f16")
    spec = ModelSpec.from_dict(pocketr1.inspect(tiny_bundle).model)
    sizes = {3: token_weight_bytes(spec, 3, 64), 2: token_weight_bytes(spec, 2, 32)}
    assert forecast.smaller == sizes
    # Vectors, which are no part of a pass, are the difference.
    assert 0.98 < forecast.plan.resident / token_weight_bytes(spec, 4, 64) < 1
    # So small a model is never streamed: the process varies by more than it has.
    forecast = replace(forecast, plan=replace(forecast.plan, resident=1_000_000, streamed=1))
    show_forecast(forecast)
    assert "at 2 bits (1.0 MB)" in capfd.readouterr().out
    room = forecast.plan.resident + forecast.plan.ring
    sizes = {bits: room + bits - 3 for bits in (2, 3, 4)}
    assert replace(forecast, smaller=sizes).whole_in_memory() == (3, True)
    assert replace(forecast, smaller={4: room + 1, 3: room + 1}).whole_in_memory() == (3, False)


def test_bench_measures_within_a_budget_and_in_no_other_mode(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", tiny_bundle, "--prompt-tokens", "8", "--gen-tokens", "3", "--repeat", "1"]
    report = document(capfd, *line, "--memory-budget", "2GB")
    assert report["memory"]["resident_bytes"] > 1_000_000
    error = document(capfd, *line, "--roofline", "--memory-budget", "2GB", code=2)["error"]
    assert error["code"] == "bench-modes"


def test_only_a_phone_has_a_budget_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_ROOT", raising=False)
    assert options.budget(None) is None
    monkeypatch.setenv("ANDROID_ROOT", "/system")
    assert options.budget(None) == "auto"
    assert options.budget("none") is None
    assert options.budget("700000000") == "700000000"


def test_the_read_bound_stands_beside_the_speed() -> None:
    memory = {
        "resident_bytes": 500e6,
        "streamed_bytes_per_token": 312e6,
        "storage_bytes_s": 1.4e9,
        "read_bound_tok_s": 1.4e9 / 312e6,
        "reached_tok_s": 4.1,
        "share": 4.1 / (1.4e9 / 312e6),
    }
    messages.set_language("en")
    try:
        assert streamed_text(memory) == (
            "streamed 312 MB a token at 1.40 GB/s: at most 4.5 tok/s; 4.1 reached, 91%"
        )
    finally:
        messages.set_language(None)
