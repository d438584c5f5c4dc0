"""A checkpoint in Hugging Face's layout or a GGUF file, read in slabs of rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import arch
from pocketr1.checkpoint import gguf
from pocketr1.checkpoint.files import CompanionFile, locate, read_json
from pocketr1.checkpoint.schemes import Quantization, read_quantization
from pocketr1.checkpoint.stored import read_into
from pocketr1.checkpoint.tensors import TensorInfo, read_table
from pocketr1.errors import CheckpointError

__all__ = ["Checkpoint", "as_float32", "open"]

_ELEMENTS: dict[str, np.dtype[Any]] = {
    "bf16": np.dtype("<u2"),
    "f16": np.dtype("<u2"),
    "f32": np.dtype("<f4"),
}


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. It holds no descriptor and no weights; reads are safe from any thread.

    A shard may be deleted once nothing of it will be read again; its space is free at once.
    """

    path: Path  # the directory, or the GGUF file
    config_path: Path  # of config.json, or the GGUF file
    spec: arch.ModelSpec
    tensors: Mapping[str, TensorInfo]  # canonical name -> place, in decode order
    awaited: Mapping[str, Path]  # canonical name -> the missing shard that will hold it
    files: tuple[Path, ...]  # weight files that are there
    missing_shards: tuple[Path, ...]  # weight files that are not, with allow_missing
    tokenizer_files: tuple[CompanionFile, ...]
    ignored: tuple[str, ...]  # tensors in the files that the model does not need
    quantization: Quantization | None = None  # where weights are stored encoded

    @property
    def parameters(self) -> int:
        """The number of weights, each counted once (a tied head is not counted)."""
        return sum(math.prod(shape) for shape in arch.expected_tensors(self.spec).values())

    def read_rows(self, name: str, begin: int = 0, end: int | None = None) -> NDArray[Any]:
        """Read rows ``[begin, end)`` of a tensor as they are stored, or decoded.

        A tensor that the file holds encoded is decoded.

        Returns:
            uint16 bit patterns for bf16 and f16, float32 for f32; shape (rows, columns), or (n,) of
            a vector. :func:`as_float32` turns them into numbers.

        Raises:
            CheckpointError: ``checkpoint-shard-missing`` while the tensor's shard has not arrived,
                ``checkpoint-read`` where the file is gone, unreadable or cut short,
                ``checkpoint-encoded-value`` where an encoded value makes no sense.
            KeyError, IndexError: the model has no such tensor or no such rows.
        """
        if name in self.awaited:
            raise _shards_missing((self.awaited[name],), len(self.files) + len(self.missing_shards))
        tensor = self.tensors[name]
        rows = tensor.shape[0]
        end = rows if end is None else end
        if not 0 <= begin <= end <= rows:
            raise IndexError(f"rows {begin}:{end} of {name}, which has {rows}")
        if tensor.decoder is not None:
            return tensor.decoder.rows(begin, end)
        out: NDArray[Any] = np.empty((end - begin, *tensor.shape[1:]), _ELEMENTS[tensor.dtype])
        row_bytes = tensor.nbytes // rows
        read_into(tensor.file, tensor.offset + begin * row_bytes, out, tensor.source_name)
        return out

    def core_arguments(self) -> tuple[str, list[str], list[tuple[str, str, list[int], int, int]]]:
        """Return the arguments of ``_core.Model.open_checkpoint``.

        The spec as JSON, the files, and of each tensor (name, format, shape, file index, offset).

        Raises:
            CheckpointError: ``checkpoint-shard-missing``, or ``checkpoint-encoded-run`` where a
                tensor is not stored as numbers.
        """
        for tensor in self.tensors.values():
            if tensor.decoder is not None:
                raise CheckpointError(
                    "checkpoint-encoded-run", where=str(tensor.file), tensor=tensor.source_name
                )
        if self.missing_shards:
            raise _shards_missing(self.missing_shards, len(self.files) + len(self.missing_shards))
        numbers = {path: number for number, path in enumerate(self.files)}
        return (
            json.dumps(self.spec.to_dict()),
            [str(path) for path in self.files],
            [
                (t.name, t.dtype, list(t.shape), numbers[t.file], t.offset)
                for t in self.tensors.values()
            ],
        )


def open(
    path: str | Path,
    config_path: str | Path | None = None,
    *,
    allow_missing: bool = False,
    headers: Path | None = None,
) -> Checkpoint:
    """Open a checkpoint: read config and headers, check every tensor, read no weights.

    Args:
        path: a directory in Hugging Face's layout (``config.json``, and ``model.safetensors`` or
            ``model.safetensors.index.json`` with its shards), one safetensors file, an index, or a
            GGUF file, which says all by itself.
        config_path: a ``config.json`` elsewhere.
        allow_missing: open although shards of the index are missing (``Checkpoint.missing_shards``,
            ``Checkpoint.awaited``); open again when they have arrived.
        headers: a directory with stand-ins of missing shards (header and size); nothing is awaited
            then, and what lies in a missing shard can be read as soon as it is there.

    Raises:
        CheckpointError: naming the file, and the tensor or key, that is wrong.
    """
    if gguf.is_gguf(Path(path)):
        return _open_gguf(Path(path))
    files = locate(Path(path), None if config_path is None else Path(config_path), headers)
    generation = read_json(files.generation) if files.generation else None
    config = read_json(files.config)
    architecture = arch.from_config(config, files.config, generation)
    quantization = read_quantization(config, files.config)
    missing = tuple(shard for shard in files.shards if not shard.is_file())
    if missing and headers is None and (not allow_missing or files.index is None):
        raise _shards_missing(missing, len(files.shards))
    table = read_table(files, architecture, frozenset(missing), headers, quantization)
    return Checkpoint(
        path=files.directory,
        config_path=files.config,
        spec=table.architecture.spec,
        tensors=MappingProxyType(table.tensors),
        awaited=MappingProxyType(table.awaited),
        files=tuple(shard for shard in files.shards if shard not in missing),
        missing_shards=missing,
        tokenizer_files=files.tokenizer,
        ignored=table.ignored,
        quantization=quantization,
    )


def _open_gguf(path: Path) -> Checkpoint:
    file = gguf.read_header(path)
    model = gguf.read_model(file)
    return Checkpoint(
        path=path,
        config_path=path,
        spec=model.spec,
        tensors=MappingProxyType(model.tensors),
        awaited=MappingProxyType({}),
        files=(path,),
        missing_shards=(),
        tokenizer_files=gguf.tokenizer_files(file),
        ignored=model.ignored,
    )


def as_float32(raw: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Return the numbers of what ``read_rows`` gave, exactly; ``dtype`` is bf16, f16 or f32."""
    if dtype == "bf16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if dtype == "f16":
        return raw.view(np.float16).astype(np.float32)
    return raw.astype(np.float32, copy=False)


def _shards_missing(missing: tuple[Path, ...], total: int) -> CheckpointError:
    return CheckpointError(
        "checkpoint-shard-missing", where=str(missing[0]), count=len(missing), total=total
    )
