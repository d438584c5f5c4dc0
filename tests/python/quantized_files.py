"""Checkpoints in others' encodings, written for tests from the published layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from checkpoint_files import Tensors, write_safetensors
from gguf_files import read_safetensors

__all__ = ["e4m3_values", "pack_gptq", "write_fp8", "write_gptq"]


def e4m3_values() -> np.ndarray:
    """The 127 finite values above and at zero of FP8 E4M3, by code (OCP FP8, section 5.1)."""
    code = np.arange(127)
    exponent, mantissa = code >> 3, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal).astype(np.float32)


def write_fp8(source: Path, out: Path) -> dict[str, np.ndarray]:
    """Write a checkpoint's linear layers as DeepSeek does: E4M3 in blocks of 128 by 128.

    Returns the weights that the codes stand for, by stored name.
    """
    values = e4m3_values()
    middles = (values[1:] + values[:-1]) / 2
    tensors: Tensors = {}
    meant = {}
    for name, weights in _linear(source, out, tensors):
        blocks = [-(-size // 128) for size in weights.shape]
        scales = np.zeros(blocks, np.float32)
        for row, column in np.ndindex(*blocks):
            block = weights[128 * row :, 128 * column :][:128, :128]
            scales[row, column] = np.abs(block).max() / 448
        wide = scales.repeat(128, 0).repeat(128, 1)[: weights.shape[0], : weights.shape[1]]
        codes = np.searchsorted(middles, np.abs(weights) / wide).astype(np.uint8)
        meant[name] = np.copysign(values[codes], weights) * wide
        codes |= np.where(np.signbit(weights), 0x80, 0).astype(np.uint8)
        tensors[name] = ("F8_E4M3", weights.shape, codes.tobytes())
        tensors[f"{name}_scale_inv"] = ("F32", scales.shape, scales.tobytes())
    _finish(source, out, tensors, {"quant_method": "fp8", "weight_block_size": [128, 128]})
    return meant


def pack_gptq(codes: np.ndarray, bits: int) -> np.ndarray:
    """Pack codes down the columns into int32 words, as AutoGPTQ's ``QuantLinear.pack`` does.

    codes: (inputs, outputs). 32 codes of three bits fill three words: ten and two bits of the
    eleventh, its last bit, ten and one bit of the next, its last two, and ten.
    """
    wide = codes.astype(np.uint64)
    if bits != 3:
        each = 32 // bits
        words = [
            sum((wide[row + place] << np.uint64(bits * place)) for place in range(each))
            for row in range(0, len(wide), each)
        ]
        return np.array(words, np.uint64).astype(np.uint32).view(np.int32)
    words = []
    for row in range(0, len(wide), 32):
        word = np.zeros((3, wide.shape[1]), np.uint64)
        for place in range(32):
            code = wide[row + place]
            if place < 10:
                word[0] |= code << np.uint64(3 * place)
            elif place == 10:
                word[0] |= (code & np.uint64(3)) << np.uint64(30)
                word[1] |= code >> np.uint64(2)
            elif place < 21:
                word[1] |= code << np.uint64(3 * (place - 11) + 1)
            elif place == 21:
                word[1] |= (code & np.uint64(1)) << np.uint64(31)
                word[2] |= code >> np.uint64(1)
            else:
                word[2] |= code << np.uint64(3 * (place - 22) + 2)
        words += list(word)
    return np.array(words, np.uint64).astype(np.uint32).view(np.int32)


def write_gptq(
    source: Path, out: Path, bits: int, group: int = 32, *, symmetric: bool = True
) -> dict[str, np.ndarray]:
    """Write a checkpoint's linear layers as AutoGPTQ does, rounded to nearest.

    Returns the weights that the codes stand for, by stored name.
    """
    most = 2**bits - 1
    tensors: Tensors = {}
    meant = {}
    for name, weights in _linear(source, out, tensors):
        outputs, inputs = weights.shape
        groups = weights.reshape(outputs, inputs // group, group)
        if symmetric:
            scales = 2 * np.abs(groups).max(axis=2) / most
            zeros = np.full(scales.shape, 2 ** (bits - 1))
        else:
            low, high = np.minimum(groups.min(axis=2), 0), np.maximum(groups.max(axis=2), 0)
            scales = (high - low) / most
            zeros = np.clip(np.rint(-low / scales), 1, most).astype(int)
        scales = scales.astype(np.float16).astype(np.float32)
        codes = np.clip(np.rint(groups / scales[..., None]) + zeros[..., None], 0, most)
        steps = (codes - zeros[..., None]).astype(np.float32)
        meant[name] = (steps * scales[..., None]).reshape(weights.shape)
        module = name.removesuffix(".weight")
        parts: dict[str, tuple[str, np.ndarray[Any, Any]]] = {
            "qweight": ("I32", pack_gptq(codes.reshape(outputs, inputs).T.astype(int), bits)),
            # One less than the zero point; packed along the outputs.
            "qzeros": ("I32", pack_gptq((zeros - 1).astype(int), bits).T),
            "scales": ("F16", scales.T.astype(np.float16)),
            "g_idx": ("I32", (np.arange(inputs) // group).astype(np.int32)),
        }
        for part, (dtype, array) in parts.items():
            tensors[f"{module}.{part}"] = (
                dtype,
                array.shape,
                np.ascontiguousarray(array).tobytes(),
            )
    quantization = {"quant_method": "gptq", "bits": bits, "group_size": group}
    options = {"desc_act": False, "sym": symmetric, "checkpoint_format": "gptq"}
    _finish(source, out, tensors, {**quantization, **options})
    return meant


def _linear(source: Path, out: Path, tensors: Tensors) -> list[tuple[str, np.ndarray]]:
    """Put what is no linear layer among the tensors as F32, and return the linear layers."""
    shutil.copytree(source, out)
    found = []
    for name, array in read_safetensors(source / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            found.append((name, array.astype(np.float32)))
        else:
            tensors[name] = ("F32", array.shape, array.astype(np.float32).tobytes())
    return found


def _finish(source: Path, out: Path, tensors: Tensors, quantization: dict[str, Any]) -> None:
    write_safetensors(out / "model.safetensors", tensors)
    config = json.loads((source / "config.json").read_text("utf-8"))
    (out / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}))
