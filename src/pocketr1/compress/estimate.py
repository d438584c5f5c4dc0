"""What a compression would make and need, before it begins."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketr1 import _core, checkpoint
from pocketr1.bundle import BundleLayout, TensorPlan, plan_layout
from pocketr1.bundle.files import existing_parent
from pocketr1.bundle.layout import SEGMENT_LIMIT, SHARD_LIMIT
from pocketr1.bundle.report import bits_per_weight, kv_bytes_per_token
from pocketr1.compress.disk import last_use
from pocketr1.compress.source import SLAB_BYTES
from pocketr1.machine import measure_storage, peak_rss_bytes

__all__ = ["Estimate", "estimate"]

_SAMPLE = 2 << 20  # weights quantized to measure the speed
_PROBE = 32 << 20  # bytes read and written to measure the disk


@dataclass(frozen=True)
class Estimate:
    """Sizes are bytes."""

    source_bytes: int
    parameters: int
    output_bytes: int  # all files of the bundle
    weight_bytes: int
    bits_per_weight: float  # whole model
    decoder_bits_per_weight: float  # without embedding and head
    seconds: float  # quantizing and hashing, measured on a sample, and the disk, measured too
    peak_memory_bytes: int  # while compressing
    disk_needed_bytes: int  # at the fullest moment, beyond what is taken now
    disk_free_bytes: int  # where the output goes
    run_memory_bytes: int  # the bundle's weights and 4,096 tokens of K/V in f16
    kv_bytes_per_token: int  # K/V in f16, all layers

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON types."""
        return asdict(self)


def estimate(
    source: checkpoint.Checkpoint,
    tensors: Sequence[TensorPlan],
    output: Path,
    threads: int,
    discard_source: bool,
) -> Estimate:
    """Say what making ``tensors`` of ``source`` at ``output`` would give and need.

    See :meth:`pocketr1.compress.Quantizer.estimate` for where the figures come from.
    """
    layout = plan_layout(tensors)
    sizes = layout.tensor_bytes()
    whole, decoder = bits_per_weight(list(tensors), sizes)
    metadata = _metadata_bytes(layout) + sum(len(f.read_bytes()) for f in source.tokenizer_files)
    kv = kv_bytes_per_token(source.spec)
    return Estimate(
        source_bytes=sum(file.stat().st_size for file in source.files),
        parameters=sum(tensor.parameters for tensor in tensors),
        output_bytes=layout.file_bytes + metadata,
        weight_bytes=sum(sizes),
        bits_per_weight=whole,
        decoder_bits_per_weight=decoder,
        seconds=_seconds(source, layout, output, threads),
        peak_memory_bytes=_peak_memory(layout),
        disk_needed_bytes=_disk_needed(source, layout, discard_source) + metadata,
        disk_free_bytes=shutil.disk_usage(existing_parent(output)).free,
        run_memory_bytes=sum(sizes) + 4096 * kv,
        kv_bytes_per_token=kv,
    )


def _metadata_bytes(layout: BundleLayout) -> int:
    """Nearly the size of bundle.json: what a chunk, a segment and a tensor take."""
    chunks = layout.file_bytes // (4 << 20) + len(layout.shards)
    parts = sum(len(segment.parts) for segment in layout.segments)
    return 4096 + 120 * chunks + 70 * len(layout.segments) + 100 * parts + 190 * len(layout.tensors)


def _peak_memory(layout: BundleLayout) -> int:
    """The process as it is, a slab of the source, its quantized bytes and a segment's part."""
    part = max((p.size for s in layout.segments for p in s.parts), default=SEGMENT_LIMIT)
    return peak_rss_bytes() + 2 * SLAB_BYTES + part


def _disk_needed(source: checkpoint.Checkpoint, layout: BundleLayout, discard_source: bool) -> int:
    """The most that is written at any moment, less the source files deleted by then."""
    if not discard_source:
        return layout.file_bytes
    sizes = {file.name: file.stat().st_size for file in source.files}
    last = last_use(layout, source)
    written, freed, most = 0, 0, 0
    for index, segment in enumerate(layout.segments):
        written += segment.size
        most = max(most, written - freed)
        freed += sum(sizes[name] for name, use in last.items() if use == index)
    return min(most + min(SHARD_LIMIT // 1000, layout.file_bytes), layout.file_bytes)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _seconds(
    source: checkpoint.Checkpoint, layout: BundleLayout, output: Path, threads: int
) -> float:
    weights: dict[tuple[str, str], int] = {}
    for tensor in layout.tensors:
        key = (source.tensors[tensor.name].dtype, tensor.format)
        weights[key] = weights.get(key, 0) + tensor.parameters
    quantizing = sum(
        count * _quantize_seconds(dtype, weight_format, threads)
        for (dtype, weight_format), count in weights.items()
        if count > _SAMPLE // 16
    )
    source_bytes = sum(file.stat().st_size for file in source.files)
    hashing = _hash_seconds() * (source_bytes + layout.file_bytes)
    reading = 2 * source_bytes * _read_seconds(source)
    return quantizing + hashing + reading + layout.file_bytes * _write_seconds(output)


def _quantize_seconds(dtype: str, weight_format: str, threads: int) -> float:
    """Seconds per weight."""
    values = np.random.default_rng(0).standard_normal((_SAMPLE >> 11, 1 << 11), np.float32)
    rows: Any = values
    if dtype == "bf16":
        rows = (values.view(np.uint32) >> 16).astype(np.uint16)
    elif dtype == "f16":
        rows = values.astype(np.float16).view(np.uint16)
    return _timed(lambda: _core.quantize_rows(rows, dtype, weight_format, threads)) / values.size


def _hash_seconds() -> float:
    """Seconds per byte of SHA-256."""
    data = bytes(_PROBE)
    return _timed(lambda: hashlib.sha256(data).digest()) / len(data)


def _read_seconds(source: checkpoint.Checkpoint) -> float:
    """Seconds per byte of reading the largest weight file."""
    path = max(source.files, key=lambda file: file.stat().st_size)
    size = min(_PROBE, path.stat().st_size)
    started = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        left = size
        while left and (data := file.read(min(left, 4 << 20))):
            left -= len(data)
    return (time.perf_counter() - started) / size


def _write_seconds(output: Path) -> float:
    """Seconds per byte of writing, until it is on disk; 0 where nothing may be written."""
    speed = measure_storage(existing_parent(output.parent), _PROBE)
    return 0.0 if speed is None else 1 / speed.write
