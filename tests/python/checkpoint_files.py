"""Small checkpoints written to disk for tests, independent of the reader under test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

TINY: dict[str, Any] = {
    "model_type": "qwen2",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 12,
    "intermediate_size": 20,
    "max_position_embeddings": 64,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000,
    "tie_word_embeddings": False,
    "vocab_size": 40,
}
ITEM_SIZE = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8, "F8_E4M3": 1}

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]  # name -> (dtype, shape, bytes)


def tiny_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape as transformers' Qwen2 has them."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    head_dim = config.get("head_dim") or hidden // config["num_attention_heads"]
    q_size = config["num_attention_heads"] * head_dim
    kv_size = config["num_key_value_heads"] * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden)
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        shapes |= {
            f"{layer}input_layernorm.weight": (hidden,),
            f"{layer}self_attn.q_proj.weight": (q_size, hidden),
            f"{layer}self_attn.q_proj.bias": (q_size,),
            f"{layer}self_attn.k_proj.weight": (kv_size, hidden),
            f"{layer}self_attn.k_proj.bias": (kv_size,),
            f"{layer}self_attn.v_proj.weight": (kv_size, hidden),
            f"{layer}self_attn.v_proj.bias": (kv_size,),
            f"{layer}self_attn.o_proj.weight": (hidden, q_size),
            f"{layer}post_attention_layernorm.weight": (hidden,),
            f"{layer}mlp.gate_proj.weight": (ffn, hidden),
            f"{layer}mlp.up_proj.weight": (ffn, hidden),
            f"{layer}mlp.down_proj.weight": (hidden, ffn),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def random_tensors(
    shapes: dict[str, tuple[int, ...]], dtype: str = "BF16", seed: int = 0
) -> Tensors:
    """Fill the shapes with random finite numbers."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        if dtype == "BF16":
            data = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:
            data = values.astype({"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype])
            data = data.tobytes()
        tensors[name] = (dtype, shape, data)
    return tensors


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write one file by the format's description."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, data in tensors.values():
            file.write(data)


def write_checkpoint(
    directory: Path,
    config: dict[str, Any] = TINY,
    tensors: Tensors | None = None,
    shards: list[list[str]] | None = None,
) -> Tensors:
    """Write config.json and weights; ``shards`` lists the tensor names of each shard."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    tensors = random_tensors(tiny_shapes(config)) if tensors is None else tensors
    if shards is None:
        write_safetensors(directory / "model.safetensors", tensors)
        return tensors
    weight_map = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(directory / file, {name: tensors[name] for name in names})
        weight_map |= dict.fromkeys(names, file)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map})
    )
    return tensors
