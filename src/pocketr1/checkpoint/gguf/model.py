"""What model a GGUF file holds: metadata -> ModelSpec, and which tensor is which.

Keys and tensor names are those of ggml's ``docs/gguf.md`` and of llama.cpp's converter; what they
mean is what llama.cpp makes of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pocketr1 import arch
from pocketr1.arch import ModelSpec, RopeSpec, expected_tensors
from pocketr1.checkpoint.gguf.blocks import READ, TENSOR_TYPES, type_name
from pocketr1.checkpoint.gguf.container import GgufFile, GgufTensor, shown
from pocketr1.checkpoint.gguf.metadata import Metadata
from pocketr1.checkpoint.gguf.weights import GgufDecoder, needs_decoder
from pocketr1.checkpoint.stored import read_into
from pocketr1.checkpoint.tensors import TensorInfo
from pocketr1.errors import CheckpointError

__all__ = ["GgufModel", "read_model", "source_names"]

_MODEL = {
    "embed.weight": "token_embd.weight",
    "final_norm.weight": "output_norm.weight",
    "head.weight": "output.weight",
}
_LAYER = {
    "attn_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
    "o": "attn_output",
    "mlp_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
_LARGEST_HEAD = 65_536
#: Factors that divide the rotary frequencies: how the converter writes the scaling of Llama 3.
ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class GgufModel:
    """The checked contents of a file."""

    spec: ModelSpec
    tensors: dict[str, TensorInfo]  # canonical name -> place, in decode order
    ignored: tuple[str, ...]  # tensors in the file that are no weights of the model


def source_names(spec: ModelSpec) -> dict[str, str]:
    """Return what GGUF calls each tensor: canonical name -> name in the file, in decode order."""
    names = {}
    for name in expected_tensors(spec):
        if name in _MODEL:
            names[name] = _MODEL[name]
        else:
            _, layer, part, kind = name.split(".")
            names[name] = f"blk.{layer}.{_LAYER[part]}.{kind}"
    return names


def read_model(file: GgufFile) -> GgufModel:
    """Describe the model, and check every tensor it needs.

    Raises:
        CheckpointError: ``checkpoint-gguf-key`` (a key is missing or wrong), ``-split``, ``-type``,
            ``checkpoint-architecture``, ``-config-unsupported``, ``-tensor-missing``, ``-unknown``
            or ``-shape``.
    """
    metadata = Metadata(file)
    parts = metadata.number("split.count", 1)
    if parts > 1:
        raise CheckpointError("checkpoint-gguf-split", where=str(file.path), count=parts)
    spec = _spec(metadata)
    names = source_names(spec)
    sources = set(names.values())
    ignored = []
    for name in file.tensors:
        if name not in sources and name != ROPE_FACTORS:
            raise CheckpointError(
                "checkpoint-tensor-unknown",
                where=str(file.path),
                tensor=shown(name),
                architecture=spec.architecture,
            )
        if name not in sources:
            ignored.append(name)
    lacking = [source for source in names.values() if source not in file.tensors]
    if lacking:
        raise CheckpointError(
            "checkpoint-tensor-missing",
            where=str(file.path),
            tensor=lacking[0],
            count=len(lacking),
        )
    shapes = expected_tensors(spec)
    tensors = {
        name: _info(file, spec, name, file.tensors[source], shapes[name])
        for name, source in names.items()
    }
    return GgufModel(spec, tensors, tuple(ignored))


def _spec(metadata: Metadata) -> ModelSpec:
    file = metadata.file
    architecture = metadata.text("general.architecture")
    if architecture not in arch.SUPPORTED:
        raise CheckpointError(
            "checkpoint-architecture",
            where=str(file.path),
            value=shown(architecture),
            supported=", ".join(arch.SUPPORTED),
        )

    def key(name: str) -> str:
        return f"{architecture}.{name}"

    if metadata.number(key("expert_count"), 0):
        raise CheckpointError(
            "checkpoint-experts",
            where=str(file.path),
            key=key("expert_count"),
            value=str(metadata.number(key("expert_count"))),
        )
    embedding = file.tensors.get(_MODEL["embed.weight"])
    if embedding is None or len(embedding.shape) != 2:
        raise CheckpointError(
            "checkpoint-tensor-missing",
            where=str(file.path),
            tensor=_MODEL["embed.weight"],
            count=1,
        )
    vocabulary = embedding.shape[0]
    hidden = metadata.size(key("embedding_length"))
    heads, kv_heads, head_dim = _heads(metadata, key("attention."), hidden)
    for name in ("attention.value_length", "rope.dimension_count"):
        if metadata.size(key(name), head_dim) != head_dim:
            raise metadata.invalid(key(name), f"is not {head_dim}, as the heads' keys are")
    layers = metadata.size(key("block_count"))
    if layers > len(file.tensors):
        reason = f"is {layers}, more than the file's {len(file.tensors)} tensors"
        raise metadata.invalid(key("block_count"), reason)
    eps = metadata.number(key("attention.layer_norm_rms_epsilon"))
    if eps <= 0:
        raise metadata.invalid(key("attention.layer_norm_rms_epsilon"), "is not greater than 0")
    positions = metadata.size(key("context_length"))
    config = {
        "model_type": architecture,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": metadata.size(key("feed_forward_length")),
        "max_position_embeddings": positions,
        "rms_norm_eps": eps,
        "vocab_size": vocabulary,
        "tie_word_embeddings": _MODEL["head.weight"] not in file.tensors,
        "attention_bias": "blk.0.attn_q.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_gate.bias" in file.tensors,
        **_rope(metadata, key("rope."), positions),
        **_tokens(metadata, vocabulary),
    }
    spec = arch.from_config(config, file.path).spec
    return replace(spec, rope=_with_factors(file, spec))


def _heads(metadata: Metadata, prefix: str, hidden: int) -> tuple[int, int, int]:
    """Return heads, K/V heads and their size."""
    heads = metadata.size(prefix + "head_count")
    kv_heads = metadata.size(prefix + "head_count_kv", heads)
    if heads % kv_heads:
        raise metadata.invalid(prefix + "head_count_kv", f"is {kv_heads}, no divisor of {heads}")
    if prefix + "key_length" in metadata:
        head_dim = metadata.size(prefix + "key_length")
        if head_dim % 2 or head_dim > _LARGEST_HEAD:
            raise metadata.invalid(prefix + "key_length", f"is {head_dim}, not an even size")
        return heads, kv_heads, head_dim
    if hidden % (2 * heads):
        raise metadata.invalid(prefix + "head_count", f"is {heads}, which cannot share {hidden}")
    return heads, kv_heads, hidden // heads


def _rope(metadata: Metadata, prefix: str, positions: int) -> dict[str, Any]:
    """Return rotary embedding as ``config.json`` would have it."""
    theta = metadata.number(prefix + "freq_base", 10000.0)
    if theta <= 1:
        raise metadata.invalid(prefix + "freq_base", f"is {theta!r}, not greater than 1")
    values: dict[str, Any] = {"rope_theta": theta}
    kind_key = prefix + "scaling.type"
    kind = metadata.text(kind_key, "none")
    # Without a type, a factor is that of linear scaling.
    factor = metadata.number(
        prefix + "scaling.factor", metadata.number(prefix + "scale_linear", 1.0)
    )
    if kind == "yarn":
        if factor <= 0:
            raise metadata.invalid(prefix + "scaling.factor", f"is {factor!r}, not greater than 0")
        # The converter also writes yarn_attn_factor, of whatever R1-0528-Qwen3-8B's config calls
        # attn_factor; for these architectures llama.cpp does not read it, nor does transformers.
        attention = metadata.number(prefix + "scaling.attn_factor", 1.0)
        recommended = 1.0 + 0.1 * math.log(factor) if factor > 1 else 1.0
        values["rope_scaling"] = {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": metadata.size(
                prefix + "scaling.original_context_length", positions
            ),
            "attention_factor": attention * recommended,
            "beta_fast": metadata.number(prefix + "scaling.yarn_beta_fast", 32.0),
            "beta_slow": metadata.number(prefix + "scaling.yarn_beta_slow", 1.0),
        }
    elif kind not in ("none", "linear") or factor not in (0.0, 1.0):
        raise CheckpointError(
            "checkpoint-config-unsupported",
            where=str(metadata.file.path),
            key=kind_key,
            value=shown(f"{kind}, factor {factor:g}"),
            supported="none, yarn",
        )
    return values


def _tokens(metadata: Metadata, vocabulary: int) -> dict[str, Any]:
    """Return beginning and ends as ``config.json`` would have them; a turn's end is one too."""
    ends = []
    for name in ("eos", "eot", "eom"):
        token = metadata.token(f"tokenizer.ggml.{name}_token_id", vocabulary)
        if token is not None and token not in ends:
            ends.append(token)
    texts = "tokenizer.ggml.tokens"
    if texts in metadata and len(metadata.strings(texts)) > vocabulary:
        count = len(metadata.strings(texts))
        raise metadata.invalid(texts, f"holds {count} tokens for {vocabulary} rows of embeddings")
    bos = metadata.token("tokenizer.ggml.bos_token_id", vocabulary)
    return {"bos_token_id": bos, "eos_token_id": ends or None}


def _with_factors(file: GgufFile, spec: ModelSpec) -> RopeSpec:
    """Divide the frequencies by the file's factors, where it has some."""
    tensor = file.tensors.get(ROPE_FACTORS)
    if tensor is None:
        return spec.rope
    half = spec.head_dim // 2
    if TENSOR_TYPES.get(tensor.type) is not READ[0] or tensor.shape != (half,):
        raise CheckpointError(
            "checkpoint-tensor-shape",
            where=str(file.path),
            tensor=ROPE_FACTORS,
            actual=f"{list(tensor.shape)} ({type_name(tensor.type)})",
            expected=f"[{half}] (F32)",
        )
    factors = np.empty(half, "<f4")
    read_into(file.path, tensor.offset, factors, ROPE_FACTORS)
    if not np.isfinite(factors).all() or (factors <= 0).any():
        raise Metadata(file).invalid(ROPE_FACTORS, "holds factors that are not finite or positive")
    scaled = np.array(spec.rope.inv_freq, np.float32) / factors
    return RopeSpec(tuple(float(value) for value in scaled), spec.rope.attention_scaling)


def _info(
    file: GgufFile, spec: ModelSpec, name: str, tensor: GgufTensor, shape: tuple[int, ...]
) -> TensorInfo:
    if tensor.shape != shape:
        raise CheckpointError(
            "checkpoint-tensor-shape",
            where=str(file.path),
            tensor=tensor.name,
            actual=list(tensor.shape),
            expected=list(shape),
        )
    row = TENSOR_TYPES.get(tensor.type)
    if row is None or (len(shape) == 1 and row.decode is not None):
        known = [r.name for r in READ if len(shape) == 2 or r.decode is None]
        raise CheckpointError(
            "checkpoint-gguf-type",
            where=str(file.path),
            tensor=tensor.name,
            type=type_name(tensor.type),
            known=", ".join(known),
        )
    part = name.split(".")[-2]
    head_dim = spec.head_dim if spec.architecture == "llama" and part in ("q", "k") else None
    encoded = needs_decoder(tensor, head_dim)
    assert tensor.nbytes is not None
    return TensorInfo(
        name=name,
        source_name=tensor.name,
        dtype=row.dtype,
        shape=shape,
        file=file.path,
        offset=tensor.offset,
        nbytes=tensor.nbytes,
        decoder=GgufDecoder(file.path, tensor, head_dim) if encoded else None,
    )
