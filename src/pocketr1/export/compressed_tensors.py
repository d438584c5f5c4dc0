"""A bundle as compressed-tensors stores it, for transformers.

Matrices of 8 and 4 bits become ``pack-quantized`` weights with the same codes, scales and zero
points; FP8 becomes ``float-quantized`` with a scale per group. Nothing is rounded but an embedding
that is quantized here: compressed-tensors packs linear layers alone, so it is stored as f16.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import __version__, _core
from pocketr1.arch import ModelSpec
from pocketr1.bundle import inspect
from pocketr1.bundle.files import (
    existing_parent,
    explain_write_errors,
    sync_directory,
    write_all,
    write_file,
)
from pocketr1.bundle.layout import FLOAT8, group_size
from pocketr1.engine import locate
from pocketr1.errors import CompressionError, UsageError
from pocketr1.export.huggingface import config_for, read_config
from pocketr1.export.report import ExportProgress, ExportReport

__all__ = ["export_compressed_tensors"]

_SHARD_LIMIT = 4_000_000_000  # bytes of data
_SLAB = 2 << 20  # weights unpacked at a time
_BLOCK_ROWS = 16
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
)
_DTYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
_LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class _Array:
    """One entry of the output."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True)
class _Tensor:
    """One tensor of the bundle, and what becomes of it."""

    name: str  # canonical
    target: str  # in the output: model.layers.0.self_attn.q_proj.weight
    format: str  # of the bundle
    shape: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]  # row, rows
    arrays: tuple[_Array, ...]

    @property
    def module(self) -> str:
        return self.target.removesuffix(".weight")

    @property
    def packed(self) -> bool:
        return len(self.arrays) > 1


def export_compressed_tensors(
    model: str | Path,
    output: str | Path,
    *,
    config: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[ExportProgress], None] | None = None,
) -> ExportReport:
    """Write a bundle as a compressed-tensors checkpoint, a directory that transformers loads.

    Args:
        model: the bundle.
        output: the directory to make; it gets its name when all of it is on disk.
        config: the source's ``config.json``, where the bundle alone does not tell which rule its
            rotary frequencies come from.
        overwrite: replace ``output``, if it is a checkpoint.
        progress: called with the bytes done; what it raises stops the export, and nothing is left.

    Raises:
        EngineError: there is no model at ``model``. BundleError: it is damaged.
        UsageError: ``export-not-bundle``, ``export-config-differs``.
        CompressionError: ``export-exists``, ``export-layers-differ``, ``export-config-needed``,
            ``export-group-tail`` (inputs that are no multiple of the group, which the format cannot
            hold), ``export-range``, ``compress-disk-full``, ``compress-write``.
    """
    began = time.monotonic()
    found = locate(model)
    if found.kind != "bundle":
        raise UsageError("export-not-bundle", path=found.path)
    output = Path(output).absolute()
    if output.exists() and not (overwrite and (output / "config.json").is_file()):
        raise CompressionError("export-exists", path=output)
    report = inspect(found.path)
    spec = ModelSpec.from_dict(report.model)
    if config is None:
        keys, architecture = config_for(spec, found.path)
    else:
        keys, architecture = read_config(Path(config), spec)
    opened = _core.Bundle.open(str(found.path))
    tensors = [
        _plan(name, architecture.tensor_names[name], form, tuple(shape), parts)
        for name, form, shape, parts in opened.tensors()
    ]
    quantization = _quantization(tensors)
    keys["dtype"] = "float16"
    if quantization:
        keys["quantization_config"] = quantization
    partial = output.with_name(output.name + ".partial")
    try:
        with explain_write_errors(partial):
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir(parents=True)
            _write_weights(partial, opened, tensors, progress)
            for name in _TOKENIZER:
                if (found.path / name).is_file():
                    write_file(partial / name, (found.path / name).read_bytes())
            text = json.dumps(keys, indent=2, ensure_ascii=False) + "\n"
            write_file(partial / "config.json", text.encode())
            _replace(partial, output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    matrices = [tensor for tensor in tensors if len(tensor.shape) == 2]
    types: dict[str, int] = {}
    for tensor in matrices:
        kind = tensor.format if tensor.packed else tensor.arrays[0].dtype.lower()
        types[kind] = types.get(kind, 0) + 1
    return ExportReport(
        path=str(output),
        format="compressed-tensors",
        file_bytes=sum(file.stat().st_size for file in output.iterdir()),
        parameters=report.parameters,
        types=types,
        matrices=len(matrices),
        exact=sum(tensor.packed or tensor.format in _DTYPES for tensor in matrices),
        seconds=time.monotonic() - began,
    )


def _plan(name: str, target: str, form: str, shape: tuple[int, ...], parts: list[Any]) -> _Tensor:
    rows = tuple((part[0], part[1]) for part in parts)
    module = target.removesuffix(".weight")

    def array(part: str, dtype: str, size: int, *dims: int) -> _Array:
        return _Array(f"{module}.{part}", dtype, dims, size * math.prod(dims))

    arrays: tuple[_Array, ...]
    if form in _DTYPES:
        size = 4 if form == "f32" else 2
        arrays = (_Array(target, _DTYPES[form], shape, size * math.prod(shape)),)
    elif name == "embed.weight":
        arrays = (_Array(target, "F16", shape, 2 * math.prod(shape)),)
    else:
        outputs, inputs = shape
        group = group_size(form)
        if inputs % group:
            raise CompressionError("export-group-tail", tensor=name, inputs=inputs, group=group)
        groups = inputs // group
        if form == FLOAT8:
            arrays = (
                array("weight", "F8_E4M3", 1, outputs, inputs),
                array("weight_scale", "F32", 4, outputs, groups),
            )
        else:
            bits = int(form[1])
            arrays = (
                array("weight_packed", "I32", 4, outputs, inputs * bits // 32),
                array("weight_scale", "F16", 2, outputs, groups),
                array("weight_shape", "I64", 8, 2),
            )
            if form.endswith("z"):
                words = -(-outputs * bits // 32)
                arrays += (array("weight_zero_point", "I32", 4, words, groups),)
    return _Tensor(name, target, form, shape, rows, arrays)


def _quantization(tensors: list[_Tensor]) -> dict[str, Any] | None:
    """Return the ``quantization_config``; None where no matrix is quantized."""
    modules: dict[str, list[str]] = {}
    ignored = []
    for tensor in tensors:
        if tensor.packed:
            modules.setdefault(tensor.format, []).append(tensor.module)
        elif len(tensor.shape) == 2 and tensor.name != "embed.weight":
            ignored.append(tensor.module)
    if not modules:
        return None
    groups = {
        f"group_{number}": {
            "targets": ["Linear"] if len(modules) == 1 else names,
            "weights": _scheme(form),
            "input_activations": None,
            "output_activations": None,
            "format": _layout(form),
        }
        for number, (form, names) in enumerate(modules.items())
    }
    layouts = {_layout(form) for form in modules}
    return {
        "quant_method": "compressed-tensors",
        "format": layouts.pop() if len(layouts) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "config_groups": groups,
        "ignore": ignored,
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
        "version": f"pocketr1 {__version__}",
    }


def _layout(form: str) -> str:
    return "float-quantized" if form == FLOAT8 else "pack-quantized"


def _scheme(form: str) -> dict[str, Any]:
    return {
        "num_bits": 8 if form == FLOAT8 else int(form[1]),
        "type": "float" if form == FLOAT8 else "int",
        "symmetric": not form.endswith("z"),
        "strategy": "group",
        "group_size": group_size(form),
        "dynamic": False,
        "actorder": None,
        "observer": None,
    }


def _write_weights(
    directory: Path,
    bundle: _core.Bundle,
    tensors: list[_Tensor],
    progress: Callable[[ExportProgress], None] | None,
) -> None:
    shards: list[list[_Tensor]] = [[]]
    filled = 0
    for tensor in tensors:
        size = sum(array.nbytes for array in tensor.arrays)
        if shards[-1] and filled + size > _SHARD_LIMIT:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    total = sum(array.nbytes for tensor in tensors for array in tensor.arrays)
    _check_space(directory, total)
    done = 0
    weight_map: dict[str, str] = {}
    for number, members in enumerate(shards, 1):
        name = "model.safetensors"
        if len(shards) > 1:
            name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        with _Shard(directory / name, members) as shard:
            for tensor in members:
                for size in shard.write(bundle, tensor):
                    done += size
                    if progress is not None:
                        progress(ExportProgress(done, total, tensor.name))
        weight_map |= {array.name: name for tensor in members for array in tensor.arrays}
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        text = json.dumps(index, indent=2) + "\n"
        write_file(directory / "model.safetensors.index.json", text.encode())


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(existing_parent(directory)).free
    if needed > free:
        raise CompressionError(
            "export-disk-space", path=directory, needed=-(-needed // 10**6), free=free // 10**6
        )


class _Shard:
    """One safetensors file, its arrays written side by side as their rows come."""

    def __init__(self, path: Path, tensors: list[_Tensor]) -> None:
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        self._at: dict[str, int] = {}
        end = 0
        arrays = [array for tensor in tensors for array in tensor.arrays]
        # Larger elements first, so that each array lies on a multiple of its element.
        for array in sorted(arrays, key=lambda a: -_ELEMENT[a.dtype]):
            header[array.name] = {
                "dtype": array.dtype,
                "shape": list(array.shape),
                "data_offsets": [end, end + array.nbytes],
            }
            self._at[array.name] = end
            end += array.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._head = len(text).to_bytes(8, "little") + text
        self._path = path

    def __enter__(self) -> _Shard:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o644)
        write_all(self._descriptor, self._head)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def write(self, bundle: _core.Bundle, tensor: _Tensor) -> Iterator[int]:
        """Write a tensor's arrays; yield the bytes of each step."""
        for part, (first, rows) in enumerate(tensor.parts):
            data = bundle.part_bytes(tensor.name, part)
            if not tensor.packed and tensor.format in _DTYPES:
                row_bytes = tensor.arrays[0].nbytes // tensor.shape[0]
                self._put(tensor.arrays[0].name, first * row_bytes, data)
                yield data.nbytes
                continue
            cols = tensor.shape[1]
            for row, slab, count in _slabs(data, tensor.format, rows, cols):
                yield self._write_slab(tensor, first + row, count, slab)
        for array in tensor.arrays:
            if array.name.endswith("weight_shape"):
                self._put(array.name, 0, np.array(tensor.shape, "<i8"))
                yield array.nbytes

    def _write_slab(self, tensor: _Tensor, row: int, rows: int, slab: NDArray[np.uint8]) -> int:
        cols = tensor.shape[1]
        if not tensor.packed:
            values = _core.dequantize_rows(slab, tensor.format, rows, cols)
            if np.abs(values).max(initial=0) > _LARGEST_HALF:
                raise CompressionError("export-range", tensor=tensor.name)
            return self._put(tensor.target, row * cols * 2, values.astype("<f2"))
        codes, scales, zeros = _core.unpack_rows(slab, tensor.format, rows, cols)
        groups = scales.shape[1]
        if tensor.format == FLOAT8:
            size = self._put(f"{tensor.module}.weight", row * cols, codes)
            return size + self._put(f"{tensor.module}.weight_scale", row * groups * 4, scales)
        bits = int(tensor.format[1])
        if bits == 8:
            codes = codes.view(np.uint8) ^ np.uint8(0x80)  # code + 128
        words = _pack(codes, bits)
        size = self._put(f"{tensor.module}.weight_packed", row * words.shape[1] * 4, words)
        size += self._put(f"{tensor.module}.weight_scale", row * groups * 2, scales.astype("<f2"))
        if tensor.format.endswith("z"):  # along the outputs
            packed = np.ascontiguousarray(_pack(np.ascontiguousarray(zeros.T), bits).T)
            at = row * bits // 32 * groups * 4
            size += self._put(f"{tensor.module}.weight_zero_point", at, packed)
        return size

    def _put(self, name: str, offset: int, data: NDArray[Any]) -> int:
        view = memoryview(np.ascontiguousarray(data).reshape(-1).view(np.uint8).data)
        at = len(self._head) + self._at[name] + offset
        size = len(view)
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        return size


_ELEMENT = {"I64": 8, "I32": 4, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}


def _pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int32]:
    """Pack unsigned codes along the last axis, the first in the lowest bits: int32 words."""
    per_word = 32 // bits
    rows, cols = codes.shape
    padded = np.zeros((rows, -(-cols // per_word) * per_word), np.uint8)
    padded[:, :cols] = codes
    if bits == 8:
        return padded.view("<i4")
    pairs = padded[:, 0::2] | padded[:, 1::2] << 4
    return np.ascontiguousarray(pairs).view("<i4")


def _slabs(
    data: NDArray[np.uint8], form: str, rows: int, cols: int
) -> Iterator[tuple[int, NDArray[np.uint8], int]]:
    """Cut a part into parts of some blocks of rows: first row, bytes, rows."""
    step = max(1, _SLAB // cols // _BLOCK_ROWS) * _BLOCK_ROWS
    sizes = _core.packed_size(form, rows, cols)
    starts = [0, sizes[0], sizes[0] + sizes[1]]
    for row in range(0, rows, step):
        count = min(step, rows - row)
        pieces = []
        for array, size in enumerate(_core.packed_size(form, count, cols)):
            pieces.append(data[starts[array] : starts[array] + size])
            starts[array] += size
        yield row, np.concatenate(pieces), count


def _replace(partial: Path, output: Path) -> None:
    sync_directory(partial)
    if output.exists():
        old = output.with_name(output.name + ".replaced")
        if old.exists():
            shutil.rmtree(old)
        output.rename(old)
        partial.rename(output)
        shutil.rmtree(old)
    else:
        partial.rename(output)
    sync_directory(output.parent)
