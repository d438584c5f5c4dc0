"""Finished pieces of a calibrated job: embedding, layers, head, each in a file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pocketr1 import _core
from pocketr1.bundle import Part, PartError
from pocketr1.bundle.files import sync_directory, write_file
from pocketr1.compress.partial_model import Place

__all__ = ["Packed", "Unit", "joined", "new_array", "part_of", "rows_of", "write_rows"]

_ALIGNMENT = 64
_BLOCK_ROWS = 16


@dataclass(frozen=True)
class Packed:
    """A tensor as it will stand in the bundle, all its rows in one part.

    errors: float64 (blocks of 16 rows, 3): of each the sums of squares of error and weights, and
    the largest error.
    """

    format: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]
    errors: NDArray[np.float64]


class Unit:
    """The tensors of one file, by canonical name; the file is mapped."""

    def __init__(self, path: Path) -> None:
        """Open a unit that is whole (``exists``)."""
        self.path = path
        table = path.with_suffix(".json").read_text("utf-8")
        self._rows: dict[str, dict[str, Any]] = json.loads(table)
        self._data = np.memmap(path, np.uint8, "r")

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a unit was written whole: its table is written last."""
        return path.with_suffix(".json").exists()

    @classmethod
    def write(cls, path: Path, tensors: Mapping[str, Packed]) -> Unit:
        """Write a unit; returns when it is on disk."""
        rows: dict[str, dict[str, Any]] = {}
        with path.open("wb") as file:
            for name, tensor in tensors.items():
                row: dict[str, Any] = {"format": tensor.format, "shape": list(tensor.shape)}
                for key, array in (("offset", tensor.data), ("errors", tensor.errors)):
                    file.write(bytes(-file.tell() % _ALIGNMENT))
                    row[key] = file.tell()
                    file.write(np.ascontiguousarray(array).data)
                row["size"] = tensor.data.nbytes
                row["blocks"] = len(tensor.errors)
                rows[name] = row
            file.flush()
            os.fsync(file.fileno())
        write_file(path.with_suffix(".json"), json.dumps(rows).encode())
        return cls(path)

    def rename(self, path: Path) -> Unit:
        """Give the unit another name; it exists there from the last step on."""
        self.path.replace(path)
        self.path.with_suffix(".json").replace(path.with_suffix(".json"))
        sync_directory(path.parent)
        return Unit(path)

    def remove(self) -> None:
        """Delete the files; what is mapped stays readable."""
        self.path.with_suffix(".json").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def places(self) -> dict[str, Place]:
        """Return where the tensors lie."""
        return {
            name: Place(row["format"], tuple(row["shape"]), self.path, row["offset"])
            for name, row in self._rows.items()
        }

    def vector(self, name: str) -> NDArray[np.float32]:
        """Return a tensor that was written in ``f32``, float32 of its shape."""
        row = self._rows[name]
        data = self._data[row["offset"] : row["offset"] + row["size"]]
        values: NDArray[np.float32] = np.array(data).view(np.float32).reshape(row["shape"])
        return values

    def part(self, name: str, part: Part) -> tuple[NDArray[np.uint8], PartError]:
        """Return the bytes of a range of rows, which begins on a block, and its error."""
        row = self._rows[name]
        whole = self._data[row["offset"] : row["offset"] + row["size"]]
        errors = self._data[row["errors"] : row["errors"] + 24 * row["blocks"]]
        table = errors.view(np.float64).reshape(-1, 3)
        begin, end = part.row // _BLOCK_ROWS, -(-(part.row + part.rows) // _BLOCK_ROWS)
        error = PartError(
            float(table[begin:end, 0].sum()),
            float(table[begin:end, 1].sum()),
            float(table[begin:end, 2].max()),
        )
        if part.size == len(whole):
            return np.array(whole), error
        cols = row["shape"][1] if len(row["shape"]) == 2 else 1
        shape = (row["shape"][0], cols)
        return part_of(whole, row["format"], shape, part.row, part.row + part.rows), error


def part_of(
    whole: NDArray[np.uint8], weight_format: str, shape: tuple[int, int], begin: int, end: int
) -> NDArray[np.uint8]:
    """Return rows ``[begin, end)`` of a packed matrix as a part; ``begin`` is a multiple of 16."""
    rows, cols = shape
    # Codes, scales and zero points stand one behind the other, each by blocks of rows.
    sizes = _core.packed_size(weight_format, rows, cols)
    befores = _core.packed_size(weight_format, begin, cols) if begin else (0, 0, 0)
    counts = _core.packed_size(weight_format, end - begin, cols)
    pieces, at = [], 0
    for size, before, count in zip(sizes, befores, counts, strict=True):
        pieces.append(whole[at + before : at + before + count])
        at += size
    return np.concatenate(pieces)


def joined(
    weight_format: str, cols: int, slabs: Iterable[tuple[int, NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    """Return the part that slabs of rows make, each (rows, its part): what ``part_of`` takes apart.

    All slabs but the last have a multiple of 16 rows.
    """
    arrays: tuple[list[NDArray[np.uint8]], ...] = ([], [], [])
    for rows, data in slabs:
        at = 0
        for array, size in zip(arrays, _core.packed_size(weight_format, rows, cols), strict=True):
            array.append(data[at : at + size])
            at += size
    return np.concatenate([piece for array in arrays for piece in array])


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[NDArray[Any]]:
    """Hand out an array that is a file; it gets its name when it is filled and on disk."""
    fresh = path.with_name("new-" + path.name)
    array = np.lib.format.open_memmap(fresh, "w+", dtype, shape)
    yield array
    array.flush()
    fresh.replace(path)


def write_rows(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike, slabs: Iterable[NDArray[Any]]
) -> None:
    """Write an array that comes in slabs of rows, of which only one is in memory.

    The file, of NumPy's format, gets its name when it is whole and on disk.
    """
    fresh = path.with_name("new-" + path.name)
    with fresh.open("wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for slab in slabs:
            file.write(np.ascontiguousarray(slab).data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def rows_of(packed: Packed, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return rows of a packed matrix as numbers, float32 of shape (ids, columns)."""
    rows, cols = packed.shape
    out = np.empty((len(ids), cols), np.float32)
    for block in np.unique(ids // _BLOCK_ROWS):
        begin = int(block) * _BLOCK_ROWS
        end = min(begin + _BLOCK_ROWS, rows)
        part = part_of(packed.data, packed.format, (rows, cols), begin, end)
        values = _core.dequantize_rows(part, packed.format, end - begin, cols)
        chosen = ids // _BLOCK_ROWS == block
        out[chosen] = values[ids[chosen] - begin]
    return out
