"""Rows of weights out of a GGUF tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.checkpoint.gguf.blocks import TENSOR_TYPES, TensorType
from pocketr1.checkpoint.gguf.container import GgufTensor, shown
from pocketr1.checkpoint.stored import read_into
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
    places: NDArray[np.int64] = head * head_dim + 2 * pair + half
    return places


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
        """w8g32 of Q8_0, Q5_0 and IQ4_NL, w4g32z of Q4_0, and plain elements as they are."""
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
        assert self._type.steps is not None
        steps, scales = self._type.steps(raw.reshape(-1, self._type.block_bytes))
        self._check(raw, np.isfinite(scales).all() and not (steps == -128).any(), begin)
        negative = scales < 0
        steps = np.where(negative, -steps, steps).astype(np.int8)
        zeros = np.zeros(scales.shape, np.uint8)
        if self.exact_format == "w4g32z":  # -8 to 7 steps, mirrored -7 to 8: codes from 0 to 15
            zeros = np.where(negative, np.uint8(7), np.uint8(8))
        codes = steps.view(np.uint8) + zeros
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
