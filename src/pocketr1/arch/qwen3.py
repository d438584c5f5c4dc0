"""``qwen3``: DeepSeek-R1-0528-Qwen3-8B.

Pre-norm decoder with RMS norm, grouped-query attention whose queries and keys are RMS-normed per
head before RoPE (YaRN in the R1 model), and SwiGLU.
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
    "q_norm.weight": "model.layers.{}.self_attn.q_norm.weight",
    "k_norm.weight": "model.layers.{}.self_attn.k_norm.weight",
    "o.weight": "model.layers.{}.self_attn.o_proj.weight",
    "o.bias": "model.layers.{}.self_attn.o_proj.bias",
    "mlp_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "up.weight": "model.layers.{}.mlp.up_proj.weight",
    "down.weight": "model.layers.{}.mlp.down_proj.weight",
}


def read(config: Config, generation: Config) -> Architecture:
    """Read a ``config.json`` whose ``model_type`` is ``qwen3``.

    A ``head_dim`` that is not given is 128, whatever ``hidden_size``, as in transformers.
    """
    refuse_sliding_window(config)
    attention_bias = config.flag("attention_bias", False)
    features = Features(
        attention_bias=attention_bias,
        output_bias=attention_bias,
        mlp_bias=False,
        qk_norm=True,
        default_head_dim=128,
    )
    spec = decoder_spec(config, generation, "qwen3", features)
    return Architecture(spec, tensor_names(spec, _MODEL, _LAYER))
