"""The weights of any model we read, in slabs of rows: as numbers, or as codes where it has some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, bundle, checkpoint
from pocketr1.arch import ModelSpec
from pocketr1.bundle.layout import group_size
from pocketr1.compress.source import rows_per_slab
from pocketr1.engine import ModelSource

__all__ = ["Coded", "ModelWeights", "Slab", "StoredTensor", "open_weights"]

_COMPANIONS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Coded:
    """Quantized rows: a weight is ``steps * scale`` of its row and group."""

    steps: NDArray[np.int16]  # (rows, columns): codes less their zero points
    scales: NDArray[np.float32]  # (rows, groups)
    group: int  # weights that share a scale

    @classmethod
    def of(
        cls,
        codes: NDArray[np.uint8] | NDArray[np.int8],
        scales: NDArray[np.float32],
        zeros: NDArray[np.uint8],
        weight_format: str,
    ) -> Coded:
        """Take what ``_core.unpack_rows`` or a decoder gives."""
        group = group_size(weight_format)
        column = np.arange(codes.shape[1]) // group
        if weight_format.startswith("w8"):
            codes = codes.view(np.int8)
        steps = codes.astype(np.int16) - zeros.astype(np.int16)[:, column]
        return cls(steps, scales, group)


class Slab(Protocol):
    """Some rows of a tensor."""

    def numbers(self) -> NDArray[np.float32]:
        """Return the weights, (rows, columns) or (n,)."""
        ...

    def coded(self) -> Coded:
        """Return codes and scales; only of tensors in a tile format."""
        ...


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the model has it."""

    name: str  # canonical
    format: str | None  # w8g32, f16 …; None where it is decoded and no format holds it
    shape: tuple[int, ...]


class ModelWeights(Protocol):
    """A model's spec, tensors and the files that come along."""

    @property
    def spec(self) -> ModelSpec:
        """Sizes, rotary embedding, token ids."""
        ...

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """By canonical name, in decode order."""
        ...

    @property
    def companions(self) -> Mapping[str, bytes]:
        """tokenizer.json and its like, those that there are."""
        ...

    def slabs(self, name: str) -> Iterator[Slab]:
        """Yield a tensor's rows from the first to the last."""
        ...


def open_weights(source: ModelSource) -> ModelWeights:
    """Open a bundle, a checkpoint or a GGUF file; raises what opening it raises."""
    return _BundleWeights(source.path) if source.kind == "bundle" else _SourceWeights(source.path)


class _BundleWeights:
    def __init__(self, path: Path) -> None:
        self._bundle = _core.Bundle.open(str(path))
        self._parts = {name: parts for name, _, _, parts in self._bundle.tensors()}
        self.spec = ModelSpec.from_dict(bundle.inspect(path).model)
        self.tensors = {
            name: StoredTensor(name, weight_format, tuple(shape))
            for name, weight_format, shape, _ in self._bundle.tensors()
        }
        self.companions = {
            name: (path / name).read_bytes() for name in _COMPANIONS if (path / name).is_file()
        }

    def slabs(self, name: str) -> Iterator[Slab]:
        tensor = self.tensors[name]
        for number, part in enumerate(self._parts[name]):
            yield _Part(self._bundle.part_bytes(name, number), tensor, part[1])


@dataclass(frozen=True)
class _Part:
    data: NDArray[np.uint8]
    tensor: StoredTensor
    rows: int

    def numbers(self) -> NDArray[np.float32]:
        shape = self.tensor.shape
        cols = shape[1] if len(shape) == 2 else 1
        assert self.tensor.format is not None
        found = _core.dequantize_rows(self.data, self.tensor.format, self.rows, cols)
        return found if len(shape) == 2 else found[:, 0]

    def coded(self) -> Coded:
        cols = self.tensor.shape[1]
        assert self.tensor.format is not None
        unpacked = _core.unpack_rows(self.data, self.tensor.format, self.rows, cols)
        return Coded.of(*unpacked, self.tensor.format)


class _SourceWeights:
    def __init__(self, path: Path) -> None:
        self._opened = checkpoint.open(path)
        self.spec = self._opened.spec
        self.tensors = {}
        for name, tensor in self._opened.tensors.items():
            kept = tensor.dtype if tensor.decoder is None else tensor.decoder.exact_format
            self.tensors[name] = StoredTensor(name, kept, tensor.shape)
        self.companions = {
            file.name: file.read_bytes()
            for file in self._opened.tokenizer_files
            if file.name in _COMPANIONS
        }

    def slabs(self, name: str) -> Iterator[Slab]:
        tensor = self._opened.tensors[name]
        columns = tensor.shape[1] if len(tensor.shape) == 2 else 1
        step = rows_per_slab(4 * columns)
        for begin in range(0, tensor.shape[0], step):
            end = min(begin + step, tensor.shape[0])
            yield _Rows(self._opened, tensor, begin, end)


@dataclass(frozen=True)
class _Rows:
    opened: checkpoint.Checkpoint
    tensor: checkpoint.TensorInfo
    begin: int
    end: int

    def numbers(self) -> NDArray[np.float32]:
        raw = self.opened.read_rows(self.tensor.name, self.begin, self.end)
        return checkpoint.as_float32(raw, self.tensor.dtype)

    def coded(self) -> Coded:
        decoder = self.tensor.decoder
        assert decoder is not None and decoder.exact_format is not None
        return Coded.of(*decoder.codes(self.begin, self.end), decoder.exact_format)
