"""The whole model with its channels equalized, in 8 bits, and by what they were scaled.

What a job measures of one layer needs all the others, many times. In 8 bits they take a quarter of
the time; with their channels equalized 8 bits lose next to nothing, and since equalizing changes
nothing that a layer computes, each layer of this model may stand beside any other's of the original
or of the bundle that is to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketr1 import checkpoint
from pocketr1.compress.calibration import CalibrationText, first_tokens
from pocketr1.compress.distance import Sequences, embedded
from pocketr1.compress.equalize import (
    READERS,
    Array,
    LayerFactors,
    equalize_layer,
    equalize_norm,
    key_factors,
)
from pocketr1.compress.gram import Gram
from pocketr1.compress.packing import carries, layer_tensors, pack, pack_slabs, read, sampled
from pocketr1.compress.partial_model import PartialModel, Place
from pocketr1.compress.units import Unit, new_array

__all__ = ["EQUALIZING_TOKENS", "Equalized", "normed"]

#: Tokens whose activations decide how channels are scaled.
EQUALIZING_TOKENS = 4_096

_FORMAT = "w8g128"
_NO_SHARE = -1.0
_HEAD_SAMPLE = 4096  # rows of the head by which its channels are equalized


class Equalized:
    """Made layer by layer; what an earlier run has made is taken from the directory."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        original: Mapping[str, Place],
        formats: Mapping[str, str],
        text: CalibrationText,
        directory: Path,
        threads: int,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            source: a checkpoint.
            original: where its tensors lie, none of them encoded.
            formats: that the matrices will have, by canonical name: channels are scaled so that
                these lose least. What will have no codes has none here, and where a layer has
                codes of the source's its channels are left as they are, which others would not fit.
            text: its first EQUALIZING_TOKENS tokens are run.
            directory: of the model's own files; it may not exist yet.
            threads: for quantizing and for the engine.
        """
        self._source = source
        self._spec = source.spec
        self._original = original
        self._formats = formats
        self._text = Sequences.of(first_tokens(text.samples, EQUALIZING_TOKENS))
        self._directory = directory
        self._threads = threads
        self._layers = len(source.spec.layers)

    @property
    def tokens(self) -> int:
        """That pass through every layer of the original."""
        return len(self._text.ids)

    def make(self, advance: Callable[[int], None]) -> None:
        """Make what is missing; ``advance`` is told the tokens that a layer has run.

        The head is made last: where it is there, layers that are not have been removed.
        """
        if Unit.exists(self._path(self._layers)):
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        zeros = self._directory / "zeros"
        zeros.write_bytes(bytes(4 * self._spec.hidden_size))
        for number in range(self._layers):
            if Unit.exists(self._path(number)):
                continue
            states = self._states(number)
            if number == 0:
                with new_array(states, self._shape, np.float32) as out:
                    out[:] = embedded(self._source, self._text.ids)
            inputs = _Inputs(not self._spec.qk_norm)
            model = PartialModel(
                self._spec,
                self._original,
                range(number, number + 1),
                zeros=zeros,
                threads=self._threads,
                longest=max(self._text.lengths),
            )
            with new_array(self._states(number + 1), self._shape, np.float32) as out:
                model.forward(
                    np.load(states, mmap_mode="r"),
                    self._text.lengths,
                    out=out,
                    visit=inputs,
                    advance=advance,
                )
            self._layer(number, inputs)
            states.unlink()
        self._head()
        self._states(self._layers).unlink()

    def places(self) -> dict[str, Place]:
        """Return where the tensors lie, by canonical name; those removed have none."""
        found: dict[str, Place] = {}
        for number in range(self._layers + 1):
            if Unit.exists(self._path(number)):
                found.update(Unit(self._path(number)).places())
        return {name: place for name, place in found.items() if not name.startswith("factors.")}

    def factors(self, number: int) -> LayerFactors:
        """Return by what the channels of a layer are scaled."""
        unit = Unit(self._path(number))
        shares = _shares(unit.vector("factors.shares"))
        return LayerFactors(
            {reads: unit.vector(f"factors.{reads}") for reads in READERS},
            unit.vector("factors.keys"),
            dict(zip(READERS, shares, strict=True)),
        )

    def head_factors(self) -> tuple[float | None, Array]:
        """Return the share, and by what the columns of the head are multiplied."""
        unit = Unit(self._path(self._layers))
        (share,) = _shares(unit.vector("factors.shares"))
        return share, unit.vector("factors.head")

    def remove(self, number: int) -> None:
        """Delete a layer that is needed no more."""
        if Unit.exists(self._path(number)):
            Unit(self._path(number)).remove()

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._text.ids), self._spec.hidden_size

    def _path(self, number: int) -> Path:
        return self._directory / f"unit-{number:04}"

    def _states(self, number: int) -> Path:
        return self._directory / f"states-{number:04}.npy"

    def _layer(self, number: int, inputs: _Inputs) -> None:
        prefix = f"layers.{number}."
        tensors = layer_tensors(self._source, number)
        formats = {name: self._formats.get(prefix + name, "f32") for name in tensors}
        layer = self._spec.layers[number]
        gram = None if inputs.gram is None else inputs.gram.take()
        fixed = any(self._carries(prefix + name) for name in tensors)
        keys = key_factors(tensors, None if fixed else gram, layer, self._spec.head_dim)
        factors = equalize_layer(
            tensors,
            dict.fromkeys(formats, "f32") if fixed else formats,
            inputs.energies(),
            layer,
            keys,
            self._threads,
        )
        factors.apply(tensors, layer)
        packed = {
            prefix + name: pack(name, values, _rendering(formats[name]), self._threads)
            for name, values in tensors.items()
        }
        for name, vector in (
            *factors.inputs.items(),
            ("keys", factors.keys),
            ("shares", _stored(factors.shares.values())),
        ):
            packed[f"factors.{name}"] = pack(name, vector, "f32", self._threads)
        Unit.write(self._path(number), packed)

    def _carries(self, name: str) -> bool:
        return carries(self._source, name, self._formats.get(name, "f32"))

    def _head(self) -> None:
        gain = read(self._source, "final_norm.weight")
        packed = {}
        if not self._spec.tied_embeddings:
            states = np.load(self._states(self._layers), mmap_mode="r")
            energy = np.square(normed(states, gain, self._spec.rms_norm_eps)).mean(axis=0)
            sample = sampled(self._source, "head.weight", _HEAD_SAMPLE)
            own = self._formats["head.weight"]
            fitting = "f32" if self._carries("head.weight") else own
            share, factors = equalize_norm(sample, fitting, energy, self._threads)
            gain = gain / factors
            packed["head.weight"] = pack_slabs(
                self._source, "head.weight", _rendering(own), self._threads, factors=factors
            )
            packed["factors.head"] = pack("head", factors, "f32", self._threads)
            packed["factors.shares"] = pack("head", _stored([share]), "f32", 1)
        packed["final_norm.weight"] = pack("final_norm.weight", gain, "f32", self._threads)
        Unit.write(self._path(self._layers), packed)


class _Inputs:
    """Sees what a layer's matrices read: the Gram matrix of the first, of others the energy."""

    def __init__(self, with_gram: bool) -> None:
        self.gram: Gram | None = None
        self._with_gram = with_gram
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._count = 0

    def __call__(self, name: str, rows: Array) -> None:
        reads = name.split(".")[2]
        if reads == "q":
            self._count += len(rows)
            if self._with_gram:
                self.gram = self.gram or Gram(rows.shape[1])
                self.gram.add(rows)
        squares = np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        self._sums[reads] = self._sums.get(reads, 0.0) + squares

    def energies(self) -> dict[str, Array]:
        """Mean squares, float32 (inputs,)."""
        return {
            reads: (total / self._count).astype(np.float32) for reads, total in self._sums.items()
        }


def normed(states: Array, gain: Array, epsilon: float) -> Array:
    """Return what the head reads: RMSNorm of states, float32 of shape (rows, hidden size)."""
    mean = np.square(states).mean(axis=1, keepdims=True, dtype=np.float64)
    values: Array = (states / np.sqrt(mean + epsilon) * gain).astype(np.float32)
    return values


def _stored(shares: Iterable[float | None]) -> Array:
    return np.array([_NO_SHARE if share is None else share for share in shares], np.float32)


def _shares(stored: Array) -> list[float | None]:
    return [None if share == _NO_SHARE else share for share in stored.tolist()]


def _rendering(weight_format: str) -> str:
    return _FORMAT if weight_format.startswith("w") else weight_format
