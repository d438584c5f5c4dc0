"""What a bundle holds, and what it weighs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pocketr1 import _core
from pocketr1.bundle.layout import TensorPlan

__all__ = ["BundleReport", "TensorReport", "bits_per_weight", "inspect", "kv_bytes_per_token"]


@dataclass(frozen=True)
class TensorReport:
    """One tensor of a bundle."""

    name: str
    format: str
    shape: tuple[int, ...]
    bytes: int  # codes, scales, zero points and dimension padding
    bits_per_weight: float
    relative_rms: float | None  # RMS of the error over RMS of the weights; None: not recorded
    max_abs: float | None  # largest absolute error


@dataclass(frozen=True)
class BundleReport:
    """One bundle. Sizes are bytes."""

    path: str
    created_by: str
    model: Mapping[str, Any]  # the "model" of bundle.json
    plan: Mapping[str, Any]
    source: tuple[Mapping[str, Any], ...]  # file, size, sha256
    file_bytes: int  # all files of the bundle
    weight_bytes: int  # codes, scales, zero points and dimension padding
    decoder_weight_bytes: int  # without embedding and head
    parameters: int
    decoder_parameters: int
    bits_per_weight: float  # 8 * weight_bytes / parameters
    decoder_bits_per_weight: float
    kv_bytes_per_token: int  # K/V in f16, all layers
    shards: int
    segments: int
    largest_segment: int
    tensors: tuple[TensorReport, ...]
    verified: bool  # every hash and every value was checked

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {**asdict(self), "source": [dict(row) for row in self.source]}


def inspect(
    path: str | Path,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> BundleReport:
    """Open a bundle, checking all that the reader checks, and report on it.

    Args:
        path: the bundle's directory.
        verify: also read every byte and check hashes, scales, zero points and codes.
        progress: called with bytes done and bytes in all while verifying.

    Raises:
        BundleError: naming file and tensor where the bundle is damaged, foreign or incomplete.
    """
    bundle = _core.Bundle.open(str(path))
    if verify:
        bundle.verify(progress)
    metadata = json.loads(bundle.metadata_json)
    errors = {row["name"]: row.get("error") or {} for row in metadata["tensors"]}
    tensors = []
    for name, weight_format, shape, parts in bundle.tensors():
        plan = TensorPlan(name, weight_format, tuple(shape))
        size = sum(part[4] for part in parts)
        tensors.append(
            TensorReport(
                name=name,
                format=weight_format,
                shape=plan.shape,
                bytes=size,
                bits_per_weight=8 * size / plan.parameters,
                relative_rms=errors[name].get("relative_rms"),
                max_abs=errors[name].get("max_abs"),
            )
        )
    plans = [TensorPlan(t.name, t.format, t.shape) for t in tensors]
    sizes = [tensor.bytes for tensor in tensors]
    whole, decoder = bits_per_weight(plans, sizes)
    segments = bundle.segments()
    return BundleReport(
        path=str(path),
        created_by=str(metadata.get("created_by", "")),
        model=metadata["model"],
        plan=metadata.get("plan") or {},
        source=tuple(metadata.get("source") or ()),
        file_bytes=sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file()),
        weight_bytes=sum(sizes),
        decoder_weight_bytes=sum(s for p, s in zip(plans, sizes, strict=True) if p.in_decoder),
        parameters=sum(p.parameters for p in plans),
        decoder_parameters=sum(p.parameters for p in plans if p.in_decoder),
        bits_per_weight=whole,
        decoder_bits_per_weight=decoder,
        kv_bytes_per_token=kv_bytes_per_token(metadata["model"]),
        shards=len(bundle.shards()),
        segments=len(segments),
        largest_segment=max((size for _, _, size in segments), default=0),
        tensors=tuple(tensors),
        verified=verify,
    )


def bits_per_weight(plans: list[TensorPlan], sizes: list[int]) -> tuple[float, float]:
    """Return bits per weight of the whole model and of the decoder alone.

    Eight times the tensors' bytes over the source's parameters; a tied head counts once.
    """

    def ratio(rows: list[tuple[TensorPlan, int]]) -> float:
        return 8 * sum(size for _, size in rows) / max(1, sum(plan.parameters for plan, _ in rows))

    rows = list(zip(plans, sizes, strict=True))
    return ratio(rows), ratio([row for row in rows if row[0].in_decoder])


def kv_bytes_per_token(model: Mapping[str, Any]) -> int:
    """Return the bytes that K and V of one token take in f16, all layers together."""
    kv_heads = sum(int(layer["kv_heads"]) for layer in model["layers"])
    return 2 * 2 * kv_heads * int(model["head_dim"])
