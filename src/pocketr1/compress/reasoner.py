"""The model that writes the text it is calibrated with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketr1 import checkpoint
from pocketr1.engine import Engine, load

__all__ = ["reasoner"]

_CONTEXT = 4096


@contextmanager
def reasoner(model: Path, config: Path | None, directory: Path, threads: int) -> Iterator[Engine]:
    """Load a model in 8 bits, which reads half as much a token and says much the same.

    directory: of that bundle; it is deleted at the end. For the rest see
    :class:`pocketr1.compress.Quantizer`.
    """
    from pocketr1.compress.quantizer import Quantizer

    Quantizer(model, config, directory, threads=threads, overwrite=True).run()
    try:
        context = min(_CONTEXT, checkpoint.open(model, config).spec.max_positions)
        with load(directory, threads=threads, max_context=context) as engine:
            yield engine
    finally:
        shutil.rmtree(directory)
