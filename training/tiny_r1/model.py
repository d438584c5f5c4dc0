"""Tiny R1's model: Qwen2 as transformers has it, with key biases as large as real ones."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

__all__ = ["build", "configuration", "published"]


def configuration(vocab_size: int, bos: int, eos: int) -> Qwen2Config:
    """Return the shape: R1-Distill-Qwen's architecture, hidden and FFN multiples of 256."""
    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        bos_token_id=bos,
        eos_token_id=eos,
        attn_implementation="sdpa",
    )


def build(config: Qwen2Config, seed: int) -> Qwen2ForCausalLM:
    """Return the untrained model.

    In Qwen2.5 and the R1 distills made from it, a few channels of the key biases dwarf all others
    and a K/V cache in few bits has to cope with them. Two slowly rotating channel pairs of each
    head get such a bias here: it moves all keys alike, so training neither needs it nor undoes it.
    """
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(config)
    heads, layers = config.num_key_value_heads, config.num_hidden_layers
    half = config.hidden_size // config.num_attention_heads // 2
    deviation = config.hidden_size**-0.5
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name and "lm_head" not in name:
                inner = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(0.0, deviation * ((2 * layers) ** -0.5 if inner else 1.0))
        for layer in model.model.layers:
            bias = layer.self_attn.k_proj.bias.view(heads, 2 * half)
            for head in range(heads):
                pairs = half - 6 + torch.randperm(6)[:2]
                for channel in (*pairs, *(pairs + half)):
                    sign = 1.0 if torch.rand(()) < 0.5 else -1.0
                    bias[head, channel] = sign * (10 + 40 * torch.rand(()))
    return model


def published(config: Qwen2Config) -> dict[str, dict[str, Any]]:
    """Return the configuration files as DeepSeek writes those of its distills, by name."""
    ends = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    return {
        "config.json": {
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            **ends,
            "hidden_act": "silu",
            "hidden_size": config.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": config.intermediate_size,
            "max_position_embeddings": config.max_position_embeddings,
            "max_window_layers": config.num_hidden_layers,
            "model_type": "qwen2",
            "num_attention_heads": config.num_attention_heads,
            "num_hidden_layers": config.num_hidden_layers,
            "num_key_value_heads": config.num_key_value_heads,
            "rms_norm_eps": config.rms_norm_eps,
            "rope_theta": config.rope_parameters["rope_theta"],
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": config.vocab_size,
        },
        "generation_config.json": {**ends, "do_sample": True, "temperature": 0.6, "top_p": 0.95},
    }
