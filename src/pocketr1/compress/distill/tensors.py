"""Between the bytes of a bundle's tensors and a student's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from pocketr1 import _core, checkpoint
from pocketr1.bundle import PartError, Segment, TensorPlan, unpack
from pocketr1.bundle.layout import group_size
from pocketr1.compress.distill.original import MadeBundle
from pocketr1.compress.distill.student import Frozen, Quantized, Trained, Weights

__all__ = ["Rewriter", "frozen", "read_student"]

_ROWS = {"f32": "<f4", "f16": "<u2", "bf16": "<u2"}
_TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def read_student(bundle: MadeBundle) -> dict[str, Weights]:
    """Return a bundle's tensors: matrices of codes and vectors to be trained, others frozen."""
    made: dict[str, Weights] = {}
    for plan in bundle.tensors:
        if group_size(plan.format):
            packed = unpack(bundle.core, plan.name)
            made[plan.name] = Quantized(plan.format, packed.codes, packed.scales, packed.zeros)
            continue
        raw = _row_major(bundle, plan)
        if len(plan.shape) == 2:
            made[plan.name] = frozen(raw, plan.format)
            continue
        values = torch.from_numpy(np.array(checkpoint.as_float32(raw, plan.format)))
        kind = Trained.bias if plan.name.endswith(".bias") else Trained.scale
        made[plan.name] = kind(values, plan.format)
    return made


def frozen(raw: NDArray[np.generic], dtype: str) -> Frozen:
    """Return a tensor as ``Checkpoint.read_rows`` gave it, kept in its type."""
    whole = torch.from_numpy(np.array(raw.view("<i2") if dtype != "f32" else raw))
    return Frozen(whole.view(_TORCH[dtype]))


class Rewriter:
    """Makes the parts of the new bundle: the old codes and zero points, the trained values."""

    def __init__(
        self,
        bundle: MadeBundle,
        tensors: tuple[TensorPlan, ...],
        trained: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """trained: scales (rows, groups) or vectors, by the name of their tensor."""
        self._bundle = bundle
        self._tensors = tensors
        self._trained = trained

    def parts(self, segment: Segment) -> Iterator[tuple[NDArray[np.uint8], PartError]]:
        """Yield the bytes of each part of a segment; errors of single weights are not measured."""
        for part in segment.parts:
            plan = self._tensors[part.tensor]
            end = part.row + part.rows
            values = self._trained.get(plan.name)
            if group_size(plan.format):
                packed = unpack(self._bundle.core, plan.name)
                scales = packed.scales if values is None else values
                data = _core.pack_rows(
                    np.ascontiguousarray(packed.codes[part.row : end]).view(np.uint8),
                    np.ascontiguousarray(scales[part.row : end]),
                    np.ascontiguousarray(packed.zeros[part.row : end]),
                    plan.format,
                )
            elif values is None:
                data = _row_major(self._bundle, plan)[part.row : end].reshape(-1).view(np.uint8)
            else:
                data = _stored(values, plan.format)
            yield np.ascontiguousarray(data), PartError(0.0, 0.0, 0.0)


def _row_major(bundle: MadeBundle, plan: TensorPlan) -> NDArray[np.generic]:
    """Return a row-major tensor as it is stored, in its shape."""
    counts = next(parts for name, _, _, parts in bundle.core.tensors() if name == plan.name)
    data = [bundle.core.part_bytes(plan.name, number) for number in range(len(counts))]
    whole: NDArray[np.generic] = np.concatenate(data).view(_ROWS[plan.format]).reshape(plan.shape)
    return whole


def _stored(values: NDArray[np.float32], dtype: str) -> NDArray[np.uint8]:
    """Return the bytes of values that the type holds exactly."""
    kept = torch.from_numpy(np.array(values)).to(_TORCH[dtype])
    data: NDArray[np.uint8] = kept.view(torch.uint8).numpy()
    return data
