"""What a compression would make and need, before it begins."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketr1 import _core, checkpoint
from pocketr1.bundle import BundleLayout, TensorPlan, plan_layout
from pocketr1.bundle.files import existing_parent
from pocketr1.bundle.layout import SEGMENT_LIMIT, SHARD_LIMIT
from pocketr1.bundle.report import bits_per_weight, kv_bytes_per_token
from pocketr1.compress.calibrated_work import scratch_bytes
from pocketr1.compress.disk import last_use
from pocketr1.compress.effort import Effort
from pocketr1.compress.source import SLAB_BYTES
from pocketr1.compress.target import Target, check_target
from pocketr1.machine import measure_storage, peak_rss_bytes

__all__ = ["Estimate", "TargetEstimate", "estimate", "estimate_target"]

_SAMPLE = 2 << 20  # weights quantized to measure the speed
_PROBE = 32 << 20  # bytes read and written to measure the disk
# Times a calibrated matrix is quantized: in 8 bits, plainly, with weighted scales, with feedback,
# and some rows of it for each way to scale its channels.
_CALIBRATED = 6


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


@dataclass(frozen=True)
class TargetEstimate:
    """What a target comes to, as far as that is known before any matrix is measured.

    Sizes are bytes. A size or a number of bits per weight that cannot be met is an error instead;
    whether a divergence can be is known only when every matrix has been measured.
    """

    target: Mapping[str, Any]  # size, bits_per_weight or divergence
    source_bytes: int
    parameters: int
    smallest_bytes: int  # the least target that can be met, and the most that serves anything
    largest_bytes: int
    smallest_bits_per_weight: float
    largest_bits_per_weight: float
    output_bytes: int  # all files of the bundle, at most
    matrices: int  # whose worth will be measured
    sensitivity_seconds: float  # of which this is measuring that
    seconds: float  # the whole job, at most
    peak_memory_bytes: int
    disk_needed_bytes: int
    disk_free_bytes: int
    run_memory_bytes: int  # the bundle's weights, at most, and 4,096 tokens of K/V in f16
    kv_bytes_per_token: int

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON types."""
        return asdict(self)


def estimate_target(
    source: checkpoint.Checkpoint,
    target: Target,
    output: Path,
    threads: int,
    effort: Effort,
) -> TargetEstimate:
    """Say what a target would come to and need.

    effort: of calibrating and of measuring each matrix.

    Raises CompressionError ``compress-target-impossible``.
    """
    found = check_target(source, target)
    most = found.largest_bytes
    if target.size is not None:
        most = min(most, target.size)
    elif target.bits_per_weight is not None:
        more = math.ceil((target.bits_per_weight - found.smallest_bits) * source.parameters / 8)
        most = min(most, found.smallest_bytes + more + found.smallest_bytes // 50)  # alignment
    whole = estimate(source, found.largest, output, threads, False, effort)
    unused = whole.output_bytes - min(most, whole.output_bytes)
    return TargetEstimate(
        target=target.to_dict(),
        source_bytes=whole.source_bytes,
        parameters=whole.parameters,
        smallest_bytes=found.smallest_bytes,
        largest_bytes=found.largest_bytes,
        smallest_bits_per_weight=found.smallest_bits,
        largest_bits_per_weight=found.largest_bits,
        output_bytes=most,
        matrices=sum(len(tensor.shape) == 2 for tensor in found.largest),
        sensitivity_seconds=effort.sensitivity_seconds,
        seconds=whole.seconds,
        peak_memory_bytes=whole.peak_memory_bytes,
        disk_needed_bytes=whole.disk_needed_bytes - unused,
        disk_free_bytes=whole.disk_free_bytes,
        run_memory_bytes=whole.run_memory_bytes - unused,
        kv_bytes_per_token=whole.kv_bytes_per_token,
    )


def estimate(
    source: checkpoint.Checkpoint,
    tensors: Sequence[TensorPlan],
    output: Path,
    threads: int,
    discard_source: bool,
    effort: Effort | None = None,
) -> Estimate:
    """Say what making ``tensors`` of ``source`` at ``output`` would give and need.

    effort: of calibrating, where that is asked for. See
    :meth:`pocketr1.compress.Quantizer.estimate` for where the figures come from.
    """
    layout = plan_layout(tensors)
    sizes = layout.tensor_bytes()
    whole, decoder = bits_per_weight(list(tensors), sizes)
    metadata = _metadata_bytes(layout) + sum(len(f.read_bytes()) for f in source.tokenizer_files)
    kv = kv_bytes_per_token(source.spec)
    needed = _disk_needed(source, layout, discard_source) + metadata
    if effort is not None:
        needed += scratch_bytes(source, layout)
    return Estimate(
        source_bytes=sum(file.stat().st_size for file in source.files),
        parameters=sum(tensor.parameters for tensor in tensors),
        output_bytes=layout.file_bytes + metadata,
        weight_bytes=sum(sizes),
        bits_per_weight=whole,
        decoder_bits_per_weight=decoder,
        seconds=_seconds(source, layout, output, threads, effort),
        peak_memory_bytes=_peak_memory(layout) + (0 if effort is None else effort.memory_bytes),
        disk_needed_bytes=needed,
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
    source: checkpoint.Checkpoint,
    layout: BundleLayout,
    output: Path,
    threads: int,
    effort: Effort | None,
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
    writing = layout.file_bytes * _write_seconds(output)
    if effort is None:
        return quantizing + hashing + reading + writing
    return _CALIBRATED * quantizing + hashing + reading + 3 * writing + effort.seconds


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
