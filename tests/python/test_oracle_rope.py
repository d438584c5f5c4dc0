"""Rotary frequencies against transformers, bit for bit where PyTorch's power agrees with itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketr1 import arch

pytestmark = pytest.mark.oracle

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0}
SCALINGS: list[dict[str, Any] | None] = [
    None,
    {**LLAMA3, "original_max_position_embeddings": 8192},
    {**LLAMA3, "factor": 32.0, "original_max_position_embeddings": 8192},
    {**LLAMA3, "factor": 3.3, "low_freq_factor": 1.3, "original_max_position_embeddings": 301},
    {**YARN, "original_max_position_embeddings": 32768, "attn_factor": 0.8782488562869419},
    {**YARN, "original_max_position_embeddings": 64, "truncate": False},
    {**YARN, "original_max_position_embeddings": 777, "beta_fast": 20, "beta_slow": 2.5},
    {**YARN, "original_max_position_embeddings": 4096, "attention_factor": 0.7},
    {**YARN, "original_max_position_embeddings": 512, "mscale": 0.707, "mscale_all_dim": 1.1},
    {**YARN, "factor": 40.0, "original_max_position_embeddings": 1, "beta_fast": 32},
]


def both(
    theta: float, head_dim: int, scaling: dict[str, Any] | None
) -> tuple[arch.RopeSpec, np.ndarray[Any, np.dtype[np.float32]], float]:
    """Return our rotary embedding and transformers' inverse frequencies and scaling."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config: dict[str, Any] = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": head_dim,
        "vocab_size": 50,
        "max_position_embeddings": 131072,
        "rope_theta": theta,
        "rope_scaling": scaling,
    }
    ours = arch.from_config(config, Path("config.json")).spec.rope
    oracle = LlamaRotaryEmbedding(LlamaConfig.from_dict(config))
    return ours, oracle.inv_freq.numpy(), float(np.float32(oracle.attention_scaling))


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
@pytest.mark.parametrize("theta", [10000, 10000.0, 500000.0, 1000000, 123456.7])
def test_frequencies_equal_transformers(theta: float, scaling: dict[str, Any] | None) -> None:
    entries = differing = 0
    for head_dim in (8, 24, 48, 64, 80, 96, 128, 256):
        ours, oracle, oracle_scaling = both(theta, head_dim, scaling)
        assert ours.attention_scaling == oracle_scaling
        mine = np.array(ours.inv_freq, np.float32)
        ulps = np.abs(mine.view(np.int32) - oracle.view(np.int32))
        # PyTorch's power is an ulp off the correctly rounded one for a few entries; what follows
        # may double that, and llama3's blend enlarges it up to its factor. Nothing else may differ.
        blended = scaling is not None and scaling["rope_type"] == "llama3"
        assert ulps.max() <= (4 * scaling["factor"] if blended else 4)
        entries += len(ulps)
        differing += int((ulps > 0).sum())
    assert differing <= 0.03 * entries


def test_published_models_match_bit_for_bit() -> None:
    """The rotary embeddings of R1-Distill-Qwen and R1-Distill-Llama-8B."""
    for theta, scaling in ((10000, None), (500000.0, SCALINGS[1])):
        ours, oracle, _ = both(theta, 128, scaling)
        assert np.array_equal(np.array(ours.inv_freq, np.float32), oracle)
