"""A model of a given size, or of a given nearness to the original: bits shared out by worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from pathlib import Path
from typing import Any

from pocketr1 import _core, arch, checkpoint
from pocketr1.bundle import TensorPlan, plan_layout
from pocketr1.compress.allocate import Choice, Sensitivity, choose
from pocketr1.compress.calibration import CalibrationText
from pocketr1.compress.partial_model import Place
from pocketr1.compress.sensitivity import measure_sensitivities
from pocketr1.errors import CompressionError, UsageError

__all__ = ["PROBES", "Extremes", "Target", "allocate", "check_target", "extremes"]

#: What a matrix may become, and by which format's divergence each is judged. Those that are worth
#: their bytes at some size are on the matrix's convex hull.
_FORMATS = {
    "w2g64": ("w2g128", "w2g64", "w2g32", "w2g64z"),
    "w3g64": (
        *("w3g128", "w3g64", "w3g32", "w3g64z"),
        *("w4g128", "w4g64", "w4g32", "w4g64z"),
        *("w8g128", "w8g64"),
    ),
}
PROBES = len(_FORMATS)  # formats that each matrix is quantized in to measure its worth
_METADATA = 2_000  # bytes of bundle.json for each tensor and layer, at most
_TRIES = 40


@dataclass(frozen=True)
class Target:
    """One of three: bytes of the whole bundle, bits per weight, or KL divergence in nats."""

    size: int | None = None
    bits_per_weight: float | None = None
    divergence: float | None = None

    def __post_init__(self) -> None:
        """Raise UsageError: ``compress-target-one``, ``compress-target-value``."""
        given = [value for value in (self.size, self.bits_per_weight, self.divergence) if value]
        values = (self.size, self.bits_per_weight, self.divergence)
        if sum(value is not None for value in values) != 1:
            raise UsageError("compress-target-one")
        if not given or given[0] <= 0:
            raise UsageError(
                "compress-target-value", value=next(v for v in values if v is not None)
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what the ``plan`` of bundle.json says of it."""
        named = {
            "size": self.size,
            "bits_per_weight": self.bits_per_weight,
            "divergence": self.divergence,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Extremes:
    """The smallest and the largest bundle that bits can be shared out to.

    smallest, largest: the tensors of each; ``*_bytes``: of all files, at most; ``*_bits``: per
    weight of the whole model.
    """

    smallest: tuple[TensorPlan, ...]
    largest: tuple[TensorPlan, ...]
    smallest_bytes: int
    largest_bytes: int
    smallest_bits: float
    largest_bits: float


def extremes(source: checkpoint.Checkpoint) -> Extremes:
    """Return how small and how large a bundle of this checkpoint can be; nothing is measured."""
    choices = {name for formats in _FORMATS.values() for name in formats}

    def plans(best: Callable[..., str]) -> tuple[TensorPlan, ...]:
        formats = {
            name: best(sorted(choices), key=lambda each: sum(_core.packed_size(each, *shape)))
            for name, shape in arch.expected_tensors(source.spec).items()
            if len(shape) == 2
        }
        return _plans(source, Choice(formats, 0, 0))

    smallest, largest = plans(min), plans(max)
    return Extremes(
        smallest,
        largest,
        *(plan_layout(each).file_bytes + _aside(source) for each in (smallest, largest)),
        *(
            8 * sum(plan_layout(each).tensor_bytes()) / source.parameters
            for each in (smallest, largest)
        ),
    )


def check_target(source: checkpoint.Checkpoint, target: Target) -> Extremes:
    """Tell before any measuring whether a target can be met, as far as that is known then.

    A divergence is known only when every matrix has been measured.

    Raises CompressionError (``compress-target-impossible``) naming the least that is possible.
    """
    found = extremes(source)
    if target.size is not None and target.size < found.smallest_bytes:
        raise _impossible_size(target.size, found.smallest_bytes)
    if target.bits_per_weight is not None and target.bits_per_weight < found.smallest_bits:
        raise _impossible_bits(target.bits_per_weight, found.smallest_bits)
    return found


def allocate(
    source: checkpoint.Checkpoint,
    original: Mapping[str, Place],
    target: Target,
    text: CalibrationText,
    directory: Path,
    threads: int,
    tell: Callable[[int, int, str], None],
) -> tuple[TensorPlan, ...]:
    """Return the bundle's tensors with the formats that suit a target best, in decode order.

    Args: as for :func:`measure_sensitivities`.

    Raises CompressionError (``compress-target-impossible``) naming the least that is possible.
    """
    found = measure_sensitivities(source, original, _FORMATS, text, directory, threads, tell)
    if target.divergence is not None:
        choice = choose(found, limit_divergence=target.divergence)
        if choice is None:
            least = sum(min(each.divergence.values()) for each in found)
            raise _impossible(f"{target.divergence:g} nats", f"{_upward(least)} nats")
        return _plans(source, choice)
    if target.bits_per_weight is not None:
        return _within_bits(source, found, target.bits_per_weight)
    assert target.size is not None
    return _within_size(source, found, target.size)


def _within_bits(
    source: checkpoint.Checkpoint, found: Sequence[Sensitivity], bits: float
) -> tuple[TensorPlan, ...]:
    shapes = arch.expected_tensors(source.spec)
    vectors = sum(4 * shape[0] for shape in shapes.values() if len(shape) == 1)
    limit = int(bits * source.parameters / 8) - vectors
    choice = choose(found, limit_bytes=limit)
    if choice is None:
        least = 8 * (_smallest(found) + vectors) / source.parameters
        raise _impossible_bits(bits, least)
    return _plans(source, choice)


def _within_size(
    source: checkpoint.Checkpoint, found: Sequence[Sensitivity], size: int
) -> tuple[TensorPlan, ...]:
    aside = _aside(source)
    limit = size - aside
    for _ in range(_TRIES):
        choice = choose(found, limit_bytes=limit)
        if choice is None:
            break
        plans = _plans(source, choice)
        over = plan_layout(plans).file_bytes + aside - size
        if over <= 0:
            return plans
        limit -= over  # alignment of segments, headers, vectors
    smallest = Choice(
        {each.name: min(each.bytes, key=each.bytes.__getitem__) for each in found}, 0, 0
    )
    least = plan_layout(_plans(source, smallest)).file_bytes + aside
    raise _impossible_size(size, least)


def _aside(source: checkpoint.Checkpoint) -> int:
    """Return the bytes of a bundle that are not weights: the tokenizer, and bundle.json at most."""
    tokenizer = sum(len(file.read_bytes()) for file in source.tokenizer_files)
    return tokenizer + _METADATA * (len(source.tensors) + len(source.spec.layers))


def _smallest(found: Sequence[Sensitivity]) -> int:
    return sum(min(each.bytes.values()) for each in found)


def _plans(source: checkpoint.Checkpoint, choice: Choice) -> tuple[TensorPlan, ...]:
    return tuple(
        TensorPlan(name, choice.formats.get(name, "f32"), shape)
        for name, shape in arch.expected_tensors(source.spec).items()
    )


def _impossible(wanted: str, least: str) -> CompressionError:
    return CompressionError("compress-target-impossible", target=wanted, least=least)


def _impossible_size(size: int, least: int) -> CompressionError:
    return _impossible(f"{size / 1e6:.1f} MB", f"{math.ceil(least / 1e5) / 10:.1f} MB")


def _impossible_bits(bits: float, least: float) -> CompressionError:
    return _impossible(f"{bits:g} bpw", f"{math.ceil(1000 * least) / 1000:.3f} bpw")


def _upward(value: float) -> str:
    """Return two digits that are not less than the value: a target of that can be met."""
    digits = Context(prec=2, rounding=ROUND_CEILING).create_decimal(value)
    return f"{float(digits):.2g}"
