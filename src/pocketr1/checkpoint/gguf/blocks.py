"""GGUF's tensor types: how each packs weights into blocks, and how they become numbers again.

A block holds a fixed number of consecutive weights of one row. The layouts are those of ggml
(``block_q4_0`` and its like in ``ggml-common.h``); arithmetic is float32 in the order of its
reference code, so that the numbers are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["BY_NAME", "READ", "TENSOR_TYPES", "TensorType", "type_name"]

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

_SUPER = 256  # weights of a block of the K types


@dataclass(frozen=True)
class TensorType:
    """One type: ``decode`` takes blocks (n, block_bytes) and gives weights (n, block_size).

    ``steps``, where codes and scales can be kept: whole numbers (n, block_size) and scales (n, 1)
    of either sign, whose products are the weights. A format of 8 bits holds -127 to 127 steps, one
    of 4 bits -8 to 7, or -7 to 8.
    """

    number: int  # in the file
    name: str
    block_size: int  # weights
    block_bytes: int
    decode: Callable[[Bytes], Floats] | None = None  # None: plain elements, or not read at all
    dtype: str = "f32"  # of what reading gives
    exact_format: str | None = None  # the weight format that keeps it as it is
    steps: Callable[[Bytes], tuple[NDArray[np.int8], Floats]] | None = None


def _half(blocks: Bytes, at: int) -> Floats:
    """The f16 at byte ``at`` of each block, as float32 (n, 1)."""
    pair = np.ascontiguousarray(blocks[:, at : at + 2])
    values: Floats = pair.view("<f2").astype(np.float32)
    return values


def _fields(data: Bytes, run: int, bits: int) -> Bytes:
    """Unpack bytes that hold 8 / ``bits`` fields each.

    Every ``run`` bytes give their lowest fields first, then their next ones, and so on:
    (n, bytes) becomes (n, bytes * 8 / bits).
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    spread: Bytes = (data.reshape(len(data), -1, 1, run) >> shifts) & np.uint8((1 << bits) - 1)
    return spread.reshape(len(data), -1)


def _nibbles(data: Bytes, run: int) -> Bytes:
    return _fields(data, run, 4)


def _scaled(codes: NDArray[Any], scales: Floats, minima: Floats | None = None) -> Floats:
    """Return scale * code (less a minimum), with one scale (n, groups) for codes side by side."""
    shape = (*scales.shape, -1)
    weights: Floats = scales[:, :, None] * codes.reshape(shape).astype(np.float32)
    if minima is not None:
        weights -= minima[:, :, None]
    return weights.reshape(len(codes), -1)


def _products(steps: NDArray[np.int8], scales: Floats) -> Floats:
    return steps.astype(np.float32) * scales


def _q8_0_steps(blocks: Bytes) -> tuple[NDArray[np.int8], Floats]:
    """f16 scale, 32 signed codes."""
    return blocks[:, 2:].view(np.int8), _half(blocks, 0)


def _q4_0_steps(blocks: Bytes) -> tuple[NDArray[np.int8], Floats]:
    """f16 scale, 16 bytes of nibbles; codes about 8."""
    return _nibbles(blocks[:, 2:], 16).view(np.int8) - np.int8(8), _half(blocks, 0)


def _q5_0_steps(blocks: Bytes) -> tuple[NDArray[np.int8], Floats]:
    """f16 scale, 4 bytes of high bits, 16 bytes of nibbles; codes about 16."""
    codes = _nibbles(blocks[:, 6:], 16) | _fifth_bits(blocks[:, 2:6])
    return codes.view(np.int8) - np.int8(16), _half(blocks, 0)


def _iq4_nl_steps(blocks: Bytes) -> tuple[NDArray[np.int8], Floats]:
    """f16 scale, 16 bytes of nibbles that choose among 16 levels."""
    return IQ4_NL_LEVELS[_nibbles(blocks[:, 2:], 16)], _half(blocks, 0)


def _q8_0(blocks: Bytes) -> Floats:
    return _products(*_q8_0_steps(blocks))


def _q4_0(blocks: Bytes) -> Floats:
    return _products(*_q4_0_steps(blocks))


def _q5_0(blocks: Bytes) -> Floats:
    return _products(*_q5_0_steps(blocks))


def _iq4_nl(blocks: Bytes) -> Floats:
    return _products(*_iq4_nl_steps(blocks))


def _q4_1(blocks: Bytes) -> Floats:
    """f16 scale, f16 minimum, 16 bytes of nibbles."""
    weights: Floats = _nibbles(blocks[:, 4:], 16) * _half(blocks, 0) + _half(blocks, 2)
    return weights


def _fifth_bits(data: Bytes) -> Bytes:
    """Bit i of each block's 32-bit word is the high bit of code i: (n, 4) becomes (n, 32)."""
    bits = np.unpackbits(np.ascontiguousarray(data), axis=1, bitorder="little")
    shifted: Bytes = bits << np.uint8(4)
    return shifted


def _q5_1(blocks: Bytes) -> Floats:
    """f16 scale, f16 minimum, 4 bytes of high bits, 16 bytes of nibbles."""
    codes = _nibbles(blocks[:, 8:], 16) | _fifth_bits(blocks[:, 4:8])
    weights: Floats = codes * _half(blocks, 0) + _half(blocks, 2)
    return weights


def _q2_k(blocks: Bytes) -> Floats:
    """16 bytes of (scale, minimum) nibbles, 64 bytes of 2-bit codes, f16 scales of the two."""
    levels = blocks[:, :16]
    codes = _fields(blocks[:, 16:80], 32, 2)
    scales = _half(blocks, 80) * (levels & np.uint8(15)).astype(np.float32)
    minima = _half(blocks, 82) * (levels >> np.uint8(4)).astype(np.float32)
    return _scaled(codes, scales, minima)


def _q3_k(blocks: Bytes) -> Floats:
    """32 bytes of high bits, 64 bytes of 2-bit codes, 12 bytes of 6-bit scales, f16 scale.

    A code is 0 to 3, less 4 where its high bit is not set. Scales are about 32: their low nibbles
    lie in 8 bytes, the upper two bits in 4.
    """
    high = _fields(blocks[:, :32], 32, 1)
    codes = (
        _fields(blocks[:, 32:96], 32, 2).astype(np.int8) - np.int8(4) + (high << 2).view(np.int8)
    )
    packed = blocks[:, 96:108]
    levels = _nibbles(packed[:, :8], 8) | (_fields(packed[:, 8:], 4, 2) << np.uint8(4))
    scales = _half(blocks, 108) * (levels.astype(np.float32) - np.float32(32))
    return _scaled(codes, scales)


def _six_bit_levels(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Return 8 scales and 8 minima of 6 bits each from 12 bytes, (n, 8) both.

    Bytes 0 to 3 and 4 to 7 hold the first four scales and minima; their top bits and the nibbles of
    bytes 8 to 11 make the last four.
    """
    first, second, last = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    top = np.uint8(0x30)
    scales = np.hstack((first & np.uint8(63), (last & np.uint8(15)) | (first >> 2 & top)))
    minima = np.hstack((second & np.uint8(63), (last >> np.uint8(4)) | (second >> 2 & top)))
    return scales, minima


def _q45_k(blocks: Bytes, codes: Bytes) -> Floats:
    scales, minima = _six_bit_levels(blocks[:, 4:16])
    return _scaled(codes, _half(blocks, 0) * scales, _half(blocks, 2) * minima)


def _q4_k(blocks: Bytes) -> Floats:
    """f16 scale, f16 scale of the minima, 12 bytes of 6-bit levels, 128 bytes of nibbles."""
    return _q45_k(blocks, _nibbles(blocks[:, 16:], 32))


def _q5_k(blocks: Bytes) -> Floats:
    """As Q4_K with 32 bytes of high bits before the nibbles."""
    high = _fields(blocks[:, 16:48], 32, 1) << np.uint8(4)
    return _q45_k(blocks, _nibbles(blocks[:, 48:], 32) | high)


def _q6_k(blocks: Bytes) -> Floats:
    """128 bytes of nibbles, 64 bytes of upper 2 bits, 16 signed scales, f16 scale; about 32."""
    high = _fields(blocks[:, 128:192], 32, 2) << np.uint8(4)
    codes = _nibbles(blocks[:, :128], 64) | high
    scales = _half(blocks, 208) * blocks[:, 192:208].view(np.int8).astype(np.float32)
    return _scaled(codes.view(np.int8) - np.int8(32), scales)


# The 16 levels of IQ4_NL and IQ4_XS (kvalues_iq4nl in ggml-common.h).
IQ4_NL_LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)


def _iq4_xs(blocks: Bytes) -> Floats:
    """f16 scale, 16 upper bits and 4 bytes of nibbles of 8 scales about 32, nibbles as IQ4_NL."""
    levels = _nibbles(blocks[:, 4:8], 1) | (_fields(blocks[:, 2:4], 1, 2) << np.uint8(4))
    scales = _half(blocks, 0) * (levels.astype(np.float32) - np.float32(32))
    return _scaled(IQ4_NL_LEVELS[_nibbles(blocks[:, 8:], 16)], scales)


READ: tuple[TensorType, ...] = (
    TensorType(0, "F32", 1, 4, exact_format="f32"),
    TensorType(1, "F16", 1, 2, dtype="f16", exact_format="f16"),
    TensorType(30, "BF16", 1, 2, dtype="bf16", exact_format="bf16"),
    TensorType(8, "Q8_0", 32, 34, _q8_0, exact_format="w8g32", steps=_q8_0_steps),
    TensorType(2, "Q4_0", 32, 18, _q4_0, exact_format="w4g32z", steps=_q4_0_steps),
    TensorType(3, "Q4_1", 32, 20, _q4_1),
    TensorType(6, "Q5_0", 32, 22, _q5_0, exact_format="w8g32", steps=_q5_0_steps),
    TensorType(7, "Q5_1", 32, 24, _q5_1),
    TensorType(10, "Q2_K", _SUPER, 84, _q2_k),
    TensorType(11, "Q3_K", _SUPER, 110, _q3_k),
    TensorType(12, "Q4_K", _SUPER, 144, _q4_k),
    TensorType(13, "Q5_K", _SUPER, 176, _q5_k),
    TensorType(14, "Q6_K", _SUPER, 210, _q6_k),
    TensorType(20, "IQ4_NL", 32, 18, _iq4_nl, exact_format="w8g32", steps=_iq4_nl_steps),
    TensorType(23, "IQ4_XS", _SUPER, 136, _iq4_xs),
)
TENSOR_TYPES = {row.number: row for row in READ}
BY_NAME = {row.name: row for row in READ}

# Types that exist and are not read, so that an error can name them.
_OTHERS = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
}


def type_name(number: int) -> str:
    """Return what a type is called, for a message."""
    row = TENSOR_TYPES.get(number)
    return row.name if row else _OTHERS.get(number, f"type {number}")
