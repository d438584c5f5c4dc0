"""Run some consecutive layers of a model, each of its tensors wherever it lies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, arch, checkpoint

__all__ = ["Hidden", "PartialModel", "Place", "bundle_logits", "checkpoint_places"]

#: States between two layers, float32 of shape (tokens, hidden size): those of all sequences, one
#: behind the other.
Hidden: TypeAlias = NDArray[np.float32]

_ROWS = 256  # that pass through the layers together
_LOGIT_ROWS = 64


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: row-major, or packed with all its rows in one part."""

    format: str
    shape: tuple[int, ...]
    file: Path
    offset: int  # bytes from the start of the file


def checkpoint_places(source: checkpoint.Checkpoint) -> dict[str, Place]:
    """Return where a checkpoint's tensors lie, by canonical name."""
    return {
        name: Place(tensor.dtype, tensor.shape, tensor.file, tensor.offset)
        for name, tensor in source.tensors.items()
    }


class PartialModel:
    """Layers ``layers`` of a model, and what follows the last of them where ``head`` is true."""

    def __init__(
        self,
        spec: arch.ModelSpec,
        places: Mapping[str, Place],
        layers: range,
        *,
        head: bool = False,
        zeros: Path,
        threads: int,
        longest: int,
    ) -> None:
        """Map the tensors; nothing is read yet.

        Args:
            spec: of the whole model.
            places: of the tensors of these layers and, with ``head``, of ``final_norm.weight`` and
                of ``head.weight`` or, where it is tied, ``embed.weight``.
            layers: at least one.
            head: whether logits can be had.
            zeros: a file of at least ``4 * hidden_size`` zero bytes, which stands for the tensors
                that are not run.
            threads: of the engine.
            longest: tokens of the longest sequence.

        Raises:
            CheckpointError: a file cannot be opened, or is too short.
        """
        self._first = layers.start
        self._hidden = spec.hidden_size
        part = replace(
            spec,
            layers=spec.layers[layers.start : layers.stop],
            tied_embeddings=True,
            vocab_size=spec.vocab_size if head else 1,
            bos_token_id=None,
            eos_token_ids=(),
        )
        table = {}
        for name in arch.expected_tensors(part):
            if name.startswith("layers."):
                _, number, rest = name.split(".", 2)
                table[name] = places[f"layers.{int(number) + self._first}.{rest}"]
        nothing = Place("f32", (spec.hidden_size,), zeros, 0)
        table["final_norm.weight"] = places["final_norm.weight"] if head else nothing
        table["embed.weight"] = replace(nothing, shape=(1, spec.hidden_size))
        if head:
            table["embed.weight"] = places[
                "embed.weight" if spec.tied_embeddings else "head.weight"
            ]
        files = sorted({place.file for place in table.values()})
        number_of = {file: number for number, file in enumerate(files)}
        model = _core.Model.open_checkpoint(
            json.dumps(part.to_dict()),
            [str(file) for file in files],
            [
                (name, place.format, list(place.shape), number_of[place.file], place.offset)
                for name, place in table.items()
            ],
        )
        self._session = _core.Session(model, threads=threads, max_context=longest)

    def forward(
        self,
        hidden: Hidden,
        lengths: Sequence[int],
        *,
        out: Hidden | None = None,
        visit: Callable[[str, NDArray[np.float32]], None] | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Run sequences of these lengths.

        Args:
            hidden: what the first layer reads.
            lengths: tokens of each sequence; their sum is the tokens of ``hidden``.
            out: gets what the last layer leaves.
            visit: is called with the canonical name of a weight and what it reads, float32 of shape
                (rows, inputs), in order; of weights that share their input with the first's name.
            advance: is told how many tokens were run.
        """
        done = 0

        def hook(name: str, rows: NDArray[np.float32]) -> None:
            if name == "final_norm.weight":
                if out is not None:
                    out[done : done + len(rows)] = rows
            elif visit is not None:
                _, number, rest = name.split(".", 2)
                visit(f"layers.{int(number) + self._first}.{rest}", rows)

        watched = hook if out is not None or visit is not None else None
        nothing = np.empty(0, np.int32)
        for rows, sequences, positions in _steps(self._session, lengths, _ROWS):
            tokens = np.zeros(len(positions), np.int32)
            self._session.step(
                sequences,
                positions,
                tokens,
                nothing,
                embeddings=np.ascontiguousarray(hidden[rows], np.float32),
                hook=watched,
            )
            done = rows.stop
            advance(len(positions))

    def logits(
        self, hidden: Hidden, lengths: Sequence[int]
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield tokens, as a slice, and their logits, float32 of shape (tokens, vocabulary)."""
        for rows, sequences, positions in _steps(self._session, lengths, _LOGIT_ROWS):
            count = len(positions)
            yield (
                rows,
                self._session.step(
                    sequences,
                    positions,
                    np.zeros(count, np.int32),
                    np.arange(count, dtype=np.int32),
                    embeddings=np.ascontiguousarray(hidden[rows], np.float32),
                ),
            )


def bundle_logits(
    bundle: Path, ids: NDArray[np.int64], lengths: Sequence[int], threads: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield what :meth:`PartialModel.logits` does, of a whole bundle that reads these tokens.

    Raises:
        BundleError: the bundle cannot be read.
    """
    model = _core.Model.open_bundle(str(bundle))
    session = _core.Session(model, threads=threads, max_context=max(lengths))
    for rows, sequences, positions in _steps(session, lengths, _LOGIT_ROWS):
        count = np.arange(len(positions), dtype=np.int32)
        yield rows, session.step(sequences, positions, ids[rows].astype(np.int32), count)


def _steps(
    session: _core.Session, lengths: Sequence[int], limit: int
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.int32]]]:
    """Cut sequences into steps of at most ``limit`` rows; free each sequence at its end."""
    begin = 0
    handles: list[int] = []
    positions: list[int] = []
    ended: list[int] = []

    def step() -> tuple[slice, NDArray[np.int32], NDArray[np.int32]]:
        rows = slice(begin, begin + len(positions))
        return rows, np.array(handles, np.int32), np.array(positions, np.int32)

    for length in lengths:
        handle = session.create_sequence()
        for position in range(length):
            handles.append(handle)
            positions.append(position)
            if len(positions) == limit:
                yield step()
                begin += limit
                handles, positions = [], []
                for other in ended:
                    session.free_sequence(other)
                ended = []
        ended.append(handle)
    if positions:
        yield step()
    for other in ended:
        session.free_sequence(other)
