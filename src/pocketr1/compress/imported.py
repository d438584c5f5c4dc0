"""A GGUF file is made into a bundle once, in a cache, and found there afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pocketr1 import __version__, bundle
from pocketr1.checkpoint.gguf import is_gguf, read_header
from pocketr1.compress.defaults import KEEP
from pocketr1.compress.quantizer import CompressionReport, Progress, Quantizer
from pocketr1.errors import BundleError, CheckpointError
from pocketr1.machine import cache_directory

__all__ = ["ImportedModel", "cache_directory", "find_or_import", "import_gguf"]

_HASHED = 4 << 20  # bytes


@dataclass(frozen=True)
class ImportedModel:
    """The bundle of a GGUF file; ``report`` is None where it was there already."""

    path: Path
    report: CompressionReport | None


def import_gguf(
    path: str | os.PathLike[str],
    cache: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Return the bundle of a GGUF file, which :func:`pocketr1.load` takes; make it the first time.

    Q8_0, Q5_0, Q4_0, IQ4_NL, F16, BF16 and F32 tensors are taken over as they are; others get 8
    bits in groups of 32. A bundle belongs to a file of the same size, time and beginning, and to
    this version of the package. It appears whole or not at all; an interrupted run goes on where it
    was.

    Args:
        path: the file.
        cache: a directory to keep bundles in; see :func:`cache_directory`.
        threads: as for :class:`~pocketr1.compress.Quantizer`.
        progress: called with how far the work is; what it raises stops it.

    Raises:
        CheckpointError: the file cannot be read, is malformed, or of a kind that is not supported;
            ``checkpoint-changed`` where it changed meanwhile.
        CompressionError: the bundle cannot be written, or another process is at it.
    """
    return find_or_import(path, cache, threads=threads, progress=progress).path


def find_or_import(
    path: str | os.PathLike[str],
    cache: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ImportedModel:
    """Do what :func:`import_gguf` does, and return what it did as well."""
    source = Path(path)
    if not is_gguf(source):
        read_header(source)  # says what it is instead
    before = _state(source)
    place = cache_directory(cache) / "gguf" / _name(source, before)
    if _is_of(place, before[0]):
        return ImportedModel(place, None)
    report = Quantizer(
        source,
        output_path=place,
        bits=KEEP,
        threads=threads,
        overwrite=True,
        progress=progress,
    ).run()
    if _state(source) != before:
        # Nobody can tell what was read; under this name it would be found again.
        shutil.rmtree(place)
        raise CheckpointError("checkpoint-changed", where=str(source))
    return ImportedModel(place, report)


def _state(path: Path) -> tuple[int, int, str]:
    """Return size, time and the hash of the file's beginning, where its header is."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(file.read(_HASHED)).hexdigest()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(path), reason=reason) from error
    return status.st_size, status.st_mtime_ns, digest


def _name(path: Path, state: tuple[int, int, str]) -> str:
    key = json.dumps([*state, __version__]).encode()
    readable = re.sub(r"[^\w.-]+", "_", path.stem)[:80]
    return f"{readable}-{hashlib.sha256(key).hexdigest()[:16]}"


def _is_of(place: Path, size: int) -> bool:
    """Whether a whole bundle of a source of that size lies there."""
    if not (place / "bundle.json").is_file():
        return False
    try:
        found = bundle.inspect(place)
    except BundleError:
        return False  # damaged: it is made again
    return [row.get("size") for row in found.source] == [size]
