"""A GGUF file's header: metadata and the places of its tensors, read strictly.

The format is that of ggml's ``docs/gguf.md``, versions 2 and 3, little-endian. Every length, count,
type and offset is the sender's word: each is held against the file's real size before anything of
that size is allocated, and against what a model can need. The header is read into memory, at most
128 MiB of it; weights are not.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.gguf.blocks import TENSOR_TYPES
from pocketr1.errors import CheckpointError

__all__ = ["MAGIC", "GgufFile", "GgufTensor", "Value", "read_header", "shown"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
STRING, ARRAY, BOOL = 8, 9, 7
#: Metadata types of a fixed size: number in the file -> little-endian numpy type.
SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "<u1",  # bool
    10: "<u8",
    11: "<i8",
    12: "<f8",
}

_LARGEST_HEADER = 128 << 20  # bytes; that of a vocabulary of 262,144 takes about 13 MiB
_MOST_STRINGS = 4 << 20  # in an array; vocabularies hold some hundred thousands
_LONGEST_NAME = 65_535  # bytes of a key; a tensor's name may be as long
_MOST_DIMENSIONS = 4
_LARGEST_DIMENSION = 1 << 30
_LARGEST_ALIGNMENT = 1 << 20
# The least that one takes in the file.
_LEAST_ENTRY = 8 + 1 + 4 + 1  # a key of one byte, its type, a byte
_LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8  # a name of one byte, a dimension, type, offset
_FIRST_READ = 1 << 20

Value: TypeAlias = int | float | bool | bytes | list[bytes] | NDArray[Any]
"""Of metadata; strings are bytes, as nothing says that they are UTF-8."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of the file."""

    name: str
    type: int  # a number of TENSOR_TYPES, or of a type that is not read
    shape: tuple[int, ...]  # outermost first: (rows, columns), or (n,)
    offset: int  # bytes from the start of the file
    nbytes: int | None  # None where the type is not read


@dataclass(frozen=True)
class GgufFile:
    """What the header says."""

    path: Path
    size: int  # bytes of the file
    version: int
    metadata: Mapping[str, Value]
    tensors: Mapping[str, GgufTensor]  # in the order of the file


def shown(text: str | bytes) -> str:
    """Return a name from the file as it may be printed: escaped where it is not, and not long."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return text if len(text) <= 100 else text[:97] + "…"


def read_header(path: Path) -> GgufFile:
    """Read and check a file's header.

    Raises:
        CheckpointError: ``checkpoint-read``, or ``checkpoint-gguf-invalid`` naming the entry or
            tensor and the byte.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _Header(path, _Cursor(path, file, size)).read()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(path), reason=reason) from error


class _Cursor:
    """Takes bytes from the front of the file; reads no more of it than was asked for, nearly."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path = path
        self.size = size
        self.at = 0
        self.data = bytearray()
        self._file = file

    def invalid(self, reason: str, at: int | None = None) -> CheckpointError:
        """Return the error for what stands at a byte, the present one by default."""
        at = self.at if at is None else at
        return CheckpointError(
            "checkpoint-gguf-invalid", where=str(self.path), reason=f"{reason} (byte {at})"
        )

    def take(self, count: int, what: str) -> int:
        """Step over ``count`` bytes, which are in ``data`` then; return where they begin."""
        begin, end = self.at, self.at + count
        if end > len(self.data):
            self._fill(end, what)
        self.at = end
        return begin

    def number(self, kind: str, what: str) -> int:
        """Take one little-endian integer; ``kind`` is its letter for struct."""
        begin = self.take(struct.calcsize(kind), what)
        value: int = struct.unpack_from("<" + kind, self.data, begin)[0]
        return value

    def count(self, least: int, what: str) -> int:
        """Take a count of things, each of which takes at least that many bytes."""
        count = self.number("Q", what)
        if count * least > self.size - self.at:
            reason = f"{what} are said to be {count}, more than the rest of the file can hold"
            raise self.invalid(reason, self.at - 8)
        return count

    def string(self, what: str, limit: int | None = None) -> bytes:
        """Take a string: its length, and that many bytes."""
        length = self.number("Q", what)
        if length > self.size - self.at or (limit is not None and length > limit):
            raise self.invalid(f"{what} is said to be {length} bytes long", self.at - 8)
        begin = self.take(length, what)
        return bytes(self.data[begin : self.at])

    def _fill(self, end: int, what: str) -> None:
        if end > self.size:
            raise self.invalid(f"the file ends within {what}")
        if end > _LARGEST_HEADER:
            raise self.invalid("the header takes more than 128 MiB")
        wanted = min(max(end, 2 * len(self.data), _FIRST_READ), self.size, _LARGEST_HEADER)
        while len(self.data) < wanted:
            piece = self._file.read(wanted - len(self.data))
            if not piece:
                raise self.invalid(f"the file ends within {what}")
            self.data += piece


class _Header:
    def __init__(self, path: Path, cursor: _Cursor) -> None:
        self._path = path
        self._cursor = cursor

    def read(self) -> GgufFile:
        cursor = self._cursor
        if cursor.size < 24:
            raise cursor.invalid("the file is too short for a header")
        if bytes(cursor.data[cursor.take(4, "the header") : cursor.at]) != MAGIC:
            raise cursor.invalid('the file does not begin with "GGUF"', 0)
        version = cursor.number("I", "the version")
        if version not in VERSIONS:
            raise cursor.invalid(self._foreign_version(version), 4)
        tensor_count = cursor.count(_LEAST_TENSOR, "the tensors")
        entry_count = cursor.count(_LEAST_ENTRY, "the metadata entries")
        metadata: dict[str, Value] = {}
        for _ in range(entry_count):
            key = self._name("a metadata key", metadata)
            metadata[key] = self._value(key)
        alignment = self._alignment(metadata)
        drafts: dict[str, tuple[int, tuple[int, ...], int]] = {}
        for _ in range(tensor_count):
            name = self._name("the name of a tensor", drafts)
            drafts[name] = self._tensor(name, alignment)
        data_begin = -(-cursor.at // alignment) * alignment
        tensors = {name: self._place(name, draft, data_begin) for name, draft in drafts.items()}
        self._check_overlaps(tensors)
        return GgufFile(
            self._path,
            cursor.size,
            version,
            MappingProxyType(metadata),
            MappingProxyType(tensors),
        )

    def _foreign_version(self, version: int) -> str:
        if int.from_bytes(version.to_bytes(4, "little"), "big") in (1, *VERSIONS):
            return "the file is big-endian; only little-endian files are read"
        return f"the file has version {version} of the format; versions 2 and 3 are read"

    def _name(self, what: str, seen: Mapping[str, object]) -> str:
        begin = self._cursor.at
        raw = self._cursor.string(what, _LONGEST_NAME)
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._cursor.invalid(f"{what} is not UTF-8: {shown(raw)}", begin) from None
        if not name:
            raise self._cursor.invalid(f"{what} is empty", begin)
        if name in seen:
            raise self._cursor.invalid(f"{what} occurs twice: {shown(name)}", begin)
        return name

    def _value(self, key: str) -> Value:
        what = f"the value of {shown(key)}"
        kind = self._cursor.number("I", what)
        if kind == STRING:
            return self._cursor.string(what)
        if kind == ARRAY:
            return self._array(what)
        values = self._scalars(kind, 1, what)
        if kind != BOOL:
            return values[0].item()  # type: ignore[no-any-return]
        if values[0] > 1:
            raise self._cursor.invalid(f"{what} is a truth value of {values[0]}", self._cursor.at)
        return bool(values[0])

    def _array(self, what: str) -> Value:
        cursor = self._cursor
        kind = cursor.number("I", what)
        if kind == ARRAY:
            raise cursor.invalid(f"{what} is an array of arrays")
        if kind != STRING:
            width = np.dtype(SCALARS[kind]).itemsize if kind in SCALARS else 1
            return self._scalars(kind, cursor.count(width, f"elements of {what}"), what)
        count = cursor.count(8, f"strings of {what}")
        if count > _MOST_STRINGS:
            raise cursor.invalid(f"{what} holds {count} strings, more than {_MOST_STRINGS}")
        element = f"a string of {what}"
        return [cursor.string(element) for _ in range(count)]

    def _scalars(self, kind: int, count: int, what: str) -> NDArray[Any]:
        if kind not in SCALARS:
            raise self._cursor.invalid(f"{what} is of the unknown type {kind}")
        dtype = np.dtype(SCALARS[kind])
        begin = self._cursor.take(count * dtype.itemsize, what)
        return np.frombuffer(bytes(self._cursor.data[begin : self._cursor.at]), dtype)

    def _alignment(self, metadata: Mapping[str, Value]) -> int:
        value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(value) is not int or not 8 <= value <= _LARGEST_ALIGNMENT or value & (value - 1):
            known = f"not a power of two from 8 to {_LARGEST_ALIGNMENT}"
            raise self._cursor.invalid(f"general.alignment is {value!r:.40}, {known}")
        return value

    def _tensor(self, name: str, alignment: int) -> tuple[int, tuple[int, ...], int]:
        """Return type, shape and offset in the data."""
        cursor = self._cursor
        what = f"the tensor {shown(name)}"
        dimensions = cursor.number("I", what)
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise cursor.invalid(f"{what} has {dimensions} dimensions", cursor.at - 4)
        sizes = [cursor.number("Q", what) for _ in range(dimensions)]
        for size in sizes:
            if not 1 <= size <= _LARGEST_DIMENSION:
                raise cursor.invalid(f"{what} has a dimension of {size}")
        while len(sizes) > 1 and sizes[-1] == 1:  # a matrix of one row keeps its row
            if len(sizes) == 2:
                break
            sizes.pop()
        kind = cursor.number("I", what)
        offset = cursor.number("Q", what)
        if offset % alignment:
            reason = f"{what} begins at {offset}, which is no multiple of {alignment}"
            raise cursor.invalid(reason, cursor.at - 8)
        return kind, tuple(reversed(sizes)), offset

    def _place(
        self, name: str, draft: tuple[int, tuple[int, ...], int], data_begin: int
    ) -> GgufTensor:
        kind, shape, offset = draft
        what = f"the tensor {shown(name)}"
        nbytes = None
        row = TENSOR_TYPES.get(kind)
        if row is not None:
            if shape[-1] % row.block_size:
                raise self._cursor.invalid(
                    f"{what} has rows of {shape[-1]} weights, which {row.name} cannot hold"
                )
            nbytes = math.prod(shape) // row.block_size * row.block_bytes
        begin = data_begin + offset
        if begin + (nbytes or 0) > self._cursor.size:
            reason = f"{what} ends at byte {begin + (nbytes or 0)}"
            raise self._cursor.invalid(f"{reason} of a file of {self._cursor.size}")
        return GgufTensor(name, kind, shape, begin, nbytes)

    def _check_overlaps(self, tensors: Mapping[str, GgufTensor]) -> None:
        placed = [(t.offset, t.nbytes or 0, t.name) for t in tensors.values()]
        placed.sort()
        for (begin, size, name), (after, _, other) in itertools.pairwise(placed):
            if begin + size > after:
                raise self._cursor.invalid(
                    f"the tensors {shown(name)} and {shown(other)} share bytes", after
                )
