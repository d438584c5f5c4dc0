"""GGUF files written for tests by the format's description, independent of the code under test."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
LETTERS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?"}
LETTERS |= {U64: "Q", I64: "q", F64: "d"}

Entry = tuple[str, int, Any]  # key, type, value; of an array, (type, values)
Tensors = dict[str, tuple[int, tuple[int, ...], bytes]]  # name -> type, shape (rows, columns), data


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def value(kind: int, item: Any) -> bytes:
    if kind == STRING:
        return string(item)
    if kind == ARRAY:
        element, items = item
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack("<" + LETTERS[kind], item)


def entry(key: str | bytes, kind: int, item: Any) -> bytes:
    return string(key) + struct.pack("<I", kind) + value(kind, item)


def tensor_info(name: str | bytes, dims: list[int], kind: int, offset: int) -> bytes:
    """``dims`` innermost first, as the file has them."""
    sizes = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return string(name) + sizes + struct.pack("<IQ", kind, offset)


def head(tensors: int, entries: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


def padded(data: bytes, alignment: int = 32) -> bytes:
    return data + bytes(-len(data) % alignment)


def write_gguf(path: Path, entries: list[Entry], tensors: Tensors, version: int = 3) -> None:
    infos, data = b"", b""
    for name, (kind, shape, content) in tensors.items():
        infos += tensor_info(name, list(reversed(shape)), kind, len(data))
        data += padded(content)
    metadata = b"".join(entry(*each) for each in entries)
    header = head(len(tensors), len(entries), version) + metadata + infos
    path.write_bytes(padded(header) + data)


def to_bf16(values: np.ndarray[Any, Any]) -> bytes:
    return (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def swapped(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of q or k as llama.cpp's converter writes a Llama's."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def read_safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor as float32."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    found = {}
    for name, row in header.items():
        if name == "__metadata__":
            continue
        begin, end = row["data_offsets"]
        data = raw[8 + size + begin : 8 + size + end]
        if row["dtype"] == "BF16":
            wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            array = wide.view(np.float32)
        else:
            array = np.frombuffer(data, {"F16": "<f2", "F32": "<f4"}[row["dtype"]])
        found[name] = array.astype(np.float32).reshape(row["shape"])
    return found


def model_entries(config: dict[str, Any]) -> list[Entry]:
    """The metadata of a Hugging Face config, without a tokenizer."""
    kind = config["model_type"]
    entries: list[Entry] = [
        ("general.architecture", STRING, kind),
        ("general.name", STRING, "a model of a test"),
        (f"{kind}.context_length", U32, config["max_position_embeddings"]),
        (f"{kind}.embedding_length", U32, config["hidden_size"]),
        (f"{kind}.block_count", U32, config["num_hidden_layers"]),
        (f"{kind}.feed_forward_length", U32, config["intermediate_size"]),
        (f"{kind}.attention.head_count", U32, config["num_attention_heads"]),
        (f"{kind}.attention.head_count_kv", U32, config["num_key_value_heads"]),
        (f"{kind}.attention.layer_norm_rms_epsilon", F32, config["rms_norm_eps"]),
        (f"{kind}.rope.freq_base", F32, config["rope_theta"]),
    ]
    if "head_dim" in config:
        entries += [(f"{kind}.attention.key_length", U32, config["head_dim"])]
        entries += [(f"{kind}.attention.value_length", U32, config["head_dim"])]
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "yarn":
        entries += [
            (f"{kind}.rope.scaling.type", STRING, "yarn"),
            (f"{kind}.rope.scaling.factor", F32, scaling["factor"]),
            (
                f"{kind}.rope.scaling.original_context_length",
                U32,
                scaling["original_max_position_embeddings"],
            ),
        ]
        if "attn_factor" in scaling:
            entries.append((f"{kind}.rope.scaling.yarn_attn_factor", F32, scaling["attn_factor"]))
    return entries


def rope_factors(config: dict[str, Any]) -> np.ndarray[Any, Any]:
    """What llama.cpp's converter writes for Llama 3's scaling, float32 (head_dim / 2,)."""
    scaling = config["rope_scaling"]
    low = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
    high = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
    factors = []
    for i in range(0, config["head_dim"], 2):
        wave = 2 * np.pi * config["rope_theta"] ** (i / config["head_dim"])
        if wave < high:
            factors.append(1.0)
        elif wave > low:
            factors.append(scaling["factor"])
        else:
            share = (scaling["original_max_position_embeddings"] / wave) - scaling[
                "low_freq_factor"
            ]
            smooth = share / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, "<f4")


def convert(directory: Path, out: Path) -> dict[str, Any]:
    """Write a checkpoint of tests/golden/models as GGUF: matrices in BF16, vectors in F32."""
    config = json.loads((directory / "config.json").read_text())
    tensors: Tensors = {}
    for name, array in read_safetensors(directory / "model.safetensors").items():
        there = gguf_name(name)
        if config["model_type"] == "llama" and "attn_q." in there:
            array = swapped(array, config["num_attention_heads"])
        if config["model_type"] == "llama" and "attn_k." in there:
            array = swapped(array, config["num_key_value_heads"])
        if array.ndim == 1:
            tensors[there] = (0, array.shape, array.astype("<f4").tobytes())
        else:
            tensors[there] = (30, array.shape, to_bf16(array))
    if (config.get("rope_scaling") or {}).get("rope_type") == "llama3":
        factors = rope_factors(config)
        tensors["rope_freqs.weight"] = (0, factors.shape, factors.tobytes())
    write_gguf(out, model_entries(config), tensors)
    return config


def tokenizer_entries(tree: dict[str, Any], vocabulary: int, pre: str) -> list[Entry]:
    """What llama.cpp's converter writes of a tokenizer.json (byte-level BPE)."""
    texts = {id_: text for text, id_ in tree["model"]["vocab"].items()}
    kinds = dict.fromkeys(texts, 1)
    for token in tree["added_tokens"]:
        texts[token["id"]] = token["content"]
        looks = token["content"].startswith(("<|", "<｜")) and token["content"].endswith("｜>")
        kinds[token["id"]] = 3 if token["special"] or looks else 4
    pairs = [m if isinstance(m, str) else " ".join(m) for m in tree["model"]["merges"]]
    names = [texts.get(i, f"[PAD{i}]") for i in range(vocabulary)]
    return [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, pre),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, names)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [kinds.get(i, 5) for i in range(vocabulary)])),
        ("tokenizer.ggml.merges", ARRAY, (STRING, pairs)),
    ]


def q8_0(rows: np.ndarray) -> bytes:
    """Quantize as ggml's reference does: one f16 scale for 32 signed codes."""
    blocks = rows.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, where=scale > 0, out=np.zeros_like(scale))
    codes = np.round(blocks * inverse).astype(np.int8)
    halves = scale.astype("<f2").view(np.uint8)
    return np.concatenate([halves, codes.view(np.uint8)], axis=1).tobytes()


def q4_1(rows: np.ndarray) -> bytes:
    blocks = rows.astype(np.float32).reshape(-1, 32)
    low, high = blocks.min(axis=1, keepdims=True), blocks.max(axis=1, keepdims=True)
    scale = ((high - low) / 15).astype("<f2")
    codes = np.clip(np.round((blocks - low) / scale.astype(np.float32)), 0, 15).astype(np.uint8)
    nibbles = codes[:, :16] | codes[:, 16:] << 4
    ends = [scale.view(np.uint8), low.astype("<f2").view(np.uint8)]
    return np.concatenate([*ends, nibbles], axis=1).tobytes()


def write_tiny(path: Path, weights: dict[str, np.ndarray], last: str = "Q8_0") -> Path:
    """Tiny R1 as Q8_0 with its tokenizer; the head in another type."""
    config = json.loads((TINY / "config.json").read_text())
    settings = json.loads((TINY / "tokenizer_config.json").read_text("utf-8"))
    tree = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    entries = [
        *model_entries(config),
        *tokenizer_entries(tree, config["vocab_size"], "deepseek-r1-qwen"),
        ("tokenizer.ggml.bos_token_id", U32, config["bos_token_id"]),
        ("tokenizer.ggml.eos_token_id", U32, config["eos_token_id"]),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.chat_template", STRING, settings["chat_template"]),
    ]
    tensors: Tensors = {}
    for name, array in weights.items():
        if array.ndim == 1:
            tensors[name] = (0, array.shape, array.astype("<f4").tobytes())
        elif name == "output.weight" and last == "Q4_1":
            tensors[name] = (3, array.shape, q4_1(array))
        else:
            tensors[name] = (8, array.shape, q8_0(array))
    write_gguf(path, entries, tensors)
    return path
