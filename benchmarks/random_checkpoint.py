"""Write a random checkpoint of a published shape, for speed and memory work.

    python benchmarks/random_checkpoint.py r1-distill-qwen-1.5b /tmp/r1-random

The directory looks as if it had been downloaded: config.json with every published entry, BF16
safetensors in shards of at most 5 GB, generation_config.json, a tokenizer. It appears under its
name when it is complete. The tokenizer is R1's own where POCKETR1_DATA has it and it fits the
shape, otherwise a byte-level one with R1's tags and template.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from byte_tokenizer import write_tokenizer
from numpy.typing import NDArray
from shapes import SHAPES, generation_config

from pocketr1 import arch

SHARD_BYTES = 5 * 10**9  # the default of transformers' save_pretrained
SIGMA = 0.02  # the initializer_range of every published config
POOL = 1 << 22  # weights drawn once; each slab starts somewhere else in them
SLAB = 1 << 20  # weights written at a time
REAL_TOKENIZER = Path("tokenizers/deepseek-r1-distill-qwen")
REAL_TOKENIZER_SIZE = 151665  # ids 0 .. 151664
REAL_BOS = 151646


def bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to BF16 bit patterns, to nearest even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


class Weights:
    """Random BF16 tensors of realistic scale; the same seed gives the same bytes."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        normal = self._rng.standard_normal(POOL, np.float32)
        self._pool = bf16(normal * np.float32(SIGMA))

    def chunks(self, name: str, size: int) -> Iterator[NDArray[np.uint16]]:
        """Yield ``size`` weights of the tensor of that canonical name."""
        kind = name.split(".", 2)[-1] if name.startswith("layers.") else name
        if "norm" in kind:
            yield bf16(1 + 0.1 * self._rng.standard_normal(size, np.float32))
        elif kind == "k.bias":
            # Qwen2's key biases hold a few channels that dwarf the rest.
            values = self._rng.standard_normal(size, np.float32)
            values[self._rng.random(size) < 0.02] *= np.float32(50)
            yield bf16(values)
        elif kind.endswith(".bias"):
            yield bf16(self._rng.standard_normal(size, np.float32) * np.float32(0.1))
        else:
            for start in range(0, size, SLAB):
                count = min(SLAB, size - start)
                at = int(self._rng.integers(0, POOL - count + 1))
                yield self._pool[at : at + count]


def shard_names(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> list[list[str]]:
    """Cut the tensors, in their order, into shards of at most SHARD_BYTES."""
    shards: list[list[str]] = [[]]
    filled = 0
    for source, (_, shape) in tensors.items():
        size = 2 * math.prod(shape)
        if shards[-1] and filled + size > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(source)
        filled += size
    return shards


def write_shard(
    file: BinaryIO,
    tensors: dict[str, tuple[str, tuple[int, ...]]],
    sources: list[str],
    weights: Weights,
) -> int:
    """Write one safetensors file; return the bytes of its tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for source in sorted(sources):
        end = offset + 2 * math.prod(tensors[source][1])
        header[source] = {
            "dtype": "BF16",
            "shape": list(tensors[source][1]),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for source in sorted(sources):
        canonical, shape = tensors[source]
        for chunk in weights.chunks(canonical, math.prod(shape)):
            file.write(chunk.astype("<u2", copy=False).data)
    return offset


def write_weights(directory: Path, config: dict[str, Any], seed: int) -> int:
    """Write all shards and, where there are several, the index; return the bytes of the tensors."""
    model = arch.from_config(config, directory / "config.json")
    shapes = arch.expected_tensors(model.spec)
    tensors = {model.tensor_names[name]: (name, shape) for name, shape in shapes.items()}
    shards = shard_names(tensors)
    weights = Weights(seed)
    weight_map, total = {}, 0
    for number, sources in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        if len(shards) == 1:
            name = "model.safetensors"
        with (directory / name).open("wb") as file:
            total += write_shard(file, tensors, sources, weights)
        weight_map |= dict.fromkeys(sources, name)
        print(f"{name}: {total / 1e9:.2f} GB so far", file=sys.stderr)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": total},
            "weight_map": dict(sorted(weight_map.items())),
        }
        (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    return total


def write_companions(directory: Path, config: dict[str, Any]) -> None:
    """Write config, generation config and tokenizer."""
    generation = generation_config(config)
    source = Path(os.environ.get("POCKETR1_DATA", "../shared/data")) / REAL_TOKENIZER
    real_fits = config["vocab_size"] >= REAL_TOKENIZER_SIZE and generation["bos_token_id"] == (
        REAL_BOS
    )
    if real_fits and (source / "tokenizer.json").is_file():
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(source / name, directory / name)
    else:
        bos, eos = generation["bos_token_id"], generation["eos_token_id"]
        write_tokenizer(directory, config["vocab_size"], bos, eos)
    for name, content in (("config.json", config), ("generation_config.json", generation)):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n")


def write_checkpoint(out: Path, config: dict[str, Any], seed: int) -> int:
    """Write everything beside ``out`` and rename it when it is complete."""
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        write_companions(partial, config)
        total = write_weights(partial, config, seed)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return total


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("shape", choices=sorted(SHAPES), metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to create")
    parser.add_argument("--layers", type=int, metavar="N", help="fewer layers than published")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the weights (0)")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists already; remove it or choose another name")
    config = dict(SHAPES[options.shape])
    if options.layers is not None:
        if options.layers < 1:
            parser.error("--layers must be at least 1")
        config["num_hidden_layers"] = options.layers
    start = time.perf_counter()
    total = write_checkpoint(options.out, config, options.seed)
    seconds = time.perf_counter() - start
    print(f"{options.out}: {options.shape}, {total / 1e9:.2f} GB in {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
