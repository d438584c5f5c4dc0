"""How far a model that is partly quantized is from the original, measured on few tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketr1 import arch, checkpoint
from pocketr1.compress.calibration import Sample, lengths_and_ids
from pocketr1.compress.partial_model import Hidden, PartialModel, Place, bundle_logits
from pocketr1.compress.units import write_rows

__all__ = ["Distance", "Sequences", "embedded"]


@dataclass(frozen=True)
class Sequences:
    """Sequences that run through the layers: their lengths, tokens, and which tokens count.

    counted: bool (tokens,): whether what follows a token is measured.
    """

    lengths: list[int]
    ids: NDArray[np.int64]
    counted: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Iterable[Sample], *, prompts: bool = False) -> Sequences:
        """Put samples one behind the other; ``prompts``: their tokens count too."""
        samples = list(samples)
        lengths, ids = lengths_and_ids(samples)
        counted = []
        for sample in samples:
            places = np.arange(len(sample.ids))
            begin = 0 if prompts else sample.prompt - 1
            counted.append((places >= begin) & (places < len(sample.ids) - 1))
        return cls(lengths, ids, np.concatenate(counted))


class Distance:
    """Mean KL divergence from a model behind the counted tokens of some sequences."""

    def __init__(
        self,
        spec: arch.ModelSpec,
        places: Mapping[str, Place],
        states: Callable[[], Hidden],
        text: Sequences,
        reference: Path,
        zeros: Path,
        threads: int,
        advance: Callable[[int], None],
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            spec: of the model.
            places: of its tensors.
            states: returns what its first layer reads.
            text: what is measured on.
            reference: a file for its log probabilities, float16; made where it is not
                there, while ``advance`` is told the tokens that a layer has run.
            zeros: see :class:`PartialModel`.
            threads: of the engine.
            advance: see ``reference``.
        """
        self._spec = spec
        self._original = places
        self._states = states
        self._text = text
        self._path = reference
        self._zeros = zeros
        self._threads = threads
        self._advance = advance

    def measure(
        self,
        places: Mapping[str, Place],
        begin: int,
        states: Hidden,
        advance: Callable[[int], None] = lambda _: None,
    ) -> float:
        """Return the divergence in nats, where the tensors of a model lie at ``places``.

        states: what layer ``begin`` reads, of all tokens; layers before it are not run.
        """
        layers = range(begin, len(self._spec.layers))
        return self._mean(self._model(places, layers).logits(states, self._text.lengths), advance)

    def of_bundle(self, bundle: Path, advance: Callable[[int], None] = lambda _: None) -> float:
        """Return the divergence in nats of a whole bundle, from its embedding on.

        Raises:
            BundleError: the bundle cannot be read.
        """
        lengths = self._text.lengths
        said = bundle_logits(bundle, self._text.ids, lengths, self._threads)
        return self._mean(said, advance)

    def _mean(
        self,
        said: Iterable[tuple[slice, NDArray[np.float32]]],
        advance: Callable[[int], None],
    ) -> float:
        self._make_reference()
        total = 0.0
        place = 0
        for rows, logits in said:
            counted = self._text.counted[rows]
            one = self._reference(place, place + int(counted.sum()))
            other = _log_softmax(logits[counted])
            total += float((np.exp(one) * (one - other)).sum(dtype=np.float64))
            place += len(one)
            advance(len(logits))
        return max(total / place, 0.0) if math.isfinite(total) else math.inf

    def _reference(self, begin: int, end: int) -> NDArray[np.float32]:
        """Read rows; nothing stays mapped, where all of them would count as this process's."""
        mapped: NDArray[np.float16] = np.load(self._path, mmap_mode="r")
        return mapped[begin:end].astype(np.float32)

    def _make_reference(self) -> None:
        if self._path.exists():
            return
        last = len(self._spec.layers) - 1
        hidden = self._states()
        for layer in range(last):  # one after the other, so that one is in memory
            out = np.empty_like(hidden)
            model = self._model(self._original, range(layer, layer + 1), head=False)
            model.forward(hidden, self._text.lengths, out=out, advance=self._advance)
            hidden = out
        model = self._model(self._original, range(last, last + 1))
        shape = (int(self._text.counted.sum()), self._spec.vocab_size)

        def rows() -> Iterator[NDArray[np.float16]]:
            for rows, logits in model.logits(hidden, self._text.lengths):
                values = _log_softmax(logits[self._text.counted[rows]])
                # Beyond float16 the probability is 0 in any case.
                yield np.maximum(values, np.float32(-6e4)).astype(np.float16)
                self._advance(len(logits))

        write_rows(self._path, shape, np.float16, rows())

    def _model(
        self, places: Mapping[str, Place], layers: range, *, head: bool = True
    ) -> PartialModel:
        return PartialModel(
            self._spec,
            places,
            layers,
            head=head,
            zeros=self._zeros,
            threads=self._threads,
            longest=max(self._text.lengths),
        )


def embedded(source: checkpoint.Checkpoint, ids: NDArray[np.int64]) -> Hidden:
    """Return the original's embedding of tokens."""
    known, inverse = np.unique(ids, return_inverse=True)
    name = "embed.weight"
    rows = [source.read_rows(name, int(row), int(row) + 1) for row in known]
    dtype = source.tensors[name].dtype
    return checkpoint.as_float32(np.concatenate(rows), dtype)[inverse]


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    values: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return values
