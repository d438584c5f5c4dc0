"""benchmarks/random_checkpoint.py: checkpoints of the published shapes, made on the spot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from pocketr1 import arch, checkpoint

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests"
)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import random_checkpoint

    return random_checkpoint


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = BENCHMARKS / "random_checkpoint.py"
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ("r1-distill-qwen-1.5b", 1_777_088_000),
        ("r1-distill-qwen-7b", 7_615_616_512),
        ("r1-distill-qwen-14b", 14_770_033_664),
        ("r1-distill-qwen-32b", 32_763_876_352),
        ("r1-distill-llama-8b", 8_030_261_248),
        ("r1-0528-qwen3-8b", 8_190_735_360),
    ],
)
def test_shapes_have_the_published_number_of_parameters(
    benchmarks: Any, shape: str, parameters: int
) -> None:
    spec = arch.from_config(benchmarks.SHAPES[shape], Path("config.json")).spec
    assert sum(int(np.prod(s)) for s in arch.expected_tensors(spec).values()) == parameters


def test_a_random_checkpoint_opens_with_realistic_weights(tmp_path: Path) -> None:
    done = run("tiny-random", tmp_path / "model", "--layers", "2", "--seed", "5")
    assert done.returncode == 0, done.stderr
    opened = checkpoint.open(tmp_path / "model")
    assert len(opened.spec.layers) == 2
    weights = checkpoint.as_float32(opened.read_rows("layers.1.gate.weight"), "bf16")
    assert np.std(weights) == pytest.approx(0.02, rel=0.05)
    norm = checkpoint.as_float32(opened.read_rows("layers.1.attn_norm.weight"), "bf16")
    assert np.mean(norm) == pytest.approx(1.0, abs=0.05)
    assert not list(tmp_path.glob("*.partial"))


def test_the_generated_tokenizer_knows_r1s_tags_and_template(tmp_path: Path) -> None:
    assert run("tiny-random", tmp_path / "model", "--layers", "1").returncode == 0
    opened = checkpoint.open(tmp_path / "model")
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    text = "<think>\n好</think>é"
    ids = tokenizer.encode(text).ids
    assert ids[0] == opened.spec.bos_token_id
    assert tokenizer.token_to_id("<think>") in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.get_vocab_size() == opened.spec.vocab_size
    assert "<｜Assistant｜><think>" in (tmp_path / "model" / "tokenizer_config.json").read_text(
        "utf-8"
    )
    assert {path.name for path in opened.tokenizer_files} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, benchmarks: Any) -> None:
    config = {**benchmarks.SHAPES["tiny-random"], "num_hidden_layers": 1}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        benchmarks.write_checkpoint(tmp_path / name, config, seed)
    a, b, c = ((tmp_path / n / "model.safetensors").read_bytes() for n in "abc")
    assert a == b
    assert a != c


def test_large_checkpoints_are_sharded(
    tmp_path: Path, benchmarks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "SHARD_BYTES", 1_000_000)
    benchmarks.write_checkpoint(tmp_path / "m", benchmarks.SHAPES["tiny-random"], 0)
    opened = checkpoint.open(tmp_path / "m")
    assert len(opened.files) > 3
    assert all(path.stat().st_size < 1_010_000 for path in opened.files)


def test_nothing_is_left_of_a_failure_and_nothing_is_overwritten(
    tmp_path: Path, benchmarks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").mkdir()
    assert run("tiny-random", tmp_path / "taken").returncode == 2
    monkeypatch.setattr(benchmarks, "write_shard", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        benchmarks.write_checkpoint(tmp_path / "m", benchmarks.SHAPES["tiny-random"], 0)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
