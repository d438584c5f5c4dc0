"""A GGUF file small enough to write by hand: a Llama of one layer with random F32 weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

__all__ = ["write_gguf"]

_U32, _F32, _STRING = 4, 6, 8
_ALIGNMENT = 32


def write_gguf(path: Path, *, vocabulary: int = 2048, hidden: int = 64, ffn: int = 128) -> int:
    """Write version 3 of the format, as ggml's docs/gguf.md has it; return the tensors' bytes."""
    metadata = [
        ("general.architecture", _STRING, "llama"),
        ("llama.vocab_size", _U32, vocabulary),
        ("llama.context_length", _U32, 4096),
        ("llama.embedding_length", _U32, hidden),
        ("llama.block_count", _U32, 1),
        ("llama.feed_forward_length", _U32, ffn),
        ("llama.attention.head_count", _U32, 2),
        ("llama.attention.head_count_kv", _U32, 1),
        ("llama.rope.dimension_count", _U32, hidden // 2),
        ("llama.attention.layer_norm_rms_epsilon", _F32, 1e-6),
        ("tokenizer.ggml.model", _STRING, "none"),
    ]
    layer = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, hidden),
        "attn_k": (hidden // 2, hidden),
        "attn_v": (hidden // 2, hidden),
        "attn_output": (hidden, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (ffn, hidden),
        "ffn_up": (ffn, hidden),
        "ffn_down": (hidden, ffn),
    }
    tensors: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, hidden)}
    tensors |= {f"blk.0.{name}.weight": shape for name, shape in layer.items()}
    tensors |= {"output_norm.weight": (hidden,), "output.weight": (vocabulary, hidden)}
    draw = np.random.default_rng(0)
    values = {
        name: (0.05 * draw.standard_normal(shape)).astype("<f4") for name, shape in tensors.items()
    }
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += _string(key) + struct.pack("<I", kind)
        if isinstance(value, str):
            head += _string(value)
        else:
            head += struct.pack("<f" if kind == _F32 else "<I", value)
    place = 0
    for name, shape in tensors.items():
        # Dimensions stand innermost first; type 0 is F32.
        head += _string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", 0, place)
        place += _padded(values[name].nbytes)
    with path.open("wb") as file:
        file.write(head.ljust(_padded(len(head)), b"\0"))
        for name in tensors:
            data = values[name].tobytes()
            file.write(data.ljust(_padded(len(data)), b"\0"))
    return sum(array.nbytes for array in values.values())


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
