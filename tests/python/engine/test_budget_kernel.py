"""The kernel as witness: a model of more bytes than its control group allows answers in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketr1
from pocketr1.bench import page_cache
from pocketr1.machine import rss_bytes

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "benchmarks"))
from memory_cgroup import MemoryGroup, make_group  # noqa: E402

# Answers prompts of the given lengths, then tells what it was charged; one JSON line.
CHILD = """
import json, sys
import pocketr1
path, budget, lengths, stat = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
engine = pocketr1.load(path, threads=2, max_context=4096, memory_budget=budget or None)
tokens = []
for length in lengths:
    ids = [(7 * i + 3) % 500 for i in range(length)]
    greedy = pocketr1.Sampling(temperature=0.0)
    answer = engine.generate(ids, greedy, max_tokens=8, stop_token_ids=())
    tokens.append([token.id for token in answer])
charged = {}
if stat:
    rows = (line.split() for line in open(stat))
    charged = {name: int(value) for name, value in rows}
print(json.dumps({
    "tokens": tokens,
    "resident": engine.resident_bytes,
    "streamed": engine.streaming.streamed if engine.streaming else 0,
    "charged": charged,
}))
"""


def child(path: Path, budget: str, lengths: list[int], stat: Path | str = "") -> list[str]:
    return [sys.executable, "-c", CHILD, str(path), budget, json.dumps(lengths), str(stat)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of 134 MB in 8 bits."""
    from pocketr1 import Quantizer

    directory = tmp_path_factory.mktemp("mid")
    script = ROOT / "benchmarks" / "random_checkpoint.py"
    command = [sys.executable, str(script), "mid-random", str(directory / "source")]
    subprocess.run(command, check=True, capture_output=True)
    Quantizer(directory / "source", output_path=directory / "bundle", bits=8, group_size=64).run()
    return directory / "bundle"


@pytest.fixture(scope="module")
def budget(bundle: Path) -> int:
    """Return a budget that keeps about a third of the weights."""
    command = [sys.executable, "-m", "pocketr1", "inspect", str(bundle)]
    command += ["--budget", "1GB", "--max-context", "4096", "--json"]
    plan = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["memory"]
    return int(plan["smallest"]) + 45_000_000


@pytest.fixture
def group(budget: int) -> Iterator[MemoryGroup]:
    made = make_group("test", budget)
    if isinstance(made, str):
        pytest.skip(made)
    with made:
        yield made


def evict(bundle: Path) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file()]
    page_cache.drop(files)


def unlimited(bundle: Path, lengths: list[int]) -> Any:
    result = subprocess.run(child(bundle, "", lengths), check=True, capture_output=True)
    return json.loads(result.stdout)["tokens"]


def answer_within(group: MemoryGroup, bundle: Path, budget: int, lengths: list[int]) -> Any:
    evict(bundle)
    result = group.run(child(bundle, str(budget), lengths, group.stat_file))
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    # The weights are this group's own memory, and not all of them fit.
    own = told["charged"].get("rss", told["charged"].get("anon"))
    assert own >= told["resident"] > 20_000_000
    assert told["streamed"] > 30_000_000
    return told["tokens"]


def test_a_model_larger_than_its_control_group_answers_the_same(
    group: MemoryGroup, bundle: Path, budget: int
) -> None:
    lengths = [20, 700]
    assert answer_within(group, bundle, budget, lengths) == unlimited(bundle, lengths)
    charged = group.charged()
    assert charged.oom_kills == 0
    assert charged.peak <= budget


def test_what_is_given_back_leaves_memory_at_once_and_comes_back_as_it_is_streamed(
    bundle: Path,
) -> None:
    with pocketr1.load(bundle, threads=2, max_context=256, memory_budget="2GB") as engine:
        whole = engine.resident_bytes
        ids = [(7 * i + 3) % 500 for i in range(40)]
        before = engine.logits(ids)
        full = rss_bytes()
        engine.set_resident_limit(whole // 4)
        assert engine.resident_bytes <= whole // 4
        assert rss_bytes() < full - whole // 2
        assert np.array_equal(engine.logits(ids), before)
        engine.set_resident_limit(whole)
        assert np.array_equal(engine.logits(ids), before)
        assert engine.resident_bytes > whole * 9 // 10


@pytest.mark.soak
def test_a_hundred_processes_within_the_limit_are_not_killed(
    group: MemoryGroup, bundle: Path, budget: int
) -> None:
    plans = [[1 + 37 * run % 600] for run in range(90)] + [[4000 - run] for run in range(10)]
    expected = unlimited(bundle, [length for plan in plans for length in plan])
    for plan, tokens in zip(plans, expected, strict=True):
        assert answer_within(group, bundle, budget, plan) == [tokens]
    assert group.charged().oom_kills == 0
