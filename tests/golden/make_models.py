"""Write models/: small random checkpoints and what transformers computes for them.

    python tests/golden/make_models.py            # needs torch, transformers, safetensors

See README.md for what is stored and how the tests use it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

# PyTorch's float32 power differs between instruction sets by an ulp; its portable code gives the
# correctly rounded inverse frequencies. Must be set before torch is loaded.
os.environ["ATEN_CPU_CAPABILITY"] = "default"

import numpy as np
import torch
from reference import random_model, reference, save_model

MODELS = Path(__file__).parent / "models"
PROMPT = 24
GREEDY = 128
LONG = 8208
LONG_KEEP = np.array([255, 1024, 2047, 4095, 6000, 8191, 8192, 8207])


def _decoder(model_type: str, **entries: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_act": "silu",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "max_position_embeddings": 16384,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        **entries,
    }


def _sizes(
    hidden: int, layers: int, heads: int, kv_heads: int, ffn: int, vocab: int
) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
    }


# name -> config, how it is stored, and whether positions beyond 8,192 are kept.
CASES: dict[str, dict[str, Any]] = {
    "qwen2-gqa6-key-outliers": {
        "config": _decoder("qwen2", **_sizes(72, 2, 6, 1, 104, 160)),
        "key_outlier": 30.0,
        "long": True,
    },
    "qwen2-tied-mha": {
        "config": _decoder("qwen2", **_sizes(60, 3, 5, 5, 100, 131), tie_word_embeddings=True),
    },
    "qwen2-two-shards": {
        "config": _decoder("qwen2", **_sizes(64, 3, 4, 2, 90, 97), head_dim=24),
        "shards": 2,
    },
    "llama-llama3-gqa3": {
        "config": _decoder(
            "llama",
            **_sizes(72, 2, 6, 2, 88, 113),
            head_dim=20,
            rms_norm_eps=1e-05,
            rope_theta=500000.0,
            rope_scaling={
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 128,
            },
        ),
        "long": True,
    },
    "llama-biases-tied": {
        "config": _decoder(
            "llama",
            **_sizes(48, 2, 3, 3, 77, 101),
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
        ),
    },
    "llama-f16": {
        "config": _decoder("llama", **_sizes(64, 2, 8, 4, 72, 89), rope_theta=500000.0),
        "dtype": "F16",
    },
    "qwen3-yarn-gqa2": {
        "config": _decoder(
            "qwen3",
            **_sizes(64, 2, 4, 2, 84, 120),
            head_dim=32,
            rope_theta=1000000,
            rope_scaling={
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 512,
                "attn_factor": 0.8782488562869419,
            },
        ),
        "long": True,
    },
    "qwen3-yarn-no-truncate-biases": {
        "config": _decoder(
            "qwen3",
            **_sizes(40, 2, 2, 2, 66, 90),
            head_dim=16,
            attention_bias=True,
            tie_word_embeddings=True,
            rope_scaling={
                "rope_type": "yarn",
                "factor": 16.0,
                "original_max_position_embeddings": 64,
                "truncate": False,
                "beta_fast": 8,
                "attention_factor": 0.9,
            },
        ),
    },
    "qwen3-f32-gqa8": {
        "config": _decoder("qwen3", **_sizes(50, 2, 8, 1, 58, 77), head_dim=10),
        "dtype": "F32",
    },
}


def make(name: str, seed: int) -> None:
    """Write one case, and print transformers' own float32 error."""
    case = CASES[name]
    config = case["config"]
    directory = MODELS / name
    shutil.rmtree(directory, ignore_errors=True)
    model = random_model(config, seed, case.get("key_outlier", 0.0))
    save_model(model, directory, config, case.get("dtype", "BF16"), case.get("shards", 1))
    rng = np.random.default_rng(seed)
    prompt = rng.integers(0, config["vocab_size"], PROMPT).astype(np.uint8)
    long, keep = np.empty(0, np.uint8), np.empty(0, np.int64)
    if case.get("long"):
        long = rng.integers(0, config["vocab_size"], LONG).astype(np.uint8)
        keep = LONG_KEEP
    stored = reference(model, prompt, GREEDY, long, keep)
    stored["greedy"] = stored["greedy"].astype(np.uint8)
    np.savez_compressed(directory / "reference.npz", **stored)
    size = sum(path.stat().st_size for path in directory.iterdir())
    print(
        f"{name}: {size / 1e3:.0f} kB, logits to {np.abs(stored['logits']).max():.2f}, float32 "
        f"error {stored['error']:.1e}, long {stored['long_error']:.1e}, smallest greedy gap "
        f"{stored['greedy_gaps'].min():.1e}, {len(set(stored['greedy'].tolist()))} tokens"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, case_name in enumerate(CASES):
        if len(sys.argv) < 2 or case_name in sys.argv[1:]:
            make(case_name, seed=1000 + number)
