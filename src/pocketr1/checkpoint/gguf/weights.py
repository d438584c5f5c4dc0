"""Rows of weights out of a GGUF tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.gguf.blocks import (
    TENSOR_TYPES,
    TensorType,
    q4_0_codes,
    q8_0_codes,
)
from pocketr1.checkpoint.gguf.container import GgufTensor, shown
from pocketr1.checkpoint.reading import read_into
from pocketr1.errors import CheckpointError

__all__ = ["GgufDecoder", "needs_decoder", "rotated_rows"]

_PLAIN: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<u2"),
    "bf16": np.dtype("<u2"),
}


def rotated_rows(begin: int, end: int, head_dim: int) -> NDArray[np.int64]:
    """Return where rows ``[begin, end)`` of a Llama's q or k lie in GGUF, and back the inverse.

    llama.cpp turns neighbouring channels of Llama models by RoPE, Hugging Face's layout channel i
    and i + head_dim / 2: row (half, i) of a head there is row (i, half) in GGUF.
    """
    row = np.arange(begin, end, dtype=np.int64)
    head, inside = np.divmod(row, head_dim)
    half, pair = np.divmod(inside, head_dim // 2)
    return head * head_dim + 2 * pair + half


def needs_decoder(tensor: GgufTensor, head_dim: int | None) -> bool:
    """Whether the file's bytes are not the rows themselves."""
    return head_dim is not None or TENSOR_TYPES[tensor.type].decode is not None


@dataclass(frozen=True)
class GgufDecoder:
    """Implements :class:`pocketr1.checkpoint.decoder.Decoder` for one tensor."""

    path: Path
    tensor: GgufTensor
    head_dim: int | None = None  # rows of a Llama's q and k are in the order of ``rotated_rows``

    @property
    def label(self) -> str:
        """What the file calls the type."""
        return self._type.name

    @property
    def dtype(self) -> str:
        """Of what ``rows`` gives."""
        return self._type.dtype

    @property
    def exact_format(self) -> str | None:
        """w8g32 of Q8_0, w4g32z of Q4_0, and plain elements as they are."""
        return self._type.exact_format

    def rows(self, begin: int, end: int) -> NDArray[Any]:
        """Return rows ``[begin, end)``; see :class:`~pocketr1.checkpoint.decoder.Decoder`."""
        raw = self._raw(begin, end)
        if self._type.decode is None:
            plain = raw.view(_PLAIN[self.dtype])
            return plain if len(self.tensor.shape) == 2 else plain[:, 0]
        # A scale that is no number gives weights that are none, which the quantizer refuses.
        with np.errstate(invalid="ignore", over="ignore"):
            weights = self._type.decode(raw.reshape(-1, self._type.block_bytes))
        return weights.reshape(len(raw), -1)

    def codes(
        self, begin: int, end: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Return codes, scales and zero points; a negative scale becomes positive with its codes.

        Raises:
            CheckpointError: ``checkpoint-gguf-codes`` where a scale is not finite or a code of
                Q8_0 is -128, which llama.cpp does not write.
        """
        raw = self._raw(begin, end)
        blocks = raw.reshape(-1, self._type.block_bytes)
        if self._type.name == "Q8_0":
            signed, scales = q8_0_codes(blocks)
            self._check(raw, np.isfinite(scales).all() and not (signed == -128).any(), begin)
            mirrored = np.where(scales < 0, -signed, signed).astype(np.int8)
            codes, zeros = mirrored.view(np.uint8), np.zeros(scales.shape, np.uint8)
        else:
            nibbles, scales = q4_0_codes(blocks)
            self._check(raw, np.isfinite(scales).all(), begin)
            # (code - 8) * -s is ((15 - code) - 7) * s.
            codes = np.where(scales < 0, np.uint8(15) - nibbles, nibbles)
            zeros = np.where(scales < 0, np.uint8(7), np.uint8(8))
        shape = (end - begin, -1)
        return (
            np.ascontiguousarray(codes.reshape(shape)),
            np.abs(scales).reshape(shape),
            zeros.reshape(shape),
        )

    @property
    def _type(self) -> TensorType:
        return TENSOR_TYPES[self.tensor.type]

    def _raw(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Bytes of rows, (rows, bytes of a row), in the order of the model."""
        assert self.tensor.nbytes is not None
        row_bytes = self.tensor.nbytes // self.tensor.shape[0]
        first, last = begin, end
        if self.head_dim is not None:  # whole heads, of which rows are picked
            first = begin // self.head_dim * self.head_dim
            last = -(-end // self.head_dim) * self.head_dim
        raw: NDArray[np.uint8] = np.empty((last - first, row_bytes), np.uint8)
        place = self.tensor.offset + first * row_bytes
        read_into(self.path, place, raw, shown(self.tensor.name))
        if self.head_dim is not None:
            raw = raw[rotated_rows(begin, end, self.head_dim) - first]
        return raw

    def _check(self, raw: NDArray[np.uint8], right: bool | np.bool_, begin: int) -> None:
        if not right:
            raise CheckpointError(
                "checkpoint-gguf-codes",
                where=str(self.path),
                tensor=shown(self.tensor.name),
                type=self.label,
                rows=f"{begin}-{begin + len(raw) - 1}",
            )
