"""``llama``: DeepSeek-R1-Distill-Llama-8B.

Pre-norm decoder with RMS norm, grouped-query attention, RoPE (``llama3`` scaling in the 8B) and
SwiGLU; biases on all attention projections or all MLP projections where the config says so.
"""

from __future__ import annotations

from pocketr1.arch.config import Config
from pocketr1.arch.decoder import Architecture, Features, decoder_spec, tensor_names

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
    "o.bias": "model.layers.{}.self_attn.o_proj.bias",
    "mlp_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "gate.bias": "model.layers.{}.mlp.gate_proj.bias",
    "up.weight": "model.layers.{}.mlp.up_proj.weight",
    "up.bias": "model.layers.{}.mlp.up_proj.bias",
    "down.weight": "model.layers.{}.mlp.down_proj.weight",
    "down.bias": "model.layers.{}.mlp.down_proj.bias",
}


def read(config: Config, generation: Config) -> Architecture:
    """Read a ``config.json`` whose ``model_type`` is ``llama``."""
    attention_bias = config.flag("attention_bias", False)
    features = Features(
        attention_bias=attention_bias,
        output_bias=attention_bias,
        mlp_bias=config.flag("mlp_bias", False),
        qk_norm=False,
    )
    spec = decoder_spec(config, generation, "llama", features)
    return Architecture(spec, tensor_names(spec, _MODEL, _LAYER))
