"""A small bundle, written from docs/reference/bundle-format.md alone.

The writing shares no code with the package: it is a second reading of the same page.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pocketr1 import _core
from pocketr1.errors import BundleError

Json = dict[str, Any]

SHARD_0 = "blocks/00000.safetensors"
SHARD_1 = "blocks/00001.safetensors"
SEGMENT_ALIGNMENT = 16_384
PART_ALIGNMENT = 64
CHUNK = 4 * 2**20
DTYPE = {"f32": ("F32", 4), "f16": ("F16", 2), "bf16": ("BF16", 2)}


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass
class Tensor:
    """One tensor of the fixture; ``starts`` are the first rows of its parts."""

    name: str
    format: str
    shape: list[int]
    starts: list[int] = field(default_factory=lambda: [0])

    def parts(self) -> list[tuple[int, int]]:
        """(row, rows) of each part."""
        ends = [*self.starts[1:], self.shape[0]]
        return [(start, end - start) for start, end in zip(self.starts, ends, strict=True)]


@dataclass
class Entry:
    """One array of a shard: its entry in the safetensors header, and its bytes."""

    name: str
    dtype: str
    shape: list[int]
    data: bytes


# One list per segment, one list of segments per shard: every kind of format, of one, two and three
# parts, sizes that are no multiple of 16 or of the group.
SHARDS: list[list[list[tuple[str, int]]]] = [
    [
        [("embed.weight", 0)],
        [("embed.weight", 1)],
        [
            ("layers.0.attn_norm.weight", 0),
            ("layers.0.q.weight", 0),
            ("layers.0.k.weight", 0),
            ("layers.0.k.bias", 0),
        ],
    ],
    [
        [("layers.1.down.weight", 0), ("layers.1.up.weight", 0)],
        [("layers.1.down.weight", 1), ("layers.1.down.weight", 2)],
        [("final_norm.weight", 0), ("head.weight", 0)],
    ],
]
TENSORS = [
    Tensor("embed.weight", "w4g32", [40, 40], [0, 32]),
    Tensor("layers.0.attn_norm.weight", "f32", [40]),
    Tensor("layers.0.q.weight", "w8g64", [24, 40]),
    Tensor("layers.0.k.weight", "w4g64z", [17, 40]),
    Tensor("layers.0.k.bias", "f32", [17]),
    Tensor("layers.1.down.weight", "w4g128z", [40, 136], [0, 16, 32]),
    Tensor("layers.1.up.weight", "bf16", [9, 40]),
    Tensor("final_norm.weight", "f32", [40]),
    Tensor("head.weight", "f16", [40, 40]),
]


def part_entries(tensor: Tensor, part: int, rng: random.Random) -> list[Entry]:
    """The arrays of one part, with random values that the format allows."""
    row, rows = tensor.parts()[part]
    name = tensor.name if len(tensor.starts) == 1 else f"{tensor.name}@{row}"
    if tensor.format in DTYPE:
        dtype, size = DTYPE[tensor.format]
        shape = [rows, *tensor.shape[1:]]
        count = rows * (tensor.shape[1] if len(tensor.shape) == 2 else 1)
        return [Entry(name, dtype, shape, rng.randbytes(count * size))]
    bits, group = int(tensor.format[1]), int(tensor.format[3:].rstrip("z"))
    blocks, groups = up(rows, 16) // 16, up(tensor.shape[1], group) // group
    tiles = groups * group * bits // 32
    codes = bytes(
        byte if bits < 8 or byte != 0x80 else 0 for byte in rng.randbytes(blocks * tiles * 64)
    )
    least = -2 if bits < 4 and not tensor.format.endswith("z") else 0
    scales = b"".join(struct.pack("<e", rng.uniform(least, 2)) for _ in range(blocks * groups * 16))
    entries = [
        Entry(f"{name}.codes", "U8", [blocks, tiles, 64], codes),
        Entry(f"{name}.scales", "F16", [blocks, groups, 16], scales),
    ]
    if tensor.format.endswith("z"):
        zeros = bytes(rng.randrange(2**bits) for _ in range(blocks * groups * 16))
        entries.append(Entry(f"{name}.zeros", "U8", [blocks, groups, 16], zeros))
    return entries


def shard_bytes(header: Json, data: bytes) -> bytes:
    """A safetensors file whose data area starts on a 16 KiB boundary."""
    text = json.dumps(header).encode()
    text = text.ljust(up(8 + len(text), SEGMENT_ALIGNMENT) - 8)
    return struct.pack("<Q", len(text)) + text + data


def chunk_rows(content: bytes) -> list[Json]:
    return [
        {"encoding": "raw", "sha256": hashlib.sha256(content[at : at + CHUNK]).hexdigest()}
        for at in range(0, len(content), CHUNK)
    ]


@dataclass
class BundleFixture:
    """A bundle in memory, to be edited and written.

    ``headers`` and ``data`` are those of the shards; ``metadata`` is bundle.json, without the
    shards' sizes and hashes, which ``write`` fills in unless ``metadata["shards"]`` is there.
    """

    metadata: Json
    headers: list[Json]
    data: list[bytearray]
    extra: dict[str, bytes]

    def shard_files(self) -> list[bytes]:
        return [
            shard_bytes(header, bytes(data))
            for header, data in zip(self.headers, self.data, strict=True)
        ]

    def files(self) -> dict[str, bytes]:
        """Every file of the bundle by its relative name."""
        shards = {f"blocks/{i:05}.safetensors": s for i, s in enumerate(self.shard_files())}
        metadata = dict(self.metadata)
        metadata.setdefault(
            "shards",
            [
                {"file": name, "size": len(content), "chunks": chunk_rows(content)}
                for name, content in shards.items()
            ],
        )
        return {"bundle.json": json.dumps(metadata).encode(), **shards, **self.extra}

    def fix_shards(self) -> list[Json]:
        """Put the shard table into the metadata, to be edited there."""
        if "shards" not in self.metadata:
            self.metadata["shards"] = json.loads(self.files()["bundle.json"])["shards"]
        rows: list[Json] = self.metadata["shards"]
        return rows


@dataclass
class ShardBuilder:
    """Lays entries down behind each other, with padding entries where a boundary asks for it."""

    header: Json = field(default_factory=lambda: {"__metadata__": {"format": "pocketr1"}})
    data: bytearray = field(default_factory=bytearray)
    paddings: int = 0

    def offset(self) -> int:
        """From the start of the file; the fixture's headers fit in its first 16 KiB."""
        return SEGMENT_ALIGNMENT + len(self.data)

    def put(self, entry: Entry) -> None:
        begin = len(self.data)
        self.data.extend(entry.data)
        self.header[entry.name] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": [begin, len(self.data)],
        }

    def pad(self, multiple: int) -> None:
        gap = -len(self.data) % multiple
        if gap:
            self.put(Entry(f"padding.{self.paddings}", "U8", [gap], bytes(gap)))
            self.paddings += 1


def build(seed: int = 0, formats: dict[str, str] | None = None) -> BundleFixture:
    """The bundle of ``TENSORS``; ``formats`` gives tensors by name another."""
    rng = random.Random(seed)
    every = [replace(t, format=(formats or {}).get(t.name, t.format)) for t in TENSORS]
    tensors = {tensor.name: tensor for tensor in every}
    fixture = BundleFixture({}, [], [], {})
    segments: list[Json] = []
    for shard, shard_segments in enumerate(SHARDS):
        builder = ShardBuilder()
        for members in shard_segments:
            builder.pad(SEGMENT_ALIGNMENT)
            segment: Json = {"shard": shard, "offset": builder.offset(), "size": 0, "parts": []}
            for name, part in members:
                builder.pad(PART_ALIGNMENT)
                row, rows = tensors[name].parts()[part]
                segment["parts"].append(
                    {"tensor": name, "row": row, "rows": rows, "offset": builder.offset()}
                )
                for entry in part_entries(tensors[name], part, rng):
                    builder.put(entry)
            segment["size"] = builder.offset() - segment["offset"]
            segments.append(segment)
        fixture.headers.append(builder.header)
        fixture.data.append(builder.data)

    tokenizer = b'{"version": "1.0"}'
    fixture.extra["tokenizer.json"] = tokenizer
    fixture.metadata = {
        "format": "pocketr1.bundle",
        "version": 1,
        "created_by": "tests",
        "model": {"architecture": "qwen2", "hidden_size": 40, "layers": [{}, {}]},
        "tokenizer": {
            "files": {
                "tokenizer.json": {
                    "size": len(tokenizer),
                    "sha256": hashlib.sha256(tokenizer).hexdigest(),
                }
            }
        },
        "calibration": None,
        "tensors": [{"name": t.name, "format": t.format, "shape": t.shape} for t in every],
        "segments": segments,
    }
    return fixture


def write(files: dict[str, bytes], path: Path) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def refusal(path: Path, mmap: bool = True) -> BundleError:
    """The error that opening gives; not giving one fails the test."""
    with pytest.raises(BundleError) as caught:
        _core.Bundle.open(str(path), mmap)
    assert str(caught.value)  # its text exists and takes its parameters
    return caught.value
