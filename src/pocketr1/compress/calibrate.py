"""Quantize a model layer by layer against the inputs that each layer really gets.

Each layer is run with its own weights in full precision on what the layers before it, quantized
already, make of the calibration text. Its channels are equalized (equalized.py), and by what its
matrices read they are quantized with error feedback (gptq.py). A gate then measures, on tokens of
their own, how far the whole model is from the original with this layer quantized so, and how far
with it rounded plainly, the layers that follow in 8 bits; the better is kept. What is kept runs on,
so that later layers see its errors.

All states lie on disk, one layer in memory; a killed job goes on at the layer it was at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import checkpoint
from pocketr1.bundle import Part, PartError, TensorPlan
from pocketr1.bundle.files import write_file
from pocketr1.compress.calibration import CalibrationText
from pocketr1.compress.distance import Distance, Sequences, embedded
from pocketr1.compress.equalize import READERS, Array
from pocketr1.compress.equalized import Equalized, normed
from pocketr1.compress.gptq import Feedback
from pocketr1.compress.gram import Gram, GramObserver, scaled
from pocketr1.compress.packing import carries, layer_tensors, pack, pack_carried, pack_slabs, read
from pocketr1.compress.partial_model import Hidden, PartialModel, Place
from pocketr1.compress.units import Packed, Unit, new_array, rows_of
from pocketr1.compress.work import Work

__all__ = ["Calibrator", "Step"]


@dataclass(frozen=True)
class Step:
    """How far a job is: multiplications done and to do, in all, and what is at work."""

    done: int
    total: int
    at: str


class Calibrator:
    """Makes the quantized tensors of a model, in decode order, for the parts of a bundle."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        original: Mapping[str, Place],
        tensors: Iterable[TensorPlan],
        text: CalibrationText,
        directory: Path,
        threads: int,
        tell: Callable[[Step], None],
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            source: a checkpoint.
            original: where its tensors lie, none of them encoded.
            tensors: the bundle's, each with its format.
            text: what to calibrate and to measure with.
            directory: of the job's own files; an earlier run's are taken up.
            threads: for quantizing and for the engine.
            tell: is told how far the job is.
        """
        self._source = source
        self._spec = source.spec
        self._plans = {tensor.name: tensor for tensor in tensors}
        self._directory = directory
        self._threads = threads
        self._tell = tell
        self._text = Sequences.of(text.samples)
        # Prompts count too: few of the tokens that a reasoner writes itself leave it in doubt, and
        # on those alone the better of two was often the worse on another text.
        self._gate = Sequences.of(text.gate, prompts=True)
        self._layers = len(source.spec.layers)
        self._original = original
        self._rest: dict[str, Place] = {}  # the whole model in 8 bits, once it is needed
        self._units: dict[int, Unit] = {}  # -1: embedding; behind the layers: norm and head
        directory.mkdir(parents=True, exist_ok=True)
        self._zeros = directory / "zeros"
        self._zeros.write_bytes(bytes(4 * self._spec.hidden_size))
        formats = {name: tensor.format for name, tensor in self._plans.items()}
        self._equalized = Equalized(
            source, original, formats, text, directory.with_name("equalized"), threads
        )
        self._work = Work.of(
            source, len(self._text.ids), len(self._gate.ids), self._equalized.tokens
        )
        self._at = "reference"
        self._distance = Distance(
            source.spec,
            self._original,
            lambda: embedded(source, self._gate.ids),
            self._gate,
            directory / "reference.npy",
            self._zeros,
            threads,
            lambda rows: self._advance(rows * self._work.full_layer),
        )

    def part(self, name: str, part: Part) -> tuple[NDArray[np.uint8], PartError]:
        """Return bytes and error of a part; what comes before it is computed first."""
        number = self._unit_of(name)
        unit = self._unit(number)
        first = 0 if self._spec.tied_embeddings else -1  # a tied embedding is measured as the head
        for other in [other for other in self._units if first <= other < number - 1]:
            self._units.pop(other).remove()  # it is in the bundle, and needed no more
        return unit.part(name, part)

    def notes(self) -> list[dict[str, Any]]:
        """Return what was decided at each layer and the head, as JSON types."""
        files = sorted(self._directory.glob("notes-*.json"))
        return [json.loads(file.read_text("utf-8")) for file in files]

    def _unit_of(self, name: str) -> int:
        if name == "embed.weight":
            return -1
        return int(name.split(".")[1]) if name.startswith("layers.") else self._layers

    def _path(self, number: int) -> Path:
        return self._directory / f"unit-{number + 1:04}"

    def _unit(self, number: int) -> Unit:
        """Return a unit: the one in memory, the one an earlier run left, or a new one."""
        unit = self._units.get(number)
        if unit is None:
            path = self._path(number)
            unit = Unit(path) if Unit.exists(path) else self._new_unit(number, path)
            self._units[number] = unit
        return unit

    def _new_unit(self, number: int, path: Path) -> Unit:
        if number < 0:
            return self._embedding(path)
        if not self._states("text", number).exists():
            self._unit(number - 1)
        if not self._rest:
            self._at = "equalize"
            self._equalized.make(lambda rows: self._advance(rows * self._work.full_layer))
            self._rest = self._equalized.places()
        self._work.done = max(self._work.done, self._work.before(number))
        self._at = f"layers.{number}" if number < self._layers else "head.weight"
        return self._layer(number, path) if number < self._layers else self._head(path)

    # The embedding, and what the first layer reads.

    def _embedding(self, path: Path) -> Unit:
        self._at = "embed.weight"
        packed = self._slabs("embed.weight")
        for which, text in (("text", self._text), ("gate", self._gate)):
            with self._new_states(which, 0, text) as states:
                states[:] = rows_of(packed, text.ids)
        return Unit.write(path, {"embed.weight": packed})

    def _states(self, which: str, layer: int) -> Path:
        return self._directory / f"{which}-{layer:04}.npy"

    def _new_states(
        self, which: str, layer: int, text: Sequences
    ) -> AbstractContextManager[NDArray[np.float32]]:
        shape = (len(text.ids), self._spec.hidden_size)
        return new_array(self._states(which, layer), shape, np.float32)

    def _read_states(self, which: str, layer: int) -> Hidden:
        states: Hidden = np.load(self._states(which, layer), mmap_mode="r")
        return states

    # One layer.

    def _layer(self, number: int, path: Path) -> Unit:
        prefix = f"layers.{number}."
        states = self._read_states("text", number)
        observer = GramObserver()
        self._model(self._original, range(number, number + 1), self._text).forward(
            states,
            self._text.lengths,
            visit=observer,
            advance=lambda rows: self._advance(rows * self._work.watched_layer),
        )
        grams = {name.split(".")[2]: gram.take() for name, gram in observer.grams.items()}
        observer.grams.clear()
        tensors = layer_tensors(self._source, number)
        plain = {
            prefix + name: self._pack(prefix + name, weights) for name, weights in tensors.items()
        }
        factors = self._equalized.factors(number)
        factors.apply(tensors, self._spec.layers[number])
        fitted = {}
        for reads, readers in READERS.items():
            feedback = Feedback.of(scaled(grams.pop(reads), factors.inputs[reads]))
            for reader in readers:
                name = f"{reader}.weight"
                fitted[prefix + name] = self._pack(prefix + name, tensors[name], feedback)
            del feedback
            self._advance(self._work.factors)
        for name, values in tensors.items():
            if values.ndim == 1:
                fitted[prefix + name] = self._pack(prefix + name, values)
        unit, notes = self._better(number, path, plain, fitted)
        notes["equalized"] = dict(factors.shares)
        model = self._model(unit.places(), range(number, number + 1), self._text)
        for which, text in (("text", self._text), ("gate", self._gate)):
            with self._new_states(which, number + 1, text) as out:
                model.forward(
                    self._read_states(which, number),
                    text.lengths,
                    out=out,
                    advance=lambda rows: self._advance(rows * self._work.layer),
                )
        return self._keep(unit, path, notes, number)

    def _head(self, path: Path) -> Unit:
        """Norm and head, measured together with the last layer, which needs no other run."""
        spec = self._spec
        gain = read(self._source, "final_norm.weight")
        plain = {"final_norm.weight": self._pack("final_norm.weight", gain)}
        if spec.tied_embeddings:
            return Unit.write(path, plain)
        plain["head.weight"] = self._slabs("head.weight")
        if carries(self._source, "head.weight", self._plans["head.weight"].format):
            return Unit.write(path, plain)
        share, factors = self._equalized.head_factors()
        gain = gain / factors
        states = self._read_states("text", self._layers)
        gram = Gram(spec.hidden_size)
        for begin in range(0, len(states), 1024):
            gram.add(normed(states[begin : begin + 1024], gain, spec.rms_norm_eps))
        fitted = {
            "final_norm.weight": self._pack("final_norm.weight", gain),
            "head.weight": self._slabs("head.weight", Feedback.of(gram.take()), factors),
        }
        unit, notes = self._better(self._layers, path, plain, fitted)
        notes["equalized"] = {"head": share}
        return self._keep(unit, path, notes, self._layers)

    def _better(
        self, number: int, path: Path, plain: Mapping[str, Packed], fitted: Mapping[str, Packed]
    ) -> tuple[Unit, dict[str, Any]]:
        """Keep whichever of two ways brings the model nearer to the original."""
        found = []
        for label, tensors in (("plain", plain), ("fitted", fitted)):
            unit = Unit.write(path.with_name(f"{path.name}-{label}"), tensors)
            found.append((self._divergence(number, unit), label, unit))
        best, worst = sorted(found, key=lambda one: (one[0], one[1] != "plain"))
        worst[2].remove()
        notes = {
            "at": self._at,
            "kept": "gptq" if best[1] == "fitted" else "rtn",
            "kld": {("gptq" if label == "fitted" else "rtn"): value for value, label, _ in found},
        }
        return best[2], notes

    def _keep(self, unit: Unit, path: Path, notes: Mapping[str, Any], number: int) -> Unit:
        """Give a unit its name, and delete the states that nothing needs any more."""
        note = self._directory / f"notes-{number:04}.json"
        write_file(note, json.dumps(dict(notes)).encode())
        kept = unit.rename(path)
        for which, before in (("text", number), ("gate", number - 1)):
            self._states(which, before).unlink(missing_ok=True)
        # The last layer's input is the head's too, which is measured from there.
        self._equalized.remove(number)
        return kept

    # Measuring.

    def _divergence(self, number: int, unit: Unit) -> float:
        """Mean KL divergence from the original, in nats, with this unit and all before it."""
        begin = min(number, self._layers - 1)
        places = dict(self._rest)
        if self._spec.tied_embeddings:
            places.update(self._unit(-1).places())
        if number == self._layers:
            places.update(self._unit(number - 1).places())
        places.update(unit.places())
        states = self._read_states("gate", begin)
        return self._distance.measure(
            places, begin, states, lambda rows: self._advance(rows * self._work.gated(begin))
        )

    def _model(self, places: Mapping[str, Place], layers: range, text: Sequences) -> PartialModel:
        return PartialModel(
            self._spec,
            places,
            layers,
            zeros=self._zeros,
            threads=self._threads,
            longest=max(text.lengths),
        )

    # Weights.

    def _pack(self, name: str, weights: Array, feedback: Feedback | None = None) -> Packed:
        weight_format = self._plans[name].format
        if carries(self._source, name, weight_format):
            return pack_carried(self._source, name, weight_format)
        return pack(name, weights, weight_format, self._threads, feedback)

    def _slabs(
        self, name: str, feedback: Feedback | None = None, factors: Array | None = None
    ) -> Packed:
        weight_format = self._plans[name].format
        if carries(self._source, name, weight_format):
            return pack_carried(self._source, name, weight_format)
        return pack_slabs(self._source, name, weight_format, self._threads, feedback, factors)

    def _advance(self, work: int) -> None:
        self._work.done += work
        self._tell(Step(min(self._work.done, self._work.total), self._work.total, self._at))
