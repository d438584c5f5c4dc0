"""``qwen2``: DeepSeek-R1-Distill-Qwen-1.5B, 7B, 14B and 32B.

Pre-norm decoder with RMS norm, grouped-query attention with biases on q, k and v, RoPE and SwiGLU.
"""

from __future__ import annotations

from pocketr1.arch.config import Config
from pocketr1.arch.decoder import (
    Architecture,
    Features,
    decoder_spec,
    refuse_sliding_window,
    tensor_names,
)

__all__ = ["read"]

_MODEL = {
    "embed.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm.weight": "model.layers.{}.input_layernorm.weight",
    "q.weight": "model.layers.{}.self_attn.q_proj.weight",
    "q.bias": "model.layers.{}.self_attn.q_proj.bias",
    "k.weight": "model.layers.{}.self_attn.k_proj.weight",
    "k.bias": "model.layers.{}.self_attn.k_proj.bias",
    "v.weight": "model.layers.{}.self_attn.v_proj.weight",
    "v.bias": "model.layers.{}.self_attn.v_proj.bias",
    "o.weight": "model.layers.{}.self_attn.o_proj.weight",
    "mlp_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "up.weight": "model.layers.{}.mlp.up_proj.weight",
    "down.weight": "model.layers.{}.mlp.down_proj.weight",
}


def read(config: Config, generation: Config) -> Architecture:
    """Read a ``config.json`` whose ``model_type`` is ``qwen2``."""
    refuse_sliding_window(config)
    features = Features(attention_bias=True, output_bias=False, mlp_bias=False, qk_norm=False)
    spec = decoder_spec(config, generation, "qwen2", features)
    return Architecture(spec, tensor_names(spec, _MODEL, _LAYER))
