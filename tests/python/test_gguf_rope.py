"""The rule of a rotary embedding is found again from its frequencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketr1 import arch
from pocketr1.arch import ModelSpec
from pocketr1.errors import CompressionError
from pocketr1.export.gguf_rope import find_rule

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def spec(kind: str, theta: float, scaling: dict[str, Any] | None = None) -> ModelSpec:
    """A model with heads of 128, as all distilled models of R1 have."""
    config = {
        "model_type": kind,
        "hidden_size": 256,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "head_dim": 128,
        "vocab_size": 10,
        "max_position_embeddings": 131072,
        "rope_theta": theta,
        "rope_scaling": scaling,
    }
    return arch.from_config(config, Path("config.json")).spec


@pytest.mark.parametrize("theta", [10000.0, 500000.0, 1000000.0, 8000000.0, 12345.6])
def test_a_plain_base_is_found(theta: float) -> None:
    rule = find_rule(spec("qwen2", theta))
    assert rule.theta == pytest.approx(theta, rel=1e-6)
    assert rule.factors is None and rule.yarn_factor is None
    if theta in (10000.0, 500000.0, 1000000.0):  # those of R1's distilled models
        assert rule.theta == theta


def test_llama_3_s_scaling_becomes_factors() -> None:
    model = spec("llama", 500000.0, LLAMA3)
    rule = find_rule(model)
    assert rule.theta == 500000.0 and rule.factors is not None
    assert (rule.factors[0], rule.factors[-1]) == (1.0, 8.0)
    plain = np.array(spec("llama", 500000.0).rope.inv_freq, np.float32)
    assert np.allclose(plain / rule.factors, model.rope.inv_freq, rtol=2e-7, atol=0)


def test_yarn_is_found_with_its_length() -> None:
    rule = find_rule(spec("qwen3", 1000000.0, YARN))
    assert (rule.theta, rule.yarn_factor, rule.original_positions) == (1000000.0, 4.0, 32768)
    assert rule.attention_factor == 1.0
    rule = find_rule(spec("qwen3", 1000000.0, {**YARN, "attention_factor": 1.0}))
    assert rule.attention_factor == pytest.approx(1 / (1 + 0.1 * np.log(4)))


def test_what_gguf_cannot_say_is_refused() -> None:
    with pytest.raises(CompressionError) as caught:
        find_rule(spec("qwen2", 1000000.0, LLAMA3))  # factors are read of Llama models alone
    assert caught.value.code == "export-gguf-rope"
