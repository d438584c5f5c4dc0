"""The source's weight files: hashes, changes since the job began, and discarding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from pocketr1.bundle import BundleLayout, BundleWriter, SourceFile
from pocketr1.checkpoint import Checkpoint
from pocketr1.errors import CheckpointError, CompressionError

__all__ = ["Arrivals", "Discarder", "check_sources", "hash_file", "rows_per_slab", "source_files"]

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


class Discarder:
    """Deletes each weight file of the source once every segment made of it is on disk."""

    def __init__(self, writer: BundleWriter, checkpoint: Checkpoint) -> None:
        """Find out which segment is the last to need each file."""
        self._writer = writer
        self._last_use = last_use(writer.layout, checkpoint)
        self._paths = {path.name: path for path in all_files(checkpoint)}

    def after_segment(self, finished: int) -> None:
        """Delete what the first ``finished`` segments alone needed.

        Raises:
            CompressionError: ``compress-discard`` where a file cannot be deleted.
        """
        for name, last in list(self._last_use.items()):
            if last < finished:
                if name not in self._writer.discarded:
                    self._writer.add_discard(name)
                self._delete(self._paths[name])
                del self._last_use[name]

    def _delete(self, path: Path) -> None:
        try:
            # A hub's cache keeps the file elsewhere and links to it.
            for one in {path.resolve(), path}:
                one.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CompressionError("compress-discard", path=path, reason=reason) from error


def all_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Return the weight files, those still to come included."""
    return tuple(sorted({*checkpoint.files, *checkpoint.missing_shards}))


def peak_disk_bytes(
    layout: BundleLayout,
    checkpoint: Checkpoint,
    sizes: Mapping[str, int],
    *,
    finished: int = 0,
    here: Mapping[str, int] | None = None,
    discard: bool,
) -> int:
    """Return how many bytes more than now the disk holds at the job's fullest moment.

    Each weight file comes when the first segment needs it and, with ``discard``, goes after the
    last.

    Args:
        layout: of the bundle.
        checkpoint: where its tensors come from.
        sizes: bytes of each weight file, by name.
        finished: segments that lie on the disk already.
        here: bytes of each weight file that do, by name; None: of none.
        discard: whether weight files are deleted.
    """
    held = dict(here or {})
    last = last_use(layout, checkpoint)
    taken = layout.file_bytes - sum(segment.size for segment in layout.segments)  # headers
    peak = taken

    def bring(name: str) -> None:
        nonlocal taken
        taken += sizes[name] - held.get(name, 0)
        held[name] = sizes[name]

    def free(index: int) -> None:
        nonlocal taken
        if discard:
            taken -= sum(held.pop(name, 0) for name, use in last.items() if use == index)

    for index in range(finished):
        free(index)
    for index, segment in enumerate(layout.segments[finished:], finished):
        for part in segment.parts:
            tensor = checkpoint.tensors.get(layout.tensors[part.tensor].name)
            if tensor is not None:
                bring(tensor.file.name)
        taken += segment.size
        peak = max(peak, taken)
        free(index)
    for name, use in last.items():
        if use < 0:  # of no use, but its hash is on record
            bring(name)
    return max(peak, taken)


def last_use(layout: BundleLayout, checkpoint: Checkpoint) -> dict[str, int]:
    """Return, for each weight file, the last segment made of it; -1: none."""
    last = {path.name: -1 for path in all_files(checkpoint)}
    for index, segment in enumerate(layout.segments):
        for part in segment.parts:
            tensor = checkpoint.tensors.get(layout.tensors[part.tensor].name)
            if tensor is not None:
                last[tensor.file.name] = index
    return last
