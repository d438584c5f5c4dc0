"""What a bundle holds, and what it weighs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pocketr1 import _core
from pocketr1.arch import ModelSpec, expected_tensors
from pocketr1.bundle.layout import TensorPlan
from pocketr1.errors import BundleError

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
    calibration: Mapping[str, Any] | None  # what is on record of the text it was calibrated with
    distilled: Mapping[str, Any] | None  # what distilling was done with, and brought
    gate: Mapping[str, Any] | None  # the judgement it was published with
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
    spec = ModelSpec.from_dict(metadata["model"])
    errors = _errors(metadata["tensors"])
    tensors = []
    for name, weight_format, shape, parts in bundle.tensors():
        plan = TensorPlan(name, weight_format, tuple(shape))
        size = sum(part[4] for part in parts)
        relative_rms, max_abs = errors[name]
        tensors.append(
            TensorReport(
                name=name,
                format=weight_format,
                shape=plan.shape,
                bytes=size,
                bits_per_weight=8 * size / plan.parameters,
                relative_rms=relative_rms,
                max_abs=max_abs,
            )
        )
    _check_tensors(spec, tensors, Path(path) / "bundle.json")
    plans = [TensorPlan(t.name, t.format, t.shape) for t in tensors]
    sizes = [tensor.bytes for tensor in tensors]
    whole, decoder = bits_per_weight(plans, sizes)
    segments = bundle.segments()
    return BundleReport(
        path=str(path),
        created_by=str(metadata.get("created_by", "")),
        model=spec.to_dict(),
        plan=_object(metadata.get("plan")),
        source=tuple(_object(row) for row in _list(metadata.get("source"))),
        file_bytes=sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file()),
        weight_bytes=sum(sizes),
        decoder_weight_bytes=sum(s for p, s in zip(plans, sizes, strict=True) if p.in_decoder),
        parameters=sum(p.parameters for p in plans),
        decoder_parameters=sum(p.parameters for p in plans if p.in_decoder),
        bits_per_weight=whole,
        decoder_bits_per_weight=decoder,
        kv_bytes_per_token=kv_bytes_per_token(spec),
        shards=len(bundle.shards()),
        segments=len(segments),
        largest_segment=max((size for _, _, size in segments), default=0),
        tensors=tuple(tensors),
        calibration=_object(metadata.get("calibration")) or None,
        distilled=_object(metadata.get("distilled")) or None,
        gate=_object(metadata.get("gate")) or None,
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


def kv_bytes_per_token(spec: ModelSpec) -> int:
    """Return the bytes that K and V of one token take in f16, all layers together."""
    return 2 * 2 * sum(layer.kv_heads for layer in spec.layers) * spec.head_dim


def _check_tensors(spec: ModelSpec, tensors: list[TensorReport], where: Path) -> None:
    """Refuse a tensor that is missing, unknown or of another shape than the model asks for."""
    wanted = expected_tensors(spec)
    reason = ""
    for tensor in tensors:
        shape = wanted.pop(tensor.name, None)
        if shape is None:
            reason = f'the model has no tensor "{tensor.name}"'
        elif shape != tensor.shape:
            reason = f'tensor "{tensor.name}" has shape {tensor.shape}, not {shape}'
        if reason:
            break
    if wanted and not reason:
        reason = f'tensor "{next(iter(wanted))}" is missing'
    if reason:
        raise BundleError("bundle-invalid", where=str(where), reason=reason)


def _errors(rows: list[dict[str, Any]]) -> dict[str, tuple[float | None, float | None]]:
    """Relative RMS and largest absolute error of each tensor, where they are recorded."""
    errors = {}
    for row in rows:
        error = _object(row.get("error"))
        errors[row["name"]] = (_number(error.get("relative_rms")), _number(error.get("max_abs")))
    return errors


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) else None  # type: ignore[arg-type]
