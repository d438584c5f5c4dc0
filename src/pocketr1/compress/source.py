"""The source's weight files: their arrival, hashes, and changes since the job began."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from pocketr1.bundle import BundleWriter, SourceFile
from pocketr1.checkpoint import Checkpoint
from pocketr1.errors import CheckpointError, CompressionError

__all__ = ["Arrivals", "all_files", "check_sources", "hash_file", "rows_per_slab", "source_files"]

#: Rows of the source are read in slabs of at most this many bytes.
SLAB_BYTES = 16 << 20
_PIECE = 8 << 20  # bytes


class Arrivals(Protocol):
    """Brings weight files while a job runs: ``pocketr1 pull --compress`` is one."""

    @property
    def headers(self) -> Path:
        """A directory with a stand-in of every weight file: its header, and its size as a hole."""
        ...

    def fetch(self, path: Path) -> None:
        """Bring a weight file, whole and checked, to its path; return when it is there."""
        ...

    def here(self, path: Path) -> int:
        """Return how many bytes of a weight file that has not come whole are there."""
        ...


def rows_per_slab(row_bytes: int) -> int:
    """Return how many rows of that size make a slab: a multiple of 16, the rows of a tile."""
    return max(16, SLAB_BYTES // row_bytes // 16 * 16)


def source_files(files: Iterable[Path], headers: Path | None = None) -> tuple[SourceFile, ...]:
    """Describe weight files as they are now; of one still to come, only the size is known."""
    rows = []
    for file in files:
        if headers is None or file.exists():
            status = file.stat()
            rows.append(SourceFile(file.name, status.st_size, status.st_mtime_ns))
        else:
            rows.append(SourceFile(file.name, (headers / file.name).stat().st_size, 0))
    return tuple(rows)


def hash_file(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return a file's SHA-256; ``advance`` is told the bytes of each piece.

    Raises:
        CheckpointError: ``checkpoint-read``.
    """
    digest = hashlib.sha256()
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(view[:count])
                advance(count)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(path), reason=reason) from error
    return digest.hexdigest()


def check_sources(writer: BundleWriter, files: Iterable[Path]) -> None:
    """Check that the weight files are those the unfinished job began with.

    A file whose size and time are the same is; one of another time is, if its hash is.

    Raises:
        CompressionError: ``compress-job-differs``.
    """
    assert writer.job is not None
    known = {source.file: source for source in writer.job.sources}
    for file in files:
        (now,) = source_files([file])
        before = known.pop(file.name, None)
        if before is None or now.size != before.size:
            raise _differs(writer, file)
        if now.modified_ns != before.modified_ns:
            recorded = writer.source_hashes.get(file.name)
            arrived = recorded is None and before.modified_ns == 0  # and will be hashed
            if not arrived and recorded != hash_file(file):
                raise _differs(writer, file)
    for name, source in known.items():
        if name not in writer.discarded and source.modified_ns:
            raise _differs(writer, Path(name))


def _differs(writer: BundleWriter, file: Path) -> CompressionError:
    return CompressionError("compress-job-differs", path=writer.partial, what=str(file))


def all_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Return the weight files, those still to come included."""
    return tuple(sorted({*checkpoint.files, *checkpoint.missing_shards}))
