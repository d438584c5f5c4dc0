"""Codes, scales and zero points of a bundle's tensors, in row-major order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core
from pocketr1.bundle.layout import FLOAT8, group_size
from pocketr1.errors import BundleError

__all__ = ["UnpackedTensor", "read_weights", "unpack"]


@dataclass(frozen=True)
class UnpackedTensor:
    """A quantized matrix; a weight is ``(code - zero) * scale`` of its row and group.

    In f8e4m3 it is the code's value times the scale, as :func:`read_weights` gives it.
    """

    name: str
    format: str  # w8g128, w4g64z, f8e4m3, …
    codes: NDArray[Any]  # (rows, columns); int8 in 8 bits, uint8 in fewer and of FP8's bits
    scales: NDArray[np.float32]  # (rows, groups)
    zeros: NDArray[np.uint8]  # (rows, groups); without zero points 8, 4, 2 (4, 3, 2 bits) or 0

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights, float32 (rows, columns), as the engine's scalar kernels see them."""
        if self.format == FLOAT8:
            part = _core.pack_rows(self.codes, self.scales, self.zeros, self.format)
            return _core.dequantize_rows(part, self.format, *self.codes.shape)
        group = np.arange(self.codes.shape[1]) // group_size(self.format)
        steps = self.codes.astype(np.int16) - self.zeros.astype(np.int16)[:, group]
        weights: NDArray[np.float32] = steps.astype(np.float32) * self.scales[:, group]
        return weights


def unpack(bundle: str | Path | _core.Bundle, tensor: str) -> UnpackedTensor:
    """Return codes, scales and zero points of a tensor in a format that has them.

    Raises:
        BundleError: the bundle cannot be read, lacks the tensor (``bundle-no-tensor``), or keeps it
            row-major (``bundle-row-major``; ``read_weights`` reads those).
    """
    weight_format, shape, parts = _find(bundle, tensor)
    if not group_size(weight_format):
        raise BundleError("bundle-row-major", tensor=tensor, format=weight_format)
    slabs = [_core.unpack_rows(data, weight_format, rows, shape[1]) for data, rows in parts]
    codes, scales, zeros = (np.concatenate(arrays) for arrays in zip(*slabs, strict=True))
    return UnpackedTensor(tensor, weight_format, codes, scales, zeros)


def read_weights(bundle: str | Path | _core.Bundle, tensor: str) -> NDArray[np.float32]:
    """Return the weights of a tensor in any format, float32, in the tensor's shape.

    Raises:
        BundleError: the bundle cannot be read, or lacks the tensor (``bundle-no-tensor``).
    """
    weight_format, shape, parts = _find(bundle, tensor)
    cols = shape[1] if len(shape) == 2 else 1
    slabs = [_core.dequantize_rows(data, weight_format, rows, cols) for data, rows in parts]
    return np.concatenate(slabs).reshape(shape)


def _find(
    bundle: str | Path | _core.Bundle, name: str
) -> tuple[str, list[int], Iterator[tuple[NDArray[np.uint8], int]]]:
    """Return format, shape, and of each part its bytes and rows."""
    opened = bundle if isinstance(bundle, _core.Bundle) else _core.Bundle.open(str(bundle))
    for row, weight_format, shape, parts in opened.tensors():
        if row == name:
            data = ((opened.part_bytes(name, i), part[1]) for i, part in enumerate(parts))
            return weight_format, list(shape), data
    raise BundleError("bundle-no-tensor", tensor=name)
