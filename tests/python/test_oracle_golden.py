"""Full-precision logits against stored ones of transformers; see tests/golden/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle_support import FLOAT32_EPS, Run, bound, greedy, logits_in_chunks, start

from pocketr1 import _core, checkpoint

MODELS = Path(__file__).parents[1] / "golden" / "models"
CASES = sorted(path.name for path in MODELS.iterdir())
LONG_CASES = ["llama-llama3-gqa3", "qwen2-gqa6-key-outliers", "qwen3-yarn-gqa2"]

Reference = dict[str, Any]


def load(case: str) -> Reference:
    with np.load(MODELS / case / "reference.npz") as stored:
        return dict(stored)


def some_ids(case: str, count: int) -> np.ndarray[Any, Any]:
    vocab = checkpoint.open(MODELS / case).spec.vocab_size
    return np.random.default_rng(7).integers(0, vocab, count)


def test_every_architecture_has_cases() -> None:
    assert {case.split("-")[0] for case in CASES} == {"llama", "qwen2", "qwen3"}
    for case in CASES:
        assert load(case)["error"] > 0


@pytest.mark.parametrize("case", CASES)
def test_rotary_frequencies_equal_the_reference_bit_for_bit(case: str) -> None:
    reference = load(case)
    rope = checkpoint.open(MODELS / case).spec.rope
    assert np.array_equal(np.array(rope.inv_freq, np.float32), reference["inv_freq"])
    assert rope.attention_scaling == reference["attention_scaling"]


@pytest.mark.parametrize("case", CASES)
def test_logits_agree_to_float32_rounding(case: str) -> None:
    reference = load(case)
    logits = start(MODELS / case, 64).feed(reference["prompt"])
    error = np.abs(logits - reference["logits"]).max()
    assert error <= bound(reference["error"], reference["logits"])


@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_are_the_references(case: str) -> None:
    reference = load(case)
    tokens = greedy(start(MODELS / case, 256), reference["prompt"], len(reference["greedy"]))
    assert len(tokens) == 128
    differing = np.flatnonzero(np.array(tokens) != reference["greedy"])
    if len(differing):
        # The contexts differ from here on; the choice itself must have been a tie to rounding.
        first = differing[0]
        assert reference["greedy_gaps"][first] <= bound(reference["error"], reference["logits"])


@pytest.mark.parametrize("case", LONG_CASES)
def test_positions_beyond_8192_are_right(case: str) -> None:
    reference = load(case)
    assert reference["long_keep"].max() >= 8192
    run = start(MODELS / case, len(reference["long"]), threads=2)
    logits = logits_in_chunks(run, reference["long"], [512], reference["long_keep"])
    error = np.abs(logits - reference["long_logits"]).max()
    assert error <= bound(reference["long_error"], reference["long_logits"])


@pytest.mark.isa
@pytest.mark.parametrize("case", CASES)
def test_chunking_never_changes_a_bit(case: str) -> None:
    """Prefill whole, in chunks of many sizes (over page ends), token by token, on two threads."""
    ids = some_ids(case, 150)
    whole = start(MODELS / case, 150).feed(ids)
    for sizes in ([1], [64], [63, 2], [5, 1, 31, 17]):
        assert np.array_equal(logits_in_chunks(start(MODELS / case, 150), ids, sizes), whole)
    assert np.array_equal(start(MODELS / case, 150, threads=2).feed(ids), whole)


@pytest.mark.parametrize("kv_format", ["f16", "int8"])
@pytest.mark.parametrize("case", LONG_CASES)
def test_chunking_never_changes_a_bit_with_compact_pages(case: str, kv_format: str) -> None:
    ids = some_ids(case, 150)
    whole = start(MODELS / case, 150, kv_format=kv_format).feed(ids)
    for sizes in ([1], [5, 1, 31, 17]):
        run = start(MODELS / case, 150, kv_format=kv_format)
        assert np.array_equal(logits_in_chunks(run, ids, sizes), whole)


@pytest.mark.isa
@pytest.mark.parametrize("case", CASES)
def test_every_instruction_set_gives_the_same_bits(case: str) -> None:
    ids = some_ids(case, 70)
    expected = start(MODELS / case, 70, isa="scalar").feed(ids)
    for isa in _core.isas():
        assert np.array_equal(start(MODELS / case, 70, isa=isa).feed(ids), expected), isa


def shifted(source: Path, target: Path) -> None:
    """Copy a single-file checkpoint so that its tensors begin at odd offsets."""
    target.mkdir()
    (target / "config.json").write_bytes((source / "config.json").read_bytes())
    whole = (source / "model.safetensors").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + size] + b" "
    rest = whole[8 + size :]
    (target / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + rest)


@pytest.mark.parametrize("case", ["llama-f16", "qwen3-f32-gqa8", "qwen2-tied-mha"])
def test_tensors_at_odd_offsets_give_the_same_bits(case: str, tmp_path: Path) -> None:
    """Safetensors does not promise alignment, and mapped weights need it."""
    shifted(MODELS / case, tmp_path / "odd")
    assert any(t.offset % 2 for t in checkpoint.open(tmp_path / "odd").tensors.values())
    ids = some_ids(case, 20)
    expected = start(MODELS / case, 20).feed(ids)
    assert np.array_equal(start(tmp_path / "odd", 20).feed(ids), expected)


WRONG_READINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama3 scaling ignored": ("llama-llama3-gqa3", {"rope_scaling": None}),
    "YaRN ignored": ("qwen3-yarn-gqa2", {"rope_scaling": None}),
    "attn_factor taken for attention_factor": (
        "qwen3-yarn-gqa2",
        {
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 512,
                "attention_factor": 0.8782488562869419,
            }
        },
    ),
    "theta off by a ten-thousandth": ("qwen2-gqa6-key-outliers", {"rope_theta": 10001.0}),
    "epsilon of the norms": ("llama-llama3-gqa3", {"rms_norm_eps": 1.1e-05}),
}


@pytest.mark.parametrize("reading", WRONG_READINGS)
def test_a_wrong_reading_of_the_config_exceeds_the_bound(reading: str, tmp_path: Path) -> None:
    """The bound is tight enough to notice small faults."""
    case, change = WRONG_READINGS[reading]
    reference = load(case)
    config = json.loads((MODELS / case / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    opened = checkpoint.open(MODELS / case / "model.safetensors", tmp_path / "config.json")
    session = _core.Session(
        _core.Model.open_checkpoint(*opened.core_arguments()),
        threads=1,
        max_context=64,
        kv_format="f32",
    )
    logits = Run(session, session.create_sequence()).feed(reference["prompt"])
    error = np.abs(logits - reference["logits"]).max()
    assert error > 2 * bound(reference["error"], reference["logits"])


def test_the_bound_is_a_few_roundings_of_the_largest_logit() -> None:
    """No case's bound is so loose that it says nothing: all stay below 50 float32 ulps."""
    for case in CASES:
        reference = load(case)
        scale = np.abs(reference["logits"]).max()
        assert bound(reference["error"], reference["logits"]) < 50 * FLOAT32_EPS * scale
