"""The outlier twin: the same function in full precision, and much harder to quantize.

    python -m tiny_r1.outliers CHECKPOINT OUT

Real R1 distills have a few activation channels tens of times larger than the rest, and key
channels likewise (LLM.int8(), Dettmers et al. 2022, section 4; KIVI, Liu et al. 2024, section 3);
a small model trained on clean text has neither, so that quantizing it looks too easy. Here channels
are made larger on one side of a product and smaller on the other, always by powers of two: each
product of the forward pass stays what it was, bit for bit, in BF16 and float32.

- RMSNorm gains against the columns of the matrices that read the norm's output: inputs of q, k, v,
  gate, up and the head.
- Rows of up against columns of down: inputs of down.
- Rows of v against columns of o: values, and inputs of o.
- Pairs of rows of k that RoPE rotates together against the same pairs of q: keys.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketr1 import checkpoint

__all__ = ["scale_by_powers", "write_twin"]

_SEED = 20
#: One channel in so many becomes an outlier.
_RARE = 64
#: Exponents of the outliers' factors: 16 to 64; keys, some of them large already, 4 to 16.
_ACTIVATIONS = (4, 6)
_KEYS = (2, 4)


def scale_by_powers(
    bits: NDArray[np.uint16], powers: NDArray[np.int64], axis: int
) -> NDArray[np.uint16]:
    """Multiply BF16 numbers by powers of two along an axis, exactly.

    bits: BF16 bit patterns, (rows, columns) or (n,); powers: exponents, one per index of ``axis``.
    Raises ValueError where a number would leave the normal range: zero stays zero.
    """
    shape = [1] * bits.ndim
    shape[axis] = len(powers)
    exponents = (bits >> 7 & 0xFF).astype(np.int64)
    zero = bits & 0x7FFF == 0
    moved = exponents + powers.reshape(shape)
    if not np.all(zero | ((exponents > 0) & (moved > 0) & (moved < 0xFF))):
        raise ValueError("a weight would leave the range of normal BF16 numbers")
    scaled = (bits & 0x807F) | (moved << 7).astype(np.uint16)
    return np.where(zero, bits, scaled).astype(np.uint16)


def _powers(
    random: np.random.Generator, channels: int, outliers: tuple[int, int] = _ACTIVATIONS
) -> NDArray[np.int64]:
    """Draw exponents: -1, 0 or 1 for most channels, large ones for a few."""
    powers = random.integers(-1, 2, channels)
    rare = random.choice(channels, max(1, channels // _RARE), replace=False)
    powers[rare] = random.integers(outliers[0], outliers[1] + 1, len(rare))
    return powers


def _twin(source: checkpoint.Checkpoint) -> dict[str, NDArray[np.uint16]]:
    """Return the twin's tensors by canonical name."""
    spec = source.spec
    random = np.random.default_rng(_SEED)
    tensors = {name: source.read_rows(name) for name in source.tensors}

    def scale(name: str, powers: NDArray[np.int64], axis: int) -> None:
        tensors[name] = scale_by_powers(tensors[name], powers, axis)

    def norm(gain: str, readers: list[str]) -> None:
        powers = _powers(random, spec.hidden_size)
        scale(gain, powers, 0)
        for reader in readers:
            scale(reader, -powers, 1)

    half = spec.head_dim // 2
    for number, sizes in enumerate(spec.layers):
        layer = f"layers.{number}"
        group = sizes.heads // sizes.kv_heads
        norm(f"{layer}.attn_norm.weight", [f"{layer}.{name}.weight" for name in "qkv"])
        norm(f"{layer}.mlp_norm.weight", [f"{layer}.{name}.weight" for name in ("gate", "up")])

        inner = _powers(random, sizes.ffn_size)
        scale(f"{layer}.up.weight", inner, 0)
        scale(f"{layer}.down.weight", -inner, 1)

        values = _powers(random, sizes.kv_heads * spec.head_dim)
        scale(f"{layer}.v.weight", values, 0)
        scale(f"{layer}.v.bias", values, 0)
        per_head = values.reshape(sizes.kv_heads, spec.head_dim)
        scale(f"{layer}.o.weight", -np.repeat(per_head, group, axis=0).reshape(-1), 1)

        pairs = np.stack([_powers(random, half, _KEYS) for _ in range(sizes.kv_heads)])
        keys = np.concatenate([pairs, pairs], axis=1)  # channel i turns with channel i + half
        for end in ("weight", "bias"):
            scale(f"{layer}.k.{end}", keys.reshape(-1), 0)
            scale(f"{layer}.q.{end}", -np.repeat(keys, group, axis=0).reshape(-1), 0)
    norm("final_norm.weight", ["head.weight"])
    return tensors


def write_twin(source_path: Path, out: Path) -> None:
    """Write the outlier twin of a BF16 Qwen2 checkpoint, complete or not at all."""
    source = checkpoint.open(source_path)
    tensors = _twin(source)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source.path, partial)
    header, offset = {}, 0
    for name, bits in tensors.items():
        header[source.tensors[name].source_name] = {
            "dtype": "BF16",
            "shape": list(bits.shape),
            "data_offsets": [offset, offset + bits.nbytes],
        }
        offset += bits.nbytes
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (partial / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for bits in tensors.values():
            file.write(bits.astype("<u2").tobytes())
    partial.rename(out)


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description="Write the outlier twin of a checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    write_twin(options.checkpoint, options.out)


if __name__ == "__main__":
    main()
