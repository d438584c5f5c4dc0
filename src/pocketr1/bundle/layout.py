"""Where every byte of a bundle goes, known before any weight is read.

A pure function of the tensors' names, formats and shapes; docs/reference/bundle-format.md has the
rules.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pocketr1 import _core
from pocketr1.errors import BundleError

__all__ = [
    "CHUNK_BYTES",
    "FLOAT8",
    "BundleLayout",
    "Part",
    "Segment",
    "Shard",
    "TensorPlan",
    "group_size",
    "plan_layout",
    "signed_scales",
    "weight_bits",
]

SHARD_LIMIT = 512_000_000  # bytes
SEGMENT_LIMIT = 32_000_000  # bytes
SEGMENT_ALIGNMENT = 16_384
PART_ALIGNMENT = 64
BLOCK_ROWS = 16
CHUNK_BYTES = 4 << 20  # what one SHA-256 covers

FLOAT8 = "f8e4m3"
_FLOAT8_GROUP = 128
_ROW_MAJOR = {"f32": "F32", "f16": "F16", "bf16": "BF16"}


@dataclass(frozen=True)
class TensorPlan:
    """One tensor of the bundle: its canonical name, weight format and shape."""

    name: str
    format: str
    shape: tuple[int, ...]  # (rows, columns), or (n,) of a vector

    @property
    def rows(self) -> int:
        """Rows; a vector of n is n rows of one."""
        return self.shape[0]

    @property
    def cols(self) -> int:
        """Inputs of a row."""
        return self.shape[1] if len(self.shape) == 2 else 1

    @property
    def parameters(self) -> int:
        """Weights, padding not counted."""
        return math.prod(self.shape)

    @property
    def in_decoder(self) -> bool:
        """Whether it counts for the decoder: everything but embedding and head."""
        return self.name not in ("embed.weight", "head.weight")


@dataclass(frozen=True)
class Part:
    """A range of rows of one tensor."""

    tensor: int  # index
    row: int
    rows: int
    offset: int  # bytes from the start of the shard file
    codes: int  # bytes; of the elements where the format is row-major
    scales: int  # bytes
    zeros: int  # bytes

    @property
    def size(self) -> int:
        """Bytes: codes, scales and zero points."""
        return self.codes + self.scales + self.zeros


@dataclass(frozen=True)
class Segment:
    """A range of a shard that is streamed, pinned and resumed as one."""

    shard: int  # index
    offset: int  # bytes from the start of the shard file
    size: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Shard:
    """One file."""

    file: str  # relative to the bundle
    size: int
    header: bytes  # all bytes before the data area


@dataclass(frozen=True)
class BundleLayout:
    """Tensors, shards and segments of a bundle, segments in decode order."""

    tensors: tuple[TensorPlan, ...]
    shards: tuple[Shard, ...]
    segments: tuple[Segment, ...]

    @property
    def file_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.size for shard in self.shards)

    def tensor_bytes(self) -> list[int]:
        """Bytes of each tensor: codes, scales, zero points and dimension padding."""
        sizes = [0] * len(self.tensors)
        for segment in self.segments:
            for part in segment.parts:
                sizes[part.tensor] += part.size
        return sizes

    def segment_rows(self) -> list[dict[str, object]]:
        """The ``segments`` of bundle.json."""
        return [
            {
                "shard": segment.shard,
                "offset": segment.offset,
                "size": segment.size,
                "parts": [
                    {
                        "tensor": self.tensors[part.tensor].name,
                        "row": part.row,
                        "rows": part.rows,
                        "offset": part.offset,
                    }
                    for part in segment.parts
                ],
            }
            for segment in self.segments
        ]


def group_size(weight_format: str) -> int:
    """Inputs that share a scale; 0 where the format has no scales."""
    if weight_format == FLOAT8:
        return _FLOAT8_GROUP
    return 0 if weight_format in _ROW_MAJOR else int(weight_format[3:].rstrip("z"))


def weight_bits(weight_format: str) -> int:
    """Bits of a code, or of an element where the format is row-major."""
    return {"f32": 32, "f16": 16, "bf16": 16}.get(weight_format) or int(weight_format[1])


def signed_scales(weight_format: str) -> bool:
    """Whether scales may be negative: where codes reach much further to one side."""
    return weight_format.startswith(("w3g", "w2g")) and not weight_format.endswith("z")


def plan_layout(tensors: Sequence[TensorPlan]) -> BundleLayout:
    """Place tensors, given in decode order, in segments and shards.

    Consecutive tensors of a layer share a segment while they fit; a tensor too large for one is
    cut into even slabs of rows, a segment each.

    Raises:
        BundleError: ``bundle-tensor-too-wide`` where 16 rows of a matrix, or a
            vector, exceed a segment.
    """
    tensors = tuple(tensors)
    slabs = list(_segments(tensors))
    counts = [0] * len(tensors)
    for parts in slabs:
        for part in parts:
            counts[part.tensor] += 1
    drafts: list[_ShardDraft] = []
    for parts in slabs:
        names = [_part_name(tensors[p.tensor], p, counts[p.tensor] > 1) for p in parts]
        draft = drafts[-1] if drafts else None
        if draft is None or not draft.add(tensors, parts, names):
            drafts.append(_ShardDraft())
            drafts[-1].add(tensors, parts, names)
    shards: list[Shard] = []
    segments: list[Segment] = []
    for index, draft in enumerate(drafts):
        header = draft.header()
        shards.append(Shard(f"blocks/{index:05}.safetensors", len(header) + draft.data, header))
        segments += (segment.placed(index, len(header)) for segment in draft.segments)
    return BundleLayout(tensors, tuple(shards), tuple(segments))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class _Slab:
    """A part before it has a place."""

    tensor: int
    row: int
    rows: int
    codes: int
    scales: int
    zeros: int

    @property
    def size(self) -> int:
        return self.codes + self.scales + self.zeros


def _slabs(tensors: Sequence[TensorPlan], index: int) -> list[_Slab]:
    """Cut a tensor into as few even slabs as fit in a segment each."""
    tensor = tensors[index]

    def slab(row: int, rows: int) -> _Slab:
        return _Slab(index, row, rows, *_core.packed_size(tensor.format, rows, tensor.cols))

    whole = slab(0, tensor.rows)
    if whole.size <= SEGMENT_LIMIT:
        return [whole]
    block = slab(0, BLOCK_ROWS).size
    if block > SEGMENT_LIMIT or len(tensor.shape) == 1:
        raise BundleError("bundle-tensor-too-wide", tensor=tensor.name, shape=tensor.shape)
    blocks = -(-tensor.rows // BLOCK_ROWS)
    pieces = -(-blocks // (SEGMENT_LIMIT // block))
    starts = [blocks * piece // pieces * BLOCK_ROWS for piece in range(pieces)]
    ends = [*starts[1:], tensor.rows]
    return [slab(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _layer(name: str) -> str:
    return name.split(".")[1] if name.startswith("layers.") else ""


def _segments(tensors: Sequence[TensorPlan]) -> Iterator[list[_Slab]]:
    """Yield the parts of each segment."""
    current: list[_Slab] = []
    filled = 0
    for index, tensor in enumerate(tensors):
        slabs = _slabs(tensors, index)
        same_layer = not current or _layer(tensors[current[-1].tensor].name) == _layer(tensor.name)
        after = _up(filled, PART_ALIGNMENT) + slabs[0].size
        if current and (len(slabs) > 1 or not same_layer or after > SEGMENT_LIMIT):
            yield current
            current, filled = [], 0
        if len(slabs) > 1:
            yield from ([slab] for slab in slabs)
        else:
            current.append(slabs[0])
            filled = _up(filled, PART_ALIGNMENT) + slabs[0].size
    if current:
        yield current


def _part_name(tensor: TensorPlan, slab: _Slab, several: bool) -> str:
    return f"{tensor.name}@{slab.row}" if several else tensor.name


def _arrays(
    tensor: TensorPlan, slab: _Slab, name: str
) -> Iterator[tuple[str, str, list[int], int]]:
    """Yield (entry name, dtype, shape, bytes) of a part's arrays, in the order of their data."""
    if tensor.format in _ROW_MAJOR:
        yield name, _ROW_MAJOR[tensor.format], [slab.rows, *tensor.shape[1:]], slab.codes
        return
    if tensor.format == FLOAT8:
        inputs = slab.codes // slab.rows
        groups = inputs // _FLOAT8_GROUP
        yield f"{name}.codes", "F8_E4M3", [slab.rows, inputs], slab.codes
        yield f"{name}.scales", "F32", [slab.rows, groups], slab.scales
        return
    blocks = -(-slab.rows // BLOCK_ROWS)
    groups = slab.scales // 2 // BLOCK_ROWS // blocks
    yield f"{name}.codes", "U8", [blocks, slab.codes // blocks // 64, 64], slab.codes
    yield f"{name}.scales", "F16", [blocks, groups, BLOCK_ROWS], slab.scales
    if slab.zeros:
        yield f"{name}.zeros", "U8", [blocks, groups, BLOCK_ROWS], slab.zeros


@dataclass(frozen=True)
class _SegmentDraft:
    """A segment whose offsets count from the start of the shard's data area."""

    offset: int
    size: int
    parts: list[tuple[_Slab, int]]

    def placed(self, shard: int, data_start: int) -> Segment:
        return Segment(
            shard,
            data_start + self.offset,
            self.size,
            tuple(
                Part(s.tensor, s.row, s.rows, data_start + offset, s.codes, s.scales, s.zeros)
                for s, offset in self.parts
            ),
        )


@dataclass
class _ShardDraft:
    """A shard while it fills."""

    segments: list[_SegmentDraft] = field(default_factory=list)
    entries: list[tuple[str, str, list[int], int, int]] = field(default_factory=list)
    data: int = 0  # bytes in the data area
    text: int = 128  # upper bound of the header's bytes

    def add(self, tensors: Sequence[TensorPlan], slabs: list[_Slab], names: list[str]) -> bool:
        """Append a segment; False, and nothing changes, where the shard would grow too large."""
        start = _up(self.data, SEGMENT_ALIGNMENT)
        end = start
        entries: list[tuple[str, str, list[int], int, int]] = []
        parts: list[tuple[_Slab, int]] = []
        for slab, name in zip(slabs, names, strict=True):
            end = _up(end, PART_ALIGNMENT)
            parts.append((slab, end))
            for entry, dtype, shape, size in _arrays(tensors[slab.tensor], slab, name):
                entries.append((entry, dtype, shape, end, end + size))
                end += size
        # An entry is its name and at most 160 more bytes, and padding may stand before each.
        text = self.text + sum(len(json.dumps(entry[0])) + 320 for entry in entries)
        header = _up(8 + text, SEGMENT_ALIGNMENT)
        if self.segments and header + end > SHARD_LIMIT:
            return False
        self.segments.append(_SegmentDraft(start, end - start, parts))
        self.entries += entries
        self.data, self.text = end, text
        return True

    def header(self) -> bytes:
        """The safetensors header, padded so that the data area starts on a segment's boundary."""
        header: dict[str, object] = {"__metadata__": {"format": "pocketr1.bundle"}}
        filled = 0
        paddings = 0
        for name, dtype, shape, begin, end in self.entries:
            if begin > filled:
                header[f"padding.{paddings}"] = {
                    "dtype": "U8",
                    "shape": [begin - filled],
                    "data_offsets": [filled, begin],
                }
                paddings += 1
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
            filled = end
        text = json.dumps(header, separators=(",", ":")).encode()
        size = _up(8 + len(text), SEGMENT_ALIGNMENT) - 8
        return struct.pack("<Q", size) + text.ljust(size)
