"""Writes a GGUF file, version 3: whole or not at all."""

from __future__ import annotations

import errno
import math
import os
import shutil
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pocketr1.bundle.files import existing_parent, sync_directory, write_all
from pocketr1.checkpoint.gguf.blocks import BY_NAME
from pocketr1.checkpoint.gguf.container import DEFAULT_ALIGNMENT, MAGIC
from pocketr1.errors import CompressionError

__all__ = ["Entries", "GgufWriter", "Strings", "TensorRow"]

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_VERSION = 3
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Strings(list[str]):
    """An array of strings."""


Value: TypeAlias = str | bool | int | float | Strings | list[int]
Entries: TypeAlias = dict[str, Value]
"""Metadata; an int is written as u32, a float as f32, a list of ints as i32."""


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the file; shape is (rows, columns) or (n,)."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its bytes in the file."""
        row = BY_NAME[self.type]
        return math.prod(self.shape) // row.block_size * row.block_bytes


class GgufWriter:
    """A context manager: header first, then tensors in order; a failure leaves nothing behind."""

    def __init__(
        self, path: Path, metadata: Entries, tensors: Iterable[TensorRow], *, overwrite: bool
    ) -> None:
        """Nothing is written yet."""
        self.path = path
        self.tensors = tuple(tensors)
        self._header = _header(metadata, self.tensors)
        self._fresh = path.with_name(path.name + ".partial")
        self._overwrite = overwrite
        self._descriptor = -1

    @property
    def file_bytes(self) -> int:
        """Bytes of the whole file."""
        return len(self._header) + sum(_padded(tensor.nbytes) for tensor in self.tensors)

    def __enter__(self) -> GgufWriter:
        """Begin the file, under another name.

        Raises:
            CompressionError: ``export-exists``, ``compress-disk-space``, ``compress-write``.
        """
        if self.path.exists() and (self.path.is_dir() or not self._overwrite):
            raise CompressionError("export-exists", path=self.path)
        free = shutil.disk_usage(existing_parent(self.path)).free
        if self.file_bytes > free:
            raise CompressionError(
                "compress-disk-space",
                path=self.path,
                needed=-(-self.file_bytes // 10**6),
                free=free // 10**6,
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(self._fresh, flags, 0o644)
            write_all(self._descriptor, self._header)
        except OSError as error:
            self._drop()
            raise self._explained(error) from error
        return self

    def write(self, tensor: TensorRow, pieces: Iterable[NDArray[np.uint8]]) -> None:
        """Write the next tensor; ``pieces`` are its bytes one behind the other."""
        written = 0
        for piece in pieces:
            try:
                write_all(self._descriptor, np.ascontiguousarray(piece).reshape(-1).data)
            except OSError as error:
                raise self._explained(error) from error
            written += piece.nbytes
        if written != tensor.nbytes:
            raise ValueError(f"{written} bytes for {tensor.name}, which has {tensor.nbytes}")
        write_all(self._descriptor, bytes(_padded(written) - written))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the file its name, or delete it."""
        if kind is not None:
            self._drop()
            return
        try:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._fresh.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            self._drop()
            raise self._explained(error) from error

    def _drop(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._fresh.unlink(missing_ok=True)

    def _explained(self, error: OSError) -> CompressionError:
        if error.errno in _FULL:
            free = shutil.disk_usage(existing_parent(self.path)).free
            return CompressionError("compress-disk-full", path=self.path, free=free // 10**6)
        reason = error.strerror or str(error)
        return CompressionError("compress-write", path=self.path, reason=reason)


def _header(metadata: Mapping[str, Value], tensors: tuple[TensorRow, ...]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _value(value)]
    offset = 0
    for tensor in tensors:
        sizes = tuple(reversed(tensor.shape))  # innermost first
        parts.append(_string(tensor.name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes))
        parts.append(struct.pack("<IQ", BY_NAME[tensor.type].number, offset))
        offset += _padded(tensor.nbytes)
    header = b"".join(parts)
    return header.ljust(_padded(len(header)), b"\0")


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    if isinstance(value, float):
        return struct.pack("<If", _F32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if isinstance(value, Strings):
        start = struct.pack("<IIQ", _ARRAY, _STRING, len(value))
        return start + b"".join(_string(text) for text in value)
    start = struct.pack("<IIQ", _ARRAY, _I32, len(value))
    return start + np.array(value, "<i4").tobytes()


def _string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(size: int) -> int:
    return -(-size // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT
