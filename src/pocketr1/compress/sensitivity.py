"""What each matrix's bits are worth, in KL divergence.

Each is quantized alone, as calibration will do it (channels equalized, error feedback), and the
divergence measured between the model with this matrix so and with all in 8 bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketr1 import _core, arch, checkpoint
from pocketr1.bundle.files import write_file
from pocketr1.compress.allocate import Sensitivity
from pocketr1.compress.calibration import CalibrationText, first_tokens
from pocketr1.compress.distance import Distance, Sequences, embedded
from pocketr1.compress.equalize import READERS, Array
from pocketr1.compress.equalized import EQUALIZING_TOKENS, Equalized, normed
from pocketr1.compress.gptq import Feedback, rounding_error
from pocketr1.compress.gram import Gram, GramObserver
from pocketr1.compress.packing import layer_tensors, pack, pack_slabs, read, sampled
from pocketr1.compress.partial_model import PartialModel, Place
from pocketr1.compress.units import Packed, Unit, new_array, rows_of
from pocketr1.compress.work import Work

__all__ = ["SENSITIVITY_TOKENS", "first_layer", "measure_sensitivities"]

#: Tokens that each divergence is measured on.
SENSITIVITY_TOKENS = 512

_SAMPLED_ROWS = 1024  # of each matrix, by which the errors of its widths are compared


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
        text: its first SENSITIVITY_TOKENS tokens are measured on; those that follow tell what the
            matrices read.
        directory: of the job; what an earlier run has measured is taken from there.
        threads: for quantizing and for the engine.
        tell: is told multiplications done and in all, and the tensor at work.
    """
    return _Probing(source, original, formats, text, directory, threads, tell).run()


@dataclass(frozen=True)
class _Matrix:
    """One to be measured: how it is packed, and the rows by which its formats are compared."""

    name: str
    pack: Callable[[str], Packed]
    sample: Array
    energy: Array  # of its inputs


def first_layer(name: str, layers: int) -> int:
    """Return the layer that a run begins with that is to measure a matrix."""
    if name == "embed.weight":
        return 0
    return int(name.split(".")[1]) if name.startswith("layers.") else layers - 1


class _Probing:
    """Quantizes one matrix at a time, and runs the model from its layer on."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        original: Mapping[str, Place],
        formats: Mapping[str, Sequence[str]],
        text: CalibrationText,
        directory: Path,
        threads: int,
        tell: Callable[[int, int, str], None],
    ) -> None:
        self._source = source
        self._spec = source.spec
        self._original = original
        self._formats = formats
        self._directory = directory / "sensitivity"
        self._threads = threads
        self._tell = tell
        self._layers = len(source.spec.layers)
        self._tied = source.spec.tied_embeddings
        measured = first_tokens(text.samples, SENSITIVITY_TOKENS)
        others = text.samples[len(measured) :] or text.samples
        # Prompts count too: few of the tokens a reasoner writes itself leave it in doubt, and only
        # those tell of small errors.
        self._text = Sequences.of(measured, prompts=True)
        self._watched = Sequences.of(first_tokens(others, EQUALIZING_TOKENS))
        names = [n for n, shape in arch.expected_tensors(source.spec).items() if len(shape) == 2]
        self._equalized = Equalized(
            source,
            original,
            dict.fromkeys(names, list(formats)[-1]),
            text,
            directory / "equalized",
            threads,
        )
        self._kept = directory / "sensitivity.json"
        self._key = {"text": text.sha256}
        known = json.loads(self._kept.read_text("utf-8")) if self._kept.exists() else {}
        self._measured: dict[str, float] = (
            known["measured"] if known.get("key") == self._key else {}
        )
        self._zeros = self._directory / "zeros"
        work = Work.of(source, 0, 0, self._equalized.tokens)
        self._equalizing = work.full_layer
        self._costs = {
            name: len(self._text.ids) * work.gated(first_layer(name, self._layers))
            for name in names
        }
        self._total = len(formats) * sum(self._costs.values())
        self._total += work.before(0)
        self._done = 0

    def run(self) -> list[Sensitivity]:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._zeros.write_bytes(bytes(4 * self._spec.hidden_size))
        self._equalized.make(lambda rows: self._advance(rows * self._equalizing, "equalize"))
        self._done = self._total - len(self._formats) * sum(self._costs.values())
        self._rest = self._equalized.places()
        if self._tied:
            self._rest["embed.weight"] = self._original["embed.weight"]
        self._distance = Distance(
            self._spec,
            self._rest,
            lambda: embedded(self._source, self._text.ids),
            self._text,
            self._directory / "reference.npy",
            self._zeros,
            self._threads,
            lambda rows: None,
        )
        found = [self._sensitivity(matrix) for matrix in self._matrices()]
        for path in self._directory.iterdir():
            path.unlink()
        self._directory.rmdir()
        return found

    def _sensitivity(self, matrix: _Matrix) -> Sensitivity:
        """Measure a matrix in each probe, and foretell its other formats."""
        name = matrix.name
        shape = self._source.tensors[name].shape
        bytes_, divergence = {}, {}
        for probe, others in self._formats.items():
            place = f"{probe} {name}"
            if place not in self._measured:
                self._measured[place] = self._measure(matrix, probe)
                document = {"key": self._key, "measured": self._measured}
                write_file(self._kept, json.dumps(document).encode())
            self._advance(self._costs[name], name)
            errors = {
                each: rounding_error(matrix.sample, each, matrix.energy, self._threads, name)
                for each in {probe, *others}
            }
            for each in others:
                bytes_[each] = sum(_core.packed_size(each, *shape))
                share = errors[each] / max(errors[probe], 1e-30)
                divergence[each] = self._measured[place] * share
        return Sensitivity(name, bytes_, divergence)

    def _measure(self, matrix: _Matrix, probe: str) -> float:
        """Return the divergence where this matrix alone is in the probe's format."""
        packed = matrix.pack(probe)
        unit = Unit.write(self._directory / "probe", {matrix.name: packed})
        begin = first_layer(matrix.name, self._layers)
        if matrix.name == "embed.weight":
            states = rows_of(packed, self._text.ids)
            places = {**self._rest, **unit.places()} if self._tied else self._rest
        else:
            states = np.load(self._states("measured", begin), mmap_mode="r")
            places = {**self._rest, **unit.places()}
        divergence = self._distance.measure(places, begin, states)
        unit.remove()
        return divergence

    # What there is to measure.

    def _matrices(self) -> Iterator[_Matrix]:
        yield self._embedding()
        for which, text in (("measured", self._text), ("watched", self._watched)):
            with self._new_states(which, 0, text) as out:
                out[:] = embedded(self._source, text.ids)
        for number in range(self._layers):
            grams = self._run(number)
            yield from self._layer(number, grams)
            if number + 1 < self._layers:  # the head is measured from the last layer on
                self._states("measured", number).unlink()
            self._states("watched", number).unlink()
        if not self._tied:
            yield self._head()

    def _embedding(self) -> _Matrix:
        name = "embed.weight"
        sample = sampled(self._source, name, _SAMPLED_ROWS)
        return _Matrix(
            name,
            lambda probe: pack_slabs(self._source, name, probe, self._threads),
            sample,
            np.ones(sample.shape[1], np.float32),
        )

    def _layer(self, number: int, grams: dict[str, Array]) -> Iterator[_Matrix]:
        prefix = f"layers.{number}."
        tensors = layer_tensors(self._source, number)
        self._equalized.factors(number).apply(tensors, self._spec.layers[number])
        for reads, readers in READERS.items():
            gram = grams.pop(reads)
            energy = gram.diagonal().copy()
            feedback: Feedback | None = None
            for reader in readers:
                name = f"{prefix}{reader}.weight"
                weights = np.ascontiguousarray(tensors[f"{reader}.weight"])
                known = all(f"{probe} {name}" in self._measured for probe in self._formats)
                if feedback is None and not known:
                    feedback = Feedback.of(gram)

                def packed(
                    probe: str,
                    name: str = name,
                    weights: Array = weights,
                    feedback: Feedback | None = feedback,
                ) -> Packed:
                    return pack(name, weights, probe, self._threads, feedback)

                sample = weights[:: max(1, len(weights) // _SAMPLED_ROWS)]
                yield _Matrix(name, packed, np.ascontiguousarray(sample), energy)

    def _head(self) -> _Matrix:
        name = "head.weight"
        _, factors = self._equalized.head_factors()
        gain = read(self._source, "final_norm.weight") / factors
        states = np.load(self._states("watched", self._layers), mmap_mode="r")
        gram = Gram(self._spec.hidden_size)
        gram.add(normed(states, gain, self._spec.rms_norm_eps))
        matrix = gram.take()
        return _Matrix(
            name,
            lambda probe: pack_slabs(
                self._source, name, probe, self._threads, Feedback.of(matrix), factors
            ),
            sampled(self._source, name, _SAMPLED_ROWS) * factors,
            matrix.diagonal().copy(),
        )

    # The states between layers.

    def _states(self, which: str, layer: int) -> Path:
        return self._directory / f"{which}-{layer:04}.npy"

    def _new_states(self, which: str, layer: int, text: Sequences) -> Any:
        shape = (len(text.ids), self._spec.hidden_size)
        return new_array(self._states(which, layer), shape, np.float32)

    def _run(self, number: int) -> dict[str, Array]:
        """Run a layer on both texts; return the Gram matrices of what its matrices read."""
        observer = GramObserver()
        for which, text in (("watched", self._watched), ("measured", self._text)):
            model = PartialModel(
                self._spec,
                self._rest,
                range(number, number + 1),
                zeros=self._zeros,
                threads=self._threads,
                longest=max(text.lengths),
            )
            states = np.load(self._states(which, number), mmap_mode="r")
            with self._new_states(which, number + 1, text) as out:
                model.forward(
                    states,
                    text.lengths,
                    out=out,
                    visit=observer if which == "watched" else None,
                )
        return {name.split(".")[2]: gram.take() for name, gram in observer.grams.items()}

    def _advance(self, work: int, at: str) -> None:
        self._done += work
        self._tell(min(self._done, self._total), self._total, at)
