"""Write quantized/: one small model in the encodings people publish, and what others read in it.

    python tests/golden/make_quantized.py   # torch, transformers, compressed-tensors, accelerate

See README.md for what is stored and how the tests use it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.entrypoints.convert.converters.autoawq import AutoAWQConverter
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    CompressedTensorsConfig,
    FineGrainedFP8Config,
)

QUANTIZED = Path(__file__).parent / "quantized"
Tensors = dict[str, torch.Tensor]
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 64,
    "intermediate_size": 256,
    "max_position_embeddings": 256,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "vocab_size": 48,
    "dtype": "bfloat16",
}


def base() -> Tensors:
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CONFIG), dtype=torch.bfloat16)
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name, tensor in tensors.items():
        spread = 0.3 if "norm" in name or name.endswith("bias") else 0.08
        tensor.copy_(spread * torch.randn(tensor.shape) + (1 if "norm" in name else 0))
    return tensors


def linears(tensors: Tensors) -> list[str]:
    return [n.removesuffix(".weight") for n in tensors if n.endswith("_proj.weight")]


def group_scales(weight: torch.Tensor, args: QuantizationArgs) -> Tensors:
    """The least scales that clip nothing, in bf16 as llm-compressor stores them."""
    rows, cols = weight.shape
    size = {"group": args.group_size, "channel": cols, "tensor": cols}[args.strategy]
    groups = weight.float().reshape(rows, -1, size)
    if args.strategy == "tensor":
        groups = groups.reshape(1, 1, -1)
    if args.type == "float":
        scale = groups.abs().amax(-1) / 448
        scale = scale.reshape(-1) if args.strategy == "tensor" else scale
        return {"weight_scale": scale.bfloat16()}
    top = 2**args.num_bits - 1
    if args.symmetric:
        return {"weight_scale": (groups.abs().amax(-1) * 2 / top).bfloat16()}
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    scale = ((high - low) / top).bfloat16()
    zero = (-low / scale.float()).round().clamp(0, top) - 2 ** (args.num_bits - 1)
    return {"weight_scale": scale, "weight_zero_point": zero.to(torch.int8)}


def compressed(layout: str, activations: dict[str, Any] | None = None, **weights: Any) -> Any:
    args = QuantizationArgs(**weights)
    inputs = None if activations is None else QuantizationArgs(**activations)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, input_activations=inputs)

    def make(tensors: Tensors) -> tuple[Tensors, dict[str, Any]]:
        compressor = BaseCompressor.get_value_from_registry(layout)
        for module in linears(tensors):
            weight = tensors.pop(f"{module}.weight")
            parts = {"weight": weight, **group_scales(weight, args)}
            for name, part in compressor.compress(parts, scheme).items():
                tensors[f"{module}.{name}"] = part
            if inputs is not None and not inputs.dynamic:
                tensors[f"{module}.input_scale"] = torch.tensor([0.02], dtype=torch.bfloat16)
        group = json.loads(scheme.model_dump_json())
        return tensors, {
            "quant_method": "compressed-tensors",
            "format": layout,
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": ["lm_head"],
            "kv_cache_scheme": None,
        }

    return make


def fp8_blocks(tensors: Tensors) -> tuple[Tensors, dict[str, Any]]:
    """As DeepSeek publishes: E4M3, a float32 scale for 128 x 128 weights."""
    for module in linears(tensors):
        weight = tensors[f"{module}.weight"].float()
        rows, cols = weight.shape
        blocks = -(-rows // 128), -(-cols // 128)
        scale = torch.empty(blocks)
        codes = torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
        for r in range(blocks[0]):
            for c in range(blocks[1]):
                place = slice(128 * r, 128 * r + 128), slice(128 * c, 128 * c + 128)
                scale[r, c] = weight[place].abs().max() / 448
                codes[place] = (weight[place] / scale[r, c]).to(torch.float8_e4m3fn)
        tensors[f"{module}.weight"] = codes
        tensors[f"{module}.weight_scale_inv"] = scale
    return tensors, {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [128, 128],
    }


def integers(weight: torch.Tensor, size: int, bits: int, symmetric: bool) -> Any:
    """Codes (out, in), scales f16 and zero points (out, groups), unsigned."""
    groups = weight.float().reshape(weight.shape[0], -1, size)
    top = 2**bits - 1
    if symmetric:
        scale = (groups.abs().amax(-1) * 2 / top).half()
        zero = torch.full(scale.shape, 2 ** (bits - 1))
    else:
        low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
        scale = ((high - low) / top).half()
        zero = (-low / scale.float()).round().clamp(1, top).long()
    codes = (groups / scale.float()[..., None]).round() + zero[..., None]
    return codes.clamp(0, top).long().reshape(weight.shape), scale, zero


def pack(values: torch.Tensor, bits: int, order: range | list[int]) -> torch.Tensor:
    """Along the last axis, several in an int32, ``order[i]`` in the i-th place from below."""
    per = 32 // bits
    words = values.reshape(*values.shape[:-1], -1, per)
    word = sum(words[..., column] << (bits * place) for place, column in enumerate(order))
    assert isinstance(word, torch.Tensor)
    return torch.where(word >= 2**31, word - 2**32, word).to(torch.int32)


def awq(tensors: Tensors) -> tuple[Tensors, dict[str, Any]]:
    """AutoAWQ's WQLinear_GEMM, 4 bits, groups of 32."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    for module in linears(tensors):
        codes, scale, zero = integers(tensors.pop(f"{module}.weight"), 32, 4, symmetric=False)
        tensors[f"{module}.qweight"] = pack(codes.T, 4, order).contiguous()
        tensors[f"{module}.qzeros"] = pack(zero.T, 4, order).contiguous()
        tensors[f"{module}.scales"] = scale.T.contiguous()
    return tensors, {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": None,
    }


def gptq(bits: int, symmetric: bool, ordered: bool, version: str) -> Any:
    """AutoGPTQ's QuantLinear, groups of 32; ``version`` gptq stores zero points less one."""

    def make(tensors: Tensors) -> tuple[Tensors, dict[str, Any]]:
        for module in linears(tensors):
            weight = tensors.pop(f"{module}.weight")
            inputs = weight.shape[1]
            order = torch.arange(inputs) if ordered else torch.randperm(inputs)
            codes, scale, zero = integers(weight[:, order], 32, bits, symmetric)
            g_idx = torch.empty(inputs, dtype=torch.int32)
            g_idx[order] = (torch.arange(inputs) // 32).int()
            back = torch.empty_like(codes)
            back[:, order] = codes
            per = range(32 // bits)
            tensors[f"{module}.qweight"] = pack(back, bits, per).T.contiguous()
            stored = zero - 1 if version == "gptq" else zero
            tensors[f"{module}.qzeros"] = pack(stored.T, bits, per).contiguous()
            tensors[f"{module}.scales"] = scale.T.contiguous()
            tensors[f"{module}.g_idx"] = g_idx
        return tensors, {
            "quant_method": "gptq",
            "bits": bits,
            "group_size": 32,
            "desc_act": not ordered,
            "sym": symmetric,
            "checkpoint_format": version,
        }

    return make


Make = Callable[[Tensors], tuple[Tensors, dict[str, Any]]]
DYNAMIC = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}
STATIC = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
CASES: dict[str, Make] = {
    "ct-int4-g32": compressed("pack-quantized", num_bits=4, strategy="group", group_size=32),
    "ct-int4-g64-zeros": compressed(
        "pack-quantized", num_bits=4, strategy="group", group_size=64, symmetric=False
    ),
    "ct-int8-g32": compressed("pack-quantized", num_bits=8, strategy="group", group_size=32),
    "ct-int8-channel": compressed(
        "int-quantized", {"num_bits": 8, "strategy": "token", "dynamic": True}, strategy="channel"
    ),
    "ct-fp8-channel": compressed(
        "float-quantized", DYNAMIC, num_bits=8, type="float", strategy="channel"
    ),
    "ct-fp8-tensor": compressed(
        "float-quantized", STATIC, num_bits=8, type="float", strategy="tensor"
    ),
    "fp8-blocks": fp8_blocks,
    "awq-g32": awq,
    "gptq-int4-g32": gptq(4, True, True, "gptq"),
    "gptq-int4-g32-zeros-v2": gptq(4, False, True, "gptq_v2"),
    "gptq-int4-g32-order": gptq(4, False, False, "gptq"),
    "gptq-int8-g32": gptq(8, True, True, "gptq"),
}


def loaded(directory: Path, config: Any) -> Tensors:
    """The weights that transformers makes of it, float32."""
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, quantization_config=config
    )
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def of_compressed(tensors: Tensors, quantization: dict[str, Any], directory: Path) -> Tensors:
    """The weights compressed-tensors makes of it in float32; transformers' are those in bf16."""
    group = quantization["config_groups"]["group_0"]
    scheme = QuantizationScheme.model_validate(group)
    compressor = BaseCompressor.get_value_from_registry(quantization["format"])
    theirs = loaded(directory, CompressedTensorsConfig(dequantize=True))
    weights = {}
    for module in [n.removesuffix(".weight_scale") for n in tensors if n.endswith("_scale")]:
        if "input_scale" in module:
            continue
        own = {n.removeprefix(module + "."): t for n, t in tensors.items() if n.startswith(module)}
        own["weight_scale"] = own["weight_scale"].float()
        weight = compressor.decompress(own, scheme)["weight"].float()
        assert torch.equal(weight.bfloat16().float(), theirs[f"{module}.weight"]), module
        weights[f"{module}.weight"] = weight
    return weights


def of_awq(tensors: Tensors) -> Tensors:
    """The weights compressed-tensors makes of it, by its own converter."""
    converter = AutoAWQConverter(group_size=32, zero_point=True)
    parts = converter.process({n: t.clone() for n, t in tensors.items()})
    args = QuantizationArgs(num_bits=4, strategy="group", group_size=32, symmetric=False)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    weights = {}
    for module in [n.removesuffix(".weight_packed") for n in parts if n.endswith("_packed")]:
        own = {n.removeprefix(module + "."): t for n, t in parts.items() if n.startswith(module)}
        own["weight_scale"] = own["weight_scale"].float()
        weights[f"{module}.weight"] = compressor.decompress(own, scheme)["weight"]
    return weights


def of_gptq(tensors: Tensors, quantization: dict[str, Any]) -> Tensors:
    """As AutoGPTQ's own forward pass without kernels unpacks it: shifts, masks, g_idx."""
    bits = quantization["bits"]
    mask = 2**bits - 1
    shifts = torch.arange(0, 32, bits)
    weights = {}
    for module in [n.removesuffix(".qweight") for n in tensors if n.endswith("qweight")]:
        qweight, qzeros, scales, g_idx = (
            tensors[f"{module}.{part}"] for part in ("qweight", "qzeros", "scales", "g_idx")
        )
        zeros = (qzeros.long()[:, :, None] >> shifts & mask).reshape(scales.shape)
        zeros = zeros + (quantization["checkpoint_format"] == "gptq")
        codes = (qweight.long()[:, None, :] >> shifts[None, :, None] & mask).reshape(
            -1, qweight.shape[1]
        )
        group = g_idx.long()
        weights[f"{module}.weight"] = ((codes - zeros[group]).float() * scales[group].float()).T
    return weights


def write(name: str, make: Make) -> None:
    tensors, quantization = make(base())
    directory = QUANTIZED / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    config = CONFIG | {"quantization_config": quantization}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {n: t.contiguous() for n, t in tensors.items()}
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    if name.startswith("ct-"):
        weights = of_compressed(tensors, quantization, directory)
    elif name.startswith("fp8"):
        weights = loaded(directory, FineGrainedFP8Config(dequantize=True))
    else:
        weights = of_awq(tensors) if name.startswith("awq") else of_gptq(tensors, quantization)
    rows = {
        n: hashlib.sha256(w.float().contiguous().numpy().tobytes()).hexdigest()
        for n, w in sorted(weights.items())
        if n.endswith("_proj.weight")
    }
    assert len(rows) == 7
    (directory / "weights.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        print(case)
        write(case, CASES[case])
