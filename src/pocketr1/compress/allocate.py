"""Which tensor gets how many bits: as near to the original as a size allows.

Each matrix is quantized alone, to 3 bits and to 2, and the divergence of the whole model measured:
that is what its bits are worth. Divergences are taken to add up, and to grow with the squared error
of the weights where that is not large, so that 3 bits tell of 4 and 8 and all sizes of groups.
Under a limit on the sum of sizes, or of divergences, the choice that is best then is a walk along
the lower convex hulls, the steepest step first (Shoham and Gersho, Efficient bit allocation for an
arbitrary set of quantizers, 1988).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, arch, checkpoint
from pocketr1.bundle.files import write_file
from pocketr1.compress.calibration import CalibrationText, Sample
from pocketr1.compress.distance import Distance, Sequences, embedded
from pocketr1.compress.gptq import slabs
from pocketr1.compress.partial_model import Hidden, PartialModel, Place
from pocketr1.compress.units import Packed, Unit, joined, new_array, rows_of

__all__ = [
    "SENSITIVITY_TOKENS",
    "Choice",
    "Sensitivity",
    "choose",
    "first_layer",
    "measure_sensitivities",
]

#: Tokens that each divergence is measured on.
SENSITIVITY_TOKENS = 512

_SAMPLED_ROWS = 1024  # of each matrix, by which the errors of its widths are compared


@dataclass(frozen=True)
class Sensitivity:
    """What one matrix costs in each format: bytes, and the divergence it adds, in nats."""

    name: str
    bytes: Mapping[str, int]
    divergence: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """The format of each matrix, their bytes, and the divergence that was foretold."""

    formats: Mapping[str, str]
    bytes: int
    divergence: float


def choose(
    sensitivities: Sequence[Sensitivity],
    *,
    limit_bytes: int | None = None,
    limit_divergence: float | None = None,
) -> Choice | None:
    """Choose formats: the least divergence within bytes, or the fewest bytes within divergence.

    Returns None where even the smallest formats take more bytes, or the largest diverge more.
    """
    hulls = [_hull(each) for each in sensitivities]
    chosen = [0] * len(hulls)
    size = sum(each.bytes[hull[0]] for each, hull in zip(sensitivities, hulls, strict=True))
    lost = sum(each.divergence[hull[0]] for each, hull in zip(sensitivities, hulls, strict=True))
    if limit_bytes is not None and size > limit_bytes:
        return None
    steps = []
    for number, (each, hull) in enumerate(zip(sensitivities, hulls, strict=True)):
        for place, (low, high) in enumerate(pairwise(hull)):
            more = each.bytes[high] - each.bytes[low]
            less = each.divergence[low] - each.divergence[high]
            steps.append((-less / more, number, place, more, less))
    # Along a hull steps grow flatter, so that those of one matrix come in order.
    for _, number, place, more, less in sorted(steps):
        if limit_divergence is not None and lost <= limit_divergence:
            break
        if place != chosen[number] or (limit_bytes is not None and size + more > limit_bytes):
            continue  # a smaller step of another matrix may still fit
        chosen[number] += 1
        size += more
        lost -= less
    if limit_divergence is not None and lost > limit_divergence:
        return None
    formats = {
        each.name: hull[place]
        for each, hull, place in zip(sensitivities, hulls, chosen, strict=True)
    }
    return Choice(formats, size, max(lost, 0.0))


def _hull(each: Sensitivity) -> list[str]:
    """Return the formats on the lower convex hull of divergence over bytes, smallest first."""
    hull: list[str] = []

    def slope(low: str, high: str) -> float:
        return (each.divergence[high] - each.divergence[low]) / (each.bytes[high] - each.bytes[low])

    for name in sorted(each.bytes, key=lambda name: (each.bytes[name], each.divergence[name])):
        if hull and each.divergence[name] >= each.divergence[hull[-1]]:
            continue
        while len(hull) > 1 and slope(hull[-2], hull[-1]) >= slope(hull[-1], name):
            hull.pop()
        hull.append(name)
    return hull


def measure_sensitivities(
    source: checkpoint.Checkpoint,
    original: Mapping[str, Place],
    formats: Mapping[str, Sequence[str]],
    text: CalibrationText,
    directory: Path,
    threads: int,
    tell: Callable[[int, int, str], None],
) -> list[Sensitivity]:
    """Measure every matrix of a model, embedding and head included.

    Args:
        source: a checkpoint.
        original: where its tensors lie, none of them encoded.
        formats: that are measured; of each, those that may be chosen and are foretold from it.
        text: its first SENSITIVITY_TOKENS tokens are measured on.
        directory: of the job; what an earlier run has measured is taken from there.
        threads: for quantizing and for the engine.
        tell: is told multiplications done and in all, and the tensor at work.
    """
    shapes = {
        name: shape for name, shape in arch.expected_tensors(source.spec).items() if len(shape) == 2
    }
    kept = directory / "sensitivity.json"
    key = {"text": text.sha256}
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    measured: dict[str, float] = known["measured"] if known.get("key") == key else {}
    probing = _Probing(source, original, text, directory, threads, tell, list(shapes), len(formats))
    found = []
    for name, shape in shapes.items():
        bytes_, divergence = {}, {}
        sample = _sample(source, name)
        for probe, others in formats.items():
            place = f"{probe} {name}"
            if place not in measured:
                measured[place] = probing.measure(name, probe)
                write_file(kept, json.dumps({"key": key, "measured": measured}).encode())
            dtype = source.tensors[name].dtype
            errors = {
                each: _core.quantize_rows(sample, dtype, each, threads, name)[1]
                for each in {probe, *others}
            }
            for each in others:
                bytes_[each] = sum(_core.packed_size(each, *shape))
                divergence[each] = measured[place] * errors[each] / max(errors[probe], 1e-30)
        found.append(Sensitivity(name, bytes_, divergence))
    probing.clear()
    return found


def first_layer(name: str, layers: int) -> int:
    """Return the layer that a run begins with that is to measure a matrix."""
    if name == "embed.weight":
        return 0
    return int(name.split(".")[1]) if name.startswith("layers.") else layers - 1


def _sample(source: checkpoint.Checkpoint, name: str) -> NDArray[Any]:
    """Return some rows of a matrix, from all over it, as they are stored."""
    tensor = source.tensors[name]
    rows = tensor.shape[0]
    step = max(1, rows // _SAMPLED_ROWS)
    if step == 1:
        return source.read_rows(name)
    # Of rows that are decoded, some together: their codes may share words.
    run = 1 if tensor.decoder is None else 16
    begins = range(0, rows, step * run)
    return np.concatenate([source.read_rows(name, row, min(row + run, rows)) for row in begins])


class _Probing:
    """Quantizes one matrix at a time, and runs the model from its layer on."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        original: Mapping[str, Place],
        text: CalibrationText,
        directory: Path,
        threads: int,
        tell: Callable[[int, int, str], None],
        names: Sequence[str],
        probes: int,
    ) -> None:
        self._source = source
        self._directory = directory
        self._threads = threads
        self._tell = tell
        # Prompts count too: few of the tokens a reasoner writes itself leave it in doubt, and only
        # those tell of small errors.
        self._text = Sequences.of(_first(text.samples, SENSITIVITY_TOKENS), prompts=True)
        self._zeros = directory / "zeros"
        self._zeros.write_bytes(bytes(4 * source.spec.hidden_size))
        self._original = original
        self._layers = len(source.spec.layers)
        self._distance = Distance(
            source,
            original,
            self._text,
            directory / "probe-reference.npy",
            self._zeros,
            threads,
            lambda rows: None,
        )
        self._costs = {name: self._layers + 1 - first_layer(name, self._layers) for name in names}
        self._total = probes * sum(self._costs.values())
        self._done = 0

    def measure(self, name: str, probe: str) -> float:
        """Return the divergence where this matrix alone is in the probe's format."""
        self._tell(self._done, self._total, name)
        plan = self._quantized(name, probe)
        unit = Unit.write(self._directory / "probe", {name: plan})
        layer = first_layer(name, self._layers)
        states: Hidden
        if name == "embed.weight":
            states = rows_of(plan, self._text.ids)
        else:
            states = np.load(self._states(layer), mmap_mode="r")
        places: Mapping[str, Place] = {**self._original, **unit.places()}
        if name == "embed.weight" and not self._source.spec.tied_embeddings:
            places = self._original
        divergence = self._distance.measure(places, layer, states)
        unit.remove()
        self._done += self._costs[name]
        self._tell(self._done, self._total, name)
        return divergence

    def clear(self) -> None:
        """Delete what only measuring needed."""
        for path in self._directory.glob("probe-*.npy"):
            path.unlink()

    def _states(self, layer: int) -> Path:
        """Return the file of what a layer of the original reads; it is made where it is missing."""
        path = self._directory / f"probe-{layer:04}.npy"
        if not path.exists():
            shape = (len(self._text.ids), self._source.spec.hidden_size)
            before = None if layer == 0 else np.load(self._states(layer - 1), mmap_mode="r")
            with new_array(path, shape, np.float32) as out:
                if before is None:
                    out[:] = embedded(self._source, self._text.ids)
                else:
                    model = PartialModel(
                        self._source.spec,
                        self._original,
                        range(layer - 1, layer),
                        zeros=self._zeros,
                        threads=self._threads,
                        longest=max(self._text.lengths),
                    )
                    model.forward(before, self._text.lengths, out=out)
        return path

    def _quantized(self, name: str, probe: str) -> Packed:
        rows, cols = self._source.tensors[name].shape
        dtype = self._source.tensors[name].dtype

        def quantized(begin: int, end: int) -> NDArray[np.uint8]:
            slab = self._source.read_rows(name, begin, end)
            return _core.quantize_rows(slab, dtype, probe, self._threads, name, begin)[0]

        parts = ((end - begin, quantized(begin, end)) for begin, end in slabs(rows, cols))
        return Packed(probe, (rows, cols), joined(probe, cols, parts), np.zeros((0, 3)))


def _first(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return the first samples, the last one cut, of at most ``limit`` tokens."""
    found: list[Sample] = []
    left = limit
    for sample in samples:
        if left < 2:
            break
        found.append(Sample(sample.ids[:left], sample.prompt))
        left -= len(found[-1].ids)
    return found
