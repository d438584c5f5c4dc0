"""How a checkpoint says that it is quantized: ``quantization_config`` of ``config.json``.

Read are the layouts of FP8 as DeepSeek publishes it (``fp8``), ``gptq`` (AutoGPTQ, GPTQModel),
``awq`` (AutoAWQ's GEMM layout) and ``compressed-tensors`` (int and float, packed or not). Anything
else is refused with the key that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketr1.checkpoint.files import read_json
from pocketr1.errors import CheckpointError

__all__ = ["CHANNEL", "TENSOR", "Quantization", "Scheme", "read_quantization"]

CHANNEL = -1  # a scale per output
TENSOR = 0  # one scale

_KEYS = ("quantization_config", "compression_config")
#: What tools wrote beside config.json before that had an entry for it.
_OLDER = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
_PACKED = ("pack-quantized",)
_PLAIN = ("int-quantized", "float-quantized", "naive-quantized")


@dataclass(frozen=True)
class Scheme:
    """How the weights of some layers are stored."""

    kind: str  # "int" or "float"
    bits: int
    packed: bool  # several codes in a 32-bit word
    columns: int  # inputs that share a scale, or CHANNEL or TENSOR
    rows: int = 1  # outputs that share it
    symmetric: bool = True  # no zero points


@dataclass(frozen=True)
class Quantization:
    """What ``config.json`` says of a quantized checkpoint."""

    method: str  # "fp8", "gptq", "awq" or "compressed-tensors"
    schemes: tuple[Scheme, ...]  # one, but for compressed-tensors
    ordered: bool = True  # False: GPTQ's desc_act, inputs of a group lie anywhere
    zero_offset: int = 0  # 1: GPTQ's first format stores zero points less one


class _Keys:
    """The entries of a quantization config; errors name file and key."""

    def __init__(self, values: Mapping[str, Any], where: Path, prefix: str, method: str) -> None:
        self.values = values
        self.where = where
        self.prefix = prefix
        self.method = method

    def unsupported(self, key: str, value: object, supported: str) -> CheckpointError:
        return CheckpointError(
            "checkpoint-quantized",
            where=str(self.where),
            key=self.prefix + key,
            method=self.method,
            value=str(value),
            supported=supported,
        )

    def get(self, *names: str, default: Any = None) -> Any:
        """The first of several spellings that is there and not null."""
        found = (self.values[name] for name in names if self.values.get(name) is not None)
        return next(found, default)

    def one_of(self, key: str, value: Any, allowed: tuple[Any, ...]) -> Any:
        for each in allowed:
            if type(value) is type(each) and value == each:
                return value
        raise self.unsupported(key, value, ", ".join(map(str, allowed)))

    def size(self, key: str, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= 1 << 20:
            raise self.unsupported(key, value, "a positive integer")
        return value

    def nothing(self, *names: str) -> None:
        """Refuse what would change the meaning of the weights."""
        for name in names:
            if self.values.get(name):
                raise self.unsupported(name, self.values[name], "none")

    def inner(self, key: str, value: Any) -> _Keys:
        if not isinstance(value, dict):
            raise self.unsupported(key, value, "an object")
        return _Keys(value, self.where, f"{self.prefix}{key}.", self.method)


def read_quantization(config: Mapping[str, Any], where: Path) -> Quantization | None:
    """Read how a checkpoint is quantized; None: its weights are whole.

    Args:
        config: the parsed ``config.json``.
        where: its path. A ``quantize_config.json`` or ``quant_config.json`` beside it is read where
            ``config.json`` says nothing.

    Raises:
        CheckpointError: ``checkpoint-quantized``, naming the key and what is supported.
    """
    for key in _KEYS:
        if config.get(key):
            values = config[key]
            method = values.get("quant_method") if isinstance(values, dict) else None
            if method is None and isinstance(values, dict) and "config_groups" in values:
                method = "compressed-tensors"
            return _read(_Keys({}, where, "", str(method or "unknown")).inner(key, values))
    for name, method in _OLDER.items():
        path = where.with_name(name)
        if path.is_file():
            return _read(_Keys(read_json(path), path, "", method))
    return None


def _read(keys: _Keys) -> Quantization:
    readers = {
        "fp8": _fp8,
        "gptq": _gptq,
        "awq": _awq,
        "compressed-tensors": _compressed_tensors,
    }
    if keys.method not in readers:
        raise keys.unsupported("quant_method", keys.method, ", ".join(readers))
    return readers[keys.method](keys)


def _fp8(keys: _Keys) -> Quantization:
    keys.one_of("fmt", keys.get("fmt", default="e4m3"), ("e4m3",))
    keys.one_of("scale_fmt", keys.get("scale_fmt", default="float"), ("float", "ue8m0"))
    block = keys.get("weight_block_size")
    if block is None:
        channel = Scheme("float", 8, False, CHANNEL)
        return Quantization("fp8", (Scheme("float", 8, False, TENSOR), channel))
    if not isinstance(block, list) or len(block) != 2:
        raise keys.unsupported("weight_block_size", block, "two numbers")
    rows, columns = (keys.size("weight_block_size", size) for size in block)
    return Quantization("fp8", (Scheme("float", 8, False, columns, rows),))


def _gptq(keys: _Keys) -> Quantization:
    bits = keys.one_of("bits", keys.get("bits", "w_bit"), (8, 4, 3, 2))
    columns = _columns(keys, "group_size", keys.get("group_size", "q_group_size"))
    version = keys.get("checkpoint_format", default="gptq")
    version = keys.one_of("checkpoint_format", version, ("gptq", "gptq_v2"))
    ordered = not keys.one_of("desc_act", keys.get("desc_act", default=False), (True, False))
    keys.nothing("is_marlin_format", "dynamic", "adapter", "rotation")
    scheme = Scheme("int", bits, True, columns, symmetric=False)
    return Quantization("gptq", (scheme,), ordered, zero_offset=1 if version == "gptq" else 0)


def _awq(keys: _Keys) -> Quantization:
    bits = keys.one_of("bits", keys.get("bits", "w_bit"), (4,))
    columns = _columns(keys, "group_size", keys.get("group_size", "q_group_size"))
    version = str(keys.get("version", default="gemm")).lower()
    keys.one_of("version", version, ("gemm",))
    return Quantization("awq", (Scheme("int", bits, True, columns, symmetric=False),))


def _columns(keys: _Keys, name: str, value: Any) -> int:
    return CHANNEL if value == -1 and value is not True else keys.size(name, value)


def _compressed_tensors(keys: _Keys) -> Quantization:
    keys.nothing("transform_config")
    sparsity = keys.get("sparsity_config")
    if sparsity:
        inner = keys.inner("sparsity_config", sparsity)
        inner.one_of("format", inner.get("format", default="dense"), ("dense",))
    status = keys.get("quantization_status", default="compressed")
    keys.one_of("quantization_status", status, ("compressed",))
    groups = keys.get("config_groups")
    groups = keys.inner("config_groups", groups)
    overall = keys.get("format", default="")
    schemes = []
    for name in groups.values:
        group = groups.inner(name, groups.values[name])
        layout = group.get("format", default=overall)
        group.one_of("format", layout, (*_PACKED, *_PLAIN))
        if group.get("weights") is not None:
            schemes.append(_weights(group.inner("weights", group.get("weights")), layout))
    if not schemes:
        raise groups.unsupported("weights", None, "one group of weights, or more")
    return Quantization("compressed-tensors", tuple(dict.fromkeys(schemes)))


def _weights(keys: _Keys, layout: str) -> Scheme:
    packed = layout in _PACKED
    kind = keys.one_of("type", keys.get("type", default="int"), ("int", "float"))
    if kind == "float" and packed:
        raise keys.unsupported("type", kind, "int")
    bits = keys.get("num_bits", default=8)
    if packed:
        keys.one_of("num_bits", bits, (8, 4))
    elif kind == "float":
        keys.one_of("num_bits", bits, (8,))
    elif type(bits) is not int or not 2 <= bits <= 8:
        raise keys.unsupported("num_bits", bits, "2 to 8")
    symmetric = keys.one_of("symmetric", keys.get("symmetric", default=True), (True, False))
    group = keys.get("group_size")
    guess = "group" if type(group) is int and group > 0 else "tensor"
    strategy = keys.get("strategy", default="channel" if group == -1 else guess)
    strategies = ("tensor", "channel", "group", *(("block",) if kind == "float" else ()))
    keys.one_of("strategy", strategy, strategies)
    if kind == "float":
        keys.one_of("symmetric", symmetric, (True,))
    if strategy == "block":
        block = keys.get("block_structure")
        if not isinstance(block, list) or len(block) != 2:
            raise keys.unsupported("block_structure", block, "two numbers")
        rows, columns = (keys.size("block_structure", size) for size in block)
        return Scheme(kind, bits, packed, columns, rows, symmetric)
    if strategy == "group":
        columns = keys.size("group_size", group)
    else:
        columns = CHANNEL if strategy == "channel" else TENSOR
    return Scheme(kind, bits, packed, columns, 1, symmetric)
