"""Full-precision logits against transformers, run live on random small models.

``POCKETR1_ORACLE_SEED`` (0) varies them. The bound is the one of tests/golden/README.md.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle_support import bound, greedy, logits_in_chunks, start

from pocketr1 import checkpoint

GOLDEN = Path(__file__).parents[1] / "golden"
SEED = int(os.environ.get("POCKETR1_ORACLE_SEED", "0"))
ARCHITECTURES = ("qwen2", "llama", "qwen3")

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def oracle() -> Any:
    sys.path.insert(0, str(GOLDEN))
    try:
        import reference
    finally:
        sys.path.remove(str(GOLDEN))
    return reference


def random_rope(rng: random.Random) -> dict[str, Any]:
    original = rng.choice([64, 100, 512, 4096])
    scalings: list[dict[str, Any] | None] = [
        None,
        {
            "rope_type": "llama3",
            "factor": rng.choice([2.0, 8.0, 32.0]),
            "low_freq_factor": rng.choice([1.0, 1.5]),
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": original,
        },
        {
            "rope_type": "yarn",
            "factor": rng.choice([2.0, 4.0, 40.0]),
            "original_max_position_embeddings": original,
            "truncate": rng.random() < 0.5,
            "beta_fast": rng.choice([8, 32]),
            **rng.choice([{}, {"attn_factor": 0.9}, {"attention_factor": 0.9}]),
        },
    ]
    theta = rng.choice([10000.0, 500000.0, 1000000.0])
    return {"rope_theta": theta, "rope_scaling": rng.choice(scalings)}


def random_config(architecture: str, rng: random.Random, max_heads: int) -> dict[str, Any]:
    """Return sizes of all kinds: any grouping, odd dimensions, head_dim of its own."""
    kv_heads = rng.randint(1, min(3, max_heads))
    heads = kv_heads * rng.choice([n for n in (1, 2, 3, 6) if n * kv_heads <= max_heads])
    config = {
        "model_type": architecture,
        "hidden_act": "silu",
        "hidden_size": heads * rng.randint(5, 13),  # LlamaConfig insists on a multiple
        "num_hidden_layers": rng.choice([1, 2, 3]),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 2 * rng.randint(3, 20),
        "intermediate_size": rng.randint(20, 120),
        "vocab_size": rng.randint(60, 400),
        "max_position_embeddings": 16384,
        "rms_norm_eps": rng.choice([1e-5, 1e-6]),
        "tie_word_embeddings": rng.random() < 0.3,
        **random_rope(rng),
    }
    if architecture != "qwen2":
        config["attention_bias"] = rng.random() < 0.4
    if architecture == "llama":
        config["mlp_bias"] = rng.random() < 0.4
    return config


def build(
    oracle: Any, directory: Path, architecture: str, number: int, max_heads: int = 18
) -> tuple[Any, np.random.Generator]:
    """Write a random checkpoint; return transformers' model of it, and random numbers."""
    seed = 100 * SEED + number
    rng = random.Random(f"{architecture} {seed}")
    config = random_config(architecture, rng, max_heads)
    outlier = rng.choice([0.0, 20.0])
    model = oracle.random_model(config, seed, outlier)
    dtype, shards = rng.choice(["BF16", "BF16", "F16", "F32"]), rng.choice([1, 2, 3])
    oracle.save_model(model, directory, config, dtype, shards)
    # PyTorch's float32 power is an ulp off for some frequencies, differently on each instruction
    # set (test_oracle_rope.py), and llama3's blend enlarges that up to its factor; thousands of
    # positions later it is a visible angle. Both sides get the portable frequencies.
    ours = np.array(checkpoint.open(directory).spec.rope.inv_freq, np.float32)
    buffer = model.model.rotary_emb.inv_freq
    assert np.allclose(ours, buffer.numpy(), rtol=4 * 32 * 2**-23, atol=0)
    buffer.copy_(buffer.new_tensor(ours.tolist()))
    return model, np.random.default_rng(seed)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_greedy_tokens(
    oracle: Any, tmp_path: Path, architecture: str, number: int
) -> None:
    model, rng = build(oracle, tmp_path, architecture, number)
    prompt = rng.integers(0, model.config.vocab_size, 100)
    wanted = oracle.reference(model, prompt, 128, prompt[:0], prompt[:0])
    allowed = bound(float(wanted["error"]), wanted["logits"])

    logits = start(tmp_path, 100).feed(prompt)
    assert np.abs(logits - wanted["logits"]).max() <= allowed
    assert np.array_equal(logits_in_chunks(start(tmp_path, 100), prompt, [7, 1, 64]), logits)

    tokens = np.array(greedy(start(tmp_path, 256), prompt, 128))
    differing = np.flatnonzero(tokens != wanted["greedy"])
    if len(differing):
        assert wanted["greedy_gaps"][differing[0]] <= allowed


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_positions_beyond_8192(oracle: Any, tmp_path: Path, architecture: str) -> None:
    model, rng = build(oracle, tmp_path, architecture, 50, max_heads=2)
    ids = rng.integers(0, model.config.vocab_size, 8300)
    keep = np.array([100, 2000, 4097, 8191, 8192, 8299])
    wanted = oracle.reference(model, ids[:10], 1, ids, keep)
    run = start(tmp_path, len(ids), threads=2)
    error = np.abs(logits_in_chunks(run, ids, [512], keep) - wanted["long_logits"]).max()
    assert error <= bound(float(wanted["long_error"]), wanted["long_logits"])
