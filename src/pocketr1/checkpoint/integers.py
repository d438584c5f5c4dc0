"""Weights stored as integer codes with scales and zero points: GPTQ, AWQ, compressed-tensors.

A weight is ``(code - zero) * scale`` of its row and group, codes taken as unsigned. The layouts are
those of AutoGPTQ's and GPTQModel's ``QuantLinear``, of AutoAWQ's ``WQLinear_GEMM`` and of
compressed-tensors' ``pack-quantized`` and ``int-quantized``. Every product is rounded to float32
once, and is exact where the scale is f16 or bf16.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.stored import Entry, read_columns, read_numbers, read_rows
from pocketr1.errors import CheckpointError

__all__ = ["AwqWeight", "GptqWeight", "IntegerWeight", "PackedWeight", "PlainWeight", "unpack"]

_CHECKED = 4 << 20  # codes looked at at a time
_GROUPS = (128, 64, 32)  # of our formats, the largest first
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output that each nibble of a word belongs to

_Bytes = NDArray[np.uint8]
_Floats = NDArray[np.float32]


def unpack(words: NDArray[np.int32], bits: int) -> _Bytes:
    """Unpack codes of ``bits`` bits, the first in the lowest: (rows, n) to (rows, 32 n / bits)."""
    data = np.ascontiguousarray(words, "<i4").view(np.uint8)
    if bits == 8:
        return data
    if bits in (2, 4):
        pieces = [data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
        return np.stack(pieces, axis=-1).reshape(len(data), -1)
    digits = np.unpackbits(data, axis=1, bitorder="little").reshape(len(data), -1, bits)
    return np.asarray(digits @ (1 << np.arange(bits, dtype=np.uint8)), np.uint8)


def _less(values: NDArray[Any], offset: int) -> NDArray[np.int16]:
    """Return ``values - offset``."""
    less: NDArray[np.int16] = np.subtract(np.ascontiguousarray(values), offset, dtype=np.int16)
    return less


class IntegerWeight(ABC):
    """One matrix (outputs, inputs) of unsigned codes; a :class:`Decoder`."""

    dtype = "f32"

    def __init__(self, shape: tuple[int, int], bits: int, group: int) -> None:
        """Give the shape, the bits of a code, and the inputs that share a scale; 0: all."""
        self.shape = shape
        self.bits = bits
        self.group = group or shape[1]
        self._whole_rows = group == 0
        self._exact: str | None = None
        self._looked = False

    @abstractmethod
    def _codes(self, begin: int, end: int) -> _Bytes:
        """Codes of rows: (rows, inputs)."""

    @abstractmethod
    def _scales(self, begin: int, end: int) -> _Floats:
        """Scales of rows: (rows, groups)."""

    @abstractmethod
    def _zeros(self, begin: int, end: int) -> NDArray[np.int16]:
        """Zero points of rows: (rows, groups)."""

    def _group_of(self) -> NDArray[np.int64]:
        """The group of each input."""
        return np.arange(self.shape[1]) // self.group

    def _in_order(self) -> bool:
        """Whether a group's inputs lie side by side."""
        return True

    def rows(self, begin: int, end: int) -> _Floats:
        """Return the weights of rows ``[begin, end)``, float32."""
        groups = self._group_of()
        steps = self._codes(begin, end).astype(np.int16) - self._zeros(begin, end)[:, groups]
        weights: _Floats = steps.astype(np.float32)
        weights *= self._scales(begin, end)[:, groups]
        return weights

    @property
    def label(self) -> str:
        """What the tensor is stored as, for people."""
        return f"int{self.bits}"

    @property
    def exact_format(self) -> str | None:
        """The format that takes these codes, scales and zero points as they are, or None.

        Scales and, in 8 bits, codes are read once to find out.
        """
        if not self._looked:
            self._exact = self._find_format()
            self._looked = True
        return self._exact

    def codes(self, begin: int, end: int) -> tuple[_Bytes, _Floats, _Bytes]:
        """Return codes, scales and zero points as ``exact_format`` has them."""
        group = self._our_group()
        assert group is not None
        starts = np.arange(0, self.shape[1], group) // self.group
        scales = np.ascontiguousarray(self._scales(begin, end)[:, starts])
        codes = self._codes(begin, end)
        if self.bits == 8:
            signed = np.bitwise_xor(codes, np.uint8(0x80))  # two's complement of code - 128
            return np.ascontiguousarray(signed), scales, np.zeros(scales.shape, np.uint8)
        zeros = np.ascontiguousarray(self._zeros(begin, end)[:, starts].astype(np.uint8))
        return np.ascontiguousarray(codes), scales, zeros

    def _our_group(self) -> int | None:
        if self._whole_rows:
            return _GROUPS[0]
        return next((size for size in _GROUPS if self.group % size == 0), None)

    def _find_format(self) -> str | None:
        group = self._our_group()
        if group is None or self.bits not in (4, 8) or not self._in_order():
            return None
        scales = self._scales(0, self.shape[0])
        with np.errstate(over="ignore"):
            halves = scales.astype(np.float16)
        if np.signbit(scales).any() or not np.array_equal(halves.astype(np.float32), scales):
            return None
        zeros = self._zeros(0, self.shape[0])
        middle = 1 << (self.bits - 1)
        symmetric = bool((zeros == middle).all())
        if self.bits == 8:
            return f"w8g{group}" if symmetric and not self._holds_zero_code() else None
        if not symmetric and (zeros.min() < 0 or zeros.max() > 15):
            return None
        return f"w4g{group}{'' if symmetric else 'z'}"

    def _holds_zero_code(self) -> bool:
        """Whether a code is -128, which our formats have not."""
        step = max(1, _CHECKED // self.shape[1])
        rows = self.shape[0]
        return any(
            bool((self._codes(at, min(at + step, rows)) == 0).any()) for at in range(0, rows, step)
        )


class _ByColumns(IntegerWeight):
    """GPTQ and AWQ: outputs are columns; scales (groups, outputs), zero points packed beside."""

    def __init__(
        self, shape: tuple[int, int], bits: int, group: int, parts: dict[str, Entry]
    ) -> None:
        super().__init__(shape, bits, group)
        self._parts = parts

    def _scales(self, begin: int, end: int) -> _Floats:
        entry = self._parts["scales"]
        return np.ascontiguousarray(read_numbers(entry, read_columns(entry, begin, end)).T)


class GptqWeight(_ByColumns):
    """AutoGPTQ's layout.

    ``qweight`` (inputs * bits / 32, outputs) holds consecutive inputs in a word, ``qzeros``
    (groups, outputs * bits / 32) consecutive outputs, ``g_idx`` (inputs) the group of each input.
    The first format stores zero points less one.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        bits: int,
        group: int,
        parts: dict[str, Entry],
        zero_offset: int,
    ) -> None:
        """``parts`` by the names above and ``scales``; ``g_idx`` may be missing."""
        super().__init__(shape, bits, group, parts)
        self._zero_offset = zero_offset
        self._order: NDArray[np.int64] | None = None

    def _codes(self, begin: int, end: int) -> _Bytes:
        words = read_columns(self._parts["qweight"], begin, end)
        return unpack(words.T, self.bits)[:, : self.shape[1]]

    def _zeros(self, begin: int, end: int) -> NDArray[np.int16]:
        entry = self._parts["qzeros"]
        first = begin // 32
        last = min(-(-end // 32) * self.bits, entry.shape[1])
        words = read_columns(entry, first * self.bits, last)
        zeros = unpack(words, self.bits)[:, begin - 32 * first : end - 32 * first]
        return _less(zeros.T, -self._zero_offset)

    def _group_of(self) -> NDArray[np.int64]:
        plain = super()._group_of()
        entry = self._parts.get("g_idx")
        if entry is None:
            return plain
        if self._order is None:
            order = read_rows(entry).astype(np.int64)
            groups = self._parts["scales"].shape[0]
            if order.min() < 0 or order.max() >= groups:
                raise CheckpointError(
                    "checkpoint-encoded-value",
                    where=str(entry.file),
                    tensor=entry.name,
                    reason=f"names a group outside of 0 to {groups - 1}",
                )
            self._order = order
        return self._order

    def _in_order(self) -> bool:
        return np.array_equal(self._group_of(), super()._group_of())


class AwqWeight(_ByColumns):
    """AutoAWQ's GEMM layout: ``qweight`` (inputs, outputs / 8), ``qzeros`` (groups, outputs / 8).

    A word holds eight consecutive outputs, in the order 0, 2, 4, 6, 1, 3, 5, 7 from its lowest
    nibble on.
    """

    def _outputs(self, name: str, begin: int, end: int) -> _Bytes:
        first = begin // 8
        nibbles = unpack(read_columns(self._parts[name], first, -(-end // 8)), 4)
        shuffled = nibbles.reshape(len(nibbles), -1, 8)
        outputs = np.empty_like(shuffled)
        outputs[:, :, _AWQ_ORDER] = shuffled
        columns = outputs.reshape(len(nibbles), -1)[:, begin - 8 * first : end - 8 * first]
        return np.ascontiguousarray(columns.T)

    def _codes(self, begin: int, end: int) -> _Bytes:
        return self._outputs("qweight", begin, end)

    def _zeros(self, begin: int, end: int) -> NDArray[np.int16]:
        return self._outputs("qzeros", begin, end).astype(np.int16)


class _ByRows(IntegerWeight):
    """compressed-tensors: outputs are rows; signed codes and zero points, made unsigned here."""

    def __init__(
        self, shape: tuple[int, int], bits: int, group: int, parts: dict[str, Entry]
    ) -> None:
        super().__init__(shape, bits, group)
        self._parts = parts
        self._middle = 1 << (bits - 1)

    def _of_rows(self, name: str, begin: int, end: int) -> NDArray[Any]:
        """Rows of an array (outputs, groups); one that has a single row serves all outputs."""
        entry = self._parts[name]
        if len(entry.shape) < 2 or entry.shape[0] == 1 != self.shape[0]:
            return np.repeat(read_rows(entry).reshape(1, -1), end - begin, axis=0)
        return read_rows(entry, begin, end)

    def _scales(self, begin: int, end: int) -> _Floats:
        return read_numbers(self._parts["scale"], self._of_rows("scale", begin, end))

    def _zeros(self, begin: int, end: int) -> NDArray[np.int16]:
        entry = self._parts.get("zero_point")
        if entry is None:
            groups = -(-self.shape[1] // self.group)
            return np.full((end - begin, groups), self._middle, np.int16)
        if entry.dtype != "I32":
            return _less(self._of_rows("zero_point", begin, end), -self._middle)
        # Packed along the outputs, offset as the codes are.
        first = begin // 32
        last = min(-(-end // 32) * self.bits, entry.shape[0])
        words = read_rows(entry, first * self.bits, last)
        zeros = unpack(words.T, self.bits)[:, begin - 32 * first : end - 32 * first]
        return np.ascontiguousarray(zeros.T).astype(np.int16)

    def _group_of(self) -> NDArray[np.int64]:
        entry = self._parts.get("g_idx")
        if entry is None:
            return super()._group_of()
        order: NDArray[np.int64] = read_rows(entry).astype(np.int64)
        groups = -(-self.shape[1] // self.group)
        if (order == -1).all():  # not filled in
            return super()._group_of()
        if order.min() < 0 or order.max() >= groups:
            raise CheckpointError(
                "checkpoint-encoded-value",
                where=str(entry.file),
                tensor=entry.name,
                reason=f"names a group outside of 0 to {groups - 1}",
            )
        return order

    def _in_order(self) -> bool:
        return np.array_equal(self._group_of(), super()._group_of())


class PackedWeight(_ByRows):
    """``pack-quantized``: ``weight_packed`` (outputs, inputs * bits / 32), codes offset."""

    def _codes(self, begin: int, end: int) -> _Bytes:
        return unpack(read_rows(self._parts["packed"], begin, end), self.bits)[:, : self.shape[1]]


class PlainWeight(_ByRows):
    """``int-quantized``: ``weight`` (outputs, inputs) of signed bytes."""

    def __init__(self, shape: tuple[int, int], group: int, parts: dict[str, Entry]) -> None:
        """Codes of fewer bits lie in bytes all the same."""
        super().__init__(shape, 8, group, parts)

    def _codes(self, begin: int, end: int) -> _Bytes:
        codes: _Bytes = read_rows(self._parts["weight"], begin, end).view(np.uint8)
        codes = np.bitwise_xor(codes, np.uint8(0x80))
        return codes
