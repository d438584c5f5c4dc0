"""What the architectures share: sizes, token ids and the refusal of what no decoder here runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pocketr1.arch.config import Config
from pocketr1.arch.rope import rope_spec
from pocketr1.arch.spec import LayerSpec, ModelSpec, expected_tensors

__all__ = ["Architecture", "Features", "decoder_spec", "refuse_sliding_window", "tensor_names"]


@dataclass(frozen=True)
class Architecture:
    """A model's spec, and where its checkpoint keeps each tensor."""

    spec: ModelSpec
    tensor_names: dict[str, str]  # canonical name -> name in the checkpoint


@dataclass(frozen=True)
class Features:
    """What tells one architecture from another."""

    attention_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool
    default_head_dim: int | None = None  # None: hidden_size / heads


def decoder_spec(
    config: Config, generation: Config, architecture: str, features: Features
) -> ModelSpec:
    """Read the keys every decoder has.

    ``generation`` is ``generation_config.json`` (empty where there is none); its token ids go
    before those of ``config.json``, as in transformers' ``generate``.

    Raises:
        CheckpointError: ``checkpoint-config-invalid`` or ``-unsupported``, naming the key.
    """
    activation = config.get("hidden_act")
    if activation not in (None, "silu", "swish"):
        raise config.unsupported("hidden_act", activation, "silu")
    hidden = config.size("hidden_size")
    heads = config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", heads)
    if heads % kv_heads:
        raise config.invalid("num_key_value_heads", f"is {kv_heads}, no divisor of {heads} heads")
    head_dim = _head_dim(config, hidden, heads, features.default_head_dim)
    max_positions = config.size("max_position_embeddings")
    eps = config.number("rms_norm_eps", 1e-6)
    if eps <= 0:
        raise config.invalid("rms_norm_eps", f"is {eps!r}, not greater than 0")
    layer = LayerSpec(heads, kv_heads, config.size("intermediate_size"))
    bos = generation.token("bos_token_id")
    return ModelSpec(
        architecture=architecture,
        hidden_size=hidden,
        vocab_size=config.size("vocab_size"),
        head_dim=head_dim,
        rms_norm_eps=float(eps),
        max_positions=max_positions,
        tied_embeddings=config.flag("tie_word_embeddings", False),
        attention_bias=features.attention_bias,
        output_bias=features.output_bias,
        mlp_bias=features.mlp_bias,
        qk_norm=features.qk_norm,
        rope=rope_spec(config, head_dim, max_positions),
        layers=(layer,) * config.size("num_hidden_layers", maximum=65_536),
        bos_token_id=config.token("bos_token_id") if bos is None else bos,
        eos_token_ids=generation.tokens("eos_token_id") or config.tokens("eos_token_id"),
    )


def tensor_names(
    spec: ModelSpec, model: Mapping[str, str], layer: Mapping[str, str]
) -> dict[str, str]:
    """Spell out every tensor of ``spec``: canonical name -> checkpoint name.

    ``layer`` gives the names within a layer; ``{}`` in its values stands for the layer's index.
    """
    names = {}
    for canonical in expected_tensors(spec):
        if canonical.startswith("layers."):
            _, index, rest = canonical.split(".", 2)
            names[canonical] = layer[rest].replace("{}", index)
        else:
            names[canonical] = model[canonical]
    return names


def refuse_sliding_window(config: Config) -> None:
    """Refuse Qwen's sliding window where it takes effect on a layer.

    It does where ``use_sliding_window`` is true, ``sliding_window`` is not null and the model has
    more than ``max_window_layers`` layers. The R1 distillations write ``"sliding_window": 4096``
    and switch it off.

    Raises:
        CheckpointError: ``checkpoint-config-unsupported``.
    """
    if not config.flag("use_sliding_window", False):
        return
    switched_off = "sliding_window" in config.values and config.get("sliding_window") is None
    if not switched_off and config.size("num_hidden_layers") > config.size("max_window_layers", 28):
        raise config.unsupported("use_sliding_window", "true", "false")


def _head_dim(config: Config, hidden: int, heads: int, default: int | None) -> int:
    if config.get("head_dim") is None and default is None:
        if hidden % heads:
            raise config.invalid("hidden_size", f"is {hidden}, no multiple of {heads} heads")
        head_dim = hidden // heads
    else:
        head_dim = config.size("head_dim", default, maximum=65_536)
    if head_dim % 2:
        raise config.unsupported("head_dim", head_dim, "even numbers (RoPE turns pairs)")
    return head_dim
