"""The original's tensors where the engine can map them.

A checkpoint that is quantized already is, to whom calibrates from it, the weights that its codes
stand for. Their tensors are decoded once into files of the job, FP8 as it is, all others as
numbers; tensors that are numbers lie in the checkpoint itself.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from pocketr1 import _core, checkpoint
from pocketr1.bundle.files import write_file
from pocketr1.bundle.layout import FLOAT8
from pocketr1.checkpoint import TensorInfo
from pocketr1.compress.gptq import slabs
from pocketr1.compress.partial_model import Place, checkpoint_places
from pocketr1.compress.units import joined

__all__ = ["decoded_bytes", "original_places"]

_ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


def original_places(
    source: checkpoint.Checkpoint,
    directory: Path,
    tell: Callable[[int, int, str], None] = lambda *_: None,
    names: Collection[str] | None = None,
) -> dict[str, Place]:
    """Return where a checkpoint's tensors lie, by canonical name, none of them encoded.

    Args:
        source: an uncompressed or a quantized checkpoint.
        directory: for decoded tensors; what an earlier run has decoded of these files is taken. It
            is not made where there are none.
        tell: is told bytes decoded and in all, and the tensor at work.
        names: of the tensors asked for; None: all.

    Raises CheckpointError where a tensor cannot be read, OSError where none can be written.
    """
    places = checkpoint_places(source)
    wanted = places if names is None else names
    encoded = [t for name, t in source.tensors.items() if t.decoder is not None and name in wanted]
    if not encoded:
        return places
    _prepare(source, directory)
    total, done = sum(map(_bytes, encoded)), 0
    for tensor in encoded:
        tell(done, total, tensor.name)
        path = directory / tensor.name
        if not path.exists():
            _decode(source, tensor, path)
        places[tensor.name] = Place(_format(tensor), tensor.shape, path, 0)
        done += _bytes(tensor)
    tell(done, total, encoded[-1].name)
    return places


def decoded_bytes(source: checkpoint.Checkpoint) -> int:
    """Return the size of the files that :func:`original_places` makes; 0 where it makes none."""
    return sum(_bytes(tensor) for tensor in source.tensors.values() if tensor.decoder is not None)


def _prepare(source: checkpoint.Checkpoint, directory: Path) -> None:
    """Make the directory; what was decoded of other files goes."""
    key = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in source.files]
    kept = directory / "source.json"
    if not kept.exists() or json.loads(kept.read_text("utf-8")) != key:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        write_file(kept, json.dumps(key).encode())


def _decode(source: checkpoint.Checkpoint, tensor: TensorInfo, path: Path) -> None:
    """Write a tensor; it has its name when it is on disk."""
    rows, cols = tensor.shape[0], math.prod(tensor.shape[1:])
    fresh = path.with_name("new-" + path.name)
    with fresh.open("wb") as file:
        if _format(tensor) == FLOAT8:
            decoder = tensor.decoder
            assert decoder is not None
            parts = (
                (end - begin, _core.pack_rows(*decoder.codes(begin, end), FLOAT8))
                for begin, end in slabs(rows, cols)
            )
            file.write(joined(FLOAT8, cols, parts).data)
        else:
            for begin, end in slabs(rows, cols):
                weights = source.read_rows(tensor.name, begin, end)
                file.write(np.ascontiguousarray(weights).data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _format(tensor: TensorInfo) -> str:
    """Integer codes become numbers: multiplied as they are, they would not be the original."""
    assert tensor.decoder is not None
    return FLOAT8 if tensor.decoder.exact_format == FLOAT8 else tensor.dtype


def _bytes(tensor: TensorInfo) -> int:
    if _format(tensor) == FLOAT8:
        rows, cols = tensor.shape
        return sum(_core.packed_size(FLOAT8, rows, cols))
    return _ITEM_BYTES[tensor.dtype] * math.prod(tensor.shape)
