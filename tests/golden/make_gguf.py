"""Write ``gguf/blocks.npz``: blocks of GGUF's tensor types, and what they stand for.

    python tests/golden/make_gguf.py        (needs the package gguf, 0.19)

``TYPE.blocks`` are bytes (blocks, bytes of a block), ``TYPE.weights`` the float32 that the package
``gguf`` of llama.cpp's project makes of them. Every bit of the blocks is random, so that every
field matters, but for f16 scales, which are numbers of either sign.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

OUT = Path(__file__).parent / "gguf" / "blocks.npz"
# Where the f16 scales and minima of a block lie.
SCALES = {
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}


def main() -> None:
    """Draw, decode, save."""
    rng = np.random.default_rng(20261126)
    arrays = {}
    for name, places in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        size, nbytes = gguf.GGML_QUANT_SIZES[kind]
        count = 1024 // size * 4
        blocks = rng.integers(0, 256, (count, nbytes), dtype=np.uint8)
        for place in places:
            scales = rng.standard_normal(count).astype(np.float16)
            blocks[:, place : place + 2] = scales[:, None].view(np.uint8)
        weights = gguf.quants.dequantize(blocks, kind)
        arrays[f"{name}.blocks"] = blocks
        arrays[f"{name}.weights"] = weights.reshape(count, size)
    np.savez_compressed(OUT, **arrays)


if __name__ == "__main__":
    main()
