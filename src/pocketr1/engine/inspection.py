"""What a model is made of, bundle or checkpoint alike."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pocketr1 import bundle, checkpoint
from pocketr1.engine.loading import ModelSource, locate
from pocketr1.errors import UsageError

__all__ = ["ModelReport", "TensorSummary", "inspect"]


@dataclass(frozen=True)
class TensorSummary:
    """One tensor: canonical name, format on disk, shape, bytes without page alignment.

    relative_rms: RMS of the quantization error over RMS of the weights; ``None`` where nothing was
    quantized.
    """

    name: str
    format: str
    shape: tuple[int, ...]
    bytes: int
    relative_rms: float | None = None


@dataclass(frozen=True)
class ModelReport:
    """One model. Sizes are bytes; a tied head counts once.

    bits_per_weight: 8 x weight_bytes / parameters; decoder_...: without embedding and head.
    kv_bytes_per_token: K/V in f16, all layers. created_by, plan, source: of a bundle, else empty.
    calibration: what the bundle records of the text it was calibrated with, distilled: of what it
    was distilled with, gate: of the judgement
    it was published with; ``None`` where there was none.
    verified: every hash and every value was checked.
    """

    kind: Literal["bundle", "checkpoint", "gguf"]
    path: str
    model: dict[str, Any]
    file_bytes: int
    weight_bytes: int
    parameters: int
    decoder_parameters: int
    bits_per_weight: float
    decoder_bits_per_weight: float
    kv_bytes_per_token: int
    tensors: tuple[TensorSummary, ...]
    created_by: str = ""
    plan: dict[str, Any] | None = None
    source: tuple[dict[str, Any], ...] = ()
    calibration: dict[str, Any] | None = None
    distilled: dict[str, Any] | None = None
    gate: dict[str, Any] | None = None
    verified: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def inspect(
    path: str | os.PathLike[str] | ModelSource,
    *,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ModelReport:
    """Report on a bundle, a checkpoint directory, a GGUF file or ``"tiny"``.

    verify: read every byte of a bundle and check hashes, codes and scales; ``progress`` is called
    with bytes done and bytes in all. Raises EngineError where no model is found, BundleError or
    CheckpointError where it is damaged, UsageError (``verify-checkpoint``) for what carries no
    hashes.
    """
    found = locate(path)
    if found.kind == "bundle":
        return _bundle(found, verify, progress)
    if verify:
        raise UsageError("verify-checkpoint", path=found.path)
    return _checkpoint(found)


def _bundle(
    found: ModelSource, verify: bool, progress: Callable[[int, int], None] | None
) -> ModelReport:
    report = bundle.inspect(found.path, verify=verify, progress=progress)
    return ModelReport(
        kind="bundle",
        path=str(found.path),
        model=dict(report.model),
        file_bytes=report.file_bytes,
        weight_bytes=report.weight_bytes,
        parameters=report.parameters,
        decoder_parameters=report.decoder_parameters,
        bits_per_weight=report.bits_per_weight,
        decoder_bits_per_weight=report.decoder_bits_per_weight,
        kv_bytes_per_token=report.kv_bytes_per_token,
        tensors=tuple(
            TensorSummary(t.name, t.format, t.shape, t.bytes, t.relative_rms)
            for t in report.tensors
        ),
        created_by=report.created_by,
        plan=dict(report.plan),
        source=tuple(dict(row) for row in report.source),
        calibration=None if report.calibration is None else dict(report.calibration),
        distilled=None if report.distilled is None else dict(report.distilled),
        gate=None if report.gate is None else dict(report.gate),
        verified=report.verified,
    )


def _checkpoint(found: ModelSource) -> ModelReport:
    opened = checkpoint.open(found.path)
    spec = opened.spec
    tensors = tuple(
        TensorSummary(t.name, getattr(t.decoder, "label", t.dtype), tuple(t.shape), t.nbytes)
        for t in opened.tensors.values()
    )
    files = {*opened.files, *(file for file in opened.tokenizer_files if isinstance(file, Path))}
    decoder = [t for t in tensors if t.name not in ("embed.weight", "head.weight")]

    def parameters(rows: list[TensorSummary]) -> int:
        return sum(math.prod(t.shape) for t in rows)

    weight_bytes = sum(t.bytes for t in tensors)
    return ModelReport(
        kind=found.kind,
        path=str(found.path),
        model=spec.to_dict(),
        file_bytes=sum(f.stat().st_size for f in files),
        weight_bytes=weight_bytes,
        parameters=parameters(list(tensors)),
        decoder_parameters=parameters(decoder),
        bits_per_weight=8 * weight_bytes / parameters(list(tensors)),
        decoder_bits_per_weight=8 * sum(t.bytes for t in decoder) / parameters(decoder),
        kv_bytes_per_token=4 * spec.head_dim * sum(layer.kv_heads for layer in spec.layers),
        tensors=tensors,
    )
