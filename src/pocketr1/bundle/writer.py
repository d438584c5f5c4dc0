"""Write a bundle segment by segment, so that a job killed at any moment goes on where it was.

While a job runs, everything lies in ``OUTPUT.partial``::

    OUTPUT.partial/lock       held by the process at work
    OUTPUT.partial/job.json   what is being made
    OUTPUT.partial/journal    what is finished
    OUTPUT.partial/rest/      what is still needed of source files that were deleted
    OUTPUT.partial/calibration/  text, states and finished layers of a calibrated job
    OUTPUT.partial/bundle/    the bundle in the making; bundle.json comes last
    OUTPUT.partial/failed.json  why a whole bundle was not given its name

One rename makes it ``OUTPUT``: a directory of that name is whole or not there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.bundle.files import explain_write_errors, sync_directory, write_all, write_file
from pocketr1.bundle.journal import Job, Journal, Lock, PartError
from pocketr1.bundle.layout import (
    CHUNK_BYTES,
    FLOAT8,
    BundleLayout,
    Part,
    plan_layout,
    signed_scales,
)
from pocketr1.checkpoint import CompanionFile
from pocketr1.errors import BundleError, CompressionError

__all__ = ["BundleWriter", "partial_path"]

_FORMAT = "pocketr1.bundle"
_VERSION = 1


def partial_path(output: Path) -> Path:
    """Where the job that makes ``output`` keeps its work."""
    return output.with_name(output.name + ".partial")


class BundleWriter:
    """Makes one bundle; a context manager that holds the job's lock.

    After entering, ``job`` is the unfinished job found on disk, or None: then call ``begin``. Write
    the segments of ``pending`` in order, then ``publish``; between the two, ``complete`` lets the
    bundle be judged, and ``fail`` keeps it from its name, ``abandon`` deletes the job.
    ``calibration`` and ``distilled``, set before, are what bundle.json says of the calibration and
    of distilling; ``work`` is a directory for such a job's own files.
    """

    def __init__(self, output: Path, *, overwrite: bool = False) -> None:
        """``overwrite``: a bundle that is there is replaced, once the new one is whole."""
        self.output = output.resolve()
        if not self.output.name:
            raise CompressionError("compress-output-foreign", path=self.output)
        self.partial = partial_path(self.output)
        self.rests = self.partial / "rest"
        self.work = self.partial / "calibration"
        self.calibration: Mapping[str, Any] | None = None
        self.distilled: Mapping[str, Any] | None = None
        self.job: Job | None = None
        self._bundle = self.partial / "bundle"
        self._overwrite = overwrite
        self._lock: Lock | None = None
        self._journal: Journal | None = None
        self._layout: BundleLayout | None = None
        self._shard = _OpenShard()

    def __enter__(self) -> BundleWriter:
        """Take the lock and read the state of an unfinished job.

        Raises:
            CompressionError: ``compress-output-exists``, ``compress-output-foreign``,
                ``compress-busy``, ``compress-job-unreadable``, ``compress-write``.
        """
        with explain_write_errors(self.partial):
            if not self.partial.exists():
                self._check_output()
            self.partial.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.partial / "lock")
            try:
                if not self._bundle.exists() and _is_bundle(self.output):
                    self._clear()  # a job killed right after it had published
                self._check_output()
                self._load()
            except BaseException:
                if not (self.partial / "job.json").exists():  # nothing worth keeping
                    shutil.rmtree(self.partial, ignore_errors=True)
                self._close()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Give the lock back; unfinished work stays for the next time.

        A KeyboardInterrupt is swallowed once the bundle is published: it came too late to stop
        anything, and a job that is done must not look as if it had failed.
        """
        try:
            self._leave()
        except KeyboardInterrupt:
            if not self.published:
                raise
            self._leave()
        return self.published and kind is not None and issubclass(kind, KeyboardInterrupt)

    @property
    def published(self) -> bool:
        """Whether the bundle has its name."""
        return self.job is not None and self.output.exists() and not self._bundle.exists()

    @property
    def failed(self) -> bool:
        """Whether the job's bundle was judged and found wanting."""
        return (self.partial / "failed.json").exists()

    @property
    def layout(self) -> BundleLayout:
        """Where everything goes."""
        assert self._layout is not None
        return self._layout

    @property
    def source_hashes(self) -> Mapping[str, str]:
        """SHA-256 of the source files hashed so far, by name."""
        return self._open_journal.source_hashes

    @property
    def discarded(self) -> frozenset[str]:
        """Names of source files that were deleted, or were about to be."""
        return frozenset(self._open_journal.discarded)

    @property
    def finished(self) -> int:
        """Segments on disk; the next one has this index."""
        return len(self._open_journal.segments)

    def begin(self, job: Job, tokenizer_files: Iterable[CompanionFile]) -> None:
        """Start ``job`` afresh; ``tokenizer_files`` are copied into the bundle."""
        with explain_write_errors(self.partial):
            self._clear()
            (self._bundle / "blocks").mkdir(parents=True)
            for file in tokenizer_files:
                write_file(self._bundle / file.name, file.read_bytes())
            sync_directory(self._bundle)
            write_file(self.partial / "job.json", job.to_json())
            sync_directory(self.partial.parent)
            self._journal = Journal.open(self.partial / "journal")
        self.job = job
        self._layout = plan_layout(job.tensors)

    def add_source_hash(self, file: str, sha256: str) -> None:
        """Record the SHA-256 of a source file."""
        with explain_write_errors(self.partial):
            self._open_journal.add_source(file, sha256)

    def add_discard(self, file: str) -> None:
        """Record that a source file is about to be deleted."""
        with explain_write_errors(self.partial):
            self._open_journal.add_discard(file)

    def write_segment(
        self, index: int, parts: Iterable[tuple[NDArray[np.uint8], PartError]]
    ) -> None:
        """Write the next segment: of each of its parts the bytes and the error.

        Returns when bytes and journal are on disk.

        Raises:
            BundleError: ``bundle-scales`` where a scale is negative or not finite.
            CompressionError: ``compress-disk-full`` or ``compress-write``; the job can go on later.
        """
        if index != self.finished:
            raise ValueError(f"segment {index} after {self.finished} segments")
        segment = self.layout.segments[index]
        shard = self.layout.shards[segment.shard]
        path = self._bundle / shard.file
        with explain_write_errors(path):
            if self._shard.path != path:
                first = index == 0 or self.layout.segments[index - 1].shard != segment.shard
                if first:
                    self._shard.create(path, shard.header)
                else:
                    before = self.layout.segments[index - 1]
                    self._shard.reopen(path, before.offset + before.size)
        errors: list[PartError] = []
        chunks: list[str] = []
        try:
            for part, (data, error) in zip(segment.parts, parts, strict=True):
                self._check_part(part, data, shard.file)
                errors.append(error)
                with explain_write_errors(path):
                    chunks += self._shard.write(part.offset, data.data)
            with explain_write_errors(path):
                if segment.offset + segment.size == shard.size:
                    chunks += self._shard.last_chunk()
                self._shard.sync()
                self._open_journal.add_segment(chunks, errors)
        except BaseException:
            self._shard.close()  # the next try begins at the end of the segment before
            raise

    def complete(self) -> Path:
        """Write bundle.json, so that the bundle can be judged where it lies; return its path.

        ``locate`` refuses it there: only a caller that knows what it is can open it.
        """
        with explain_write_errors(self.partial):
            self._write_metadata(None)
        return self._bundle

    def withdraw(self) -> None:
        """Take bundle.json away again: what lies there is the work of a job, and no bundle."""
        with explain_write_errors(self.partial):
            (self._bundle / "bundle.json").unlink(missing_ok=True)
            sync_directory(self._bundle)

    def fail(self, judgement: Mapping[str, Any]) -> None:
        """Record why the bundle does not get its name; the job may be judged again."""
        self.withdraw()
        with explain_write_errors(self.partial):
            text = json.dumps(judgement, ensure_ascii=False, indent=1)
            write_file(self.partial / "failed.json", text.encode() + b"\n")

    def abandon(self) -> None:
        """Delete the job and all that was made of it."""
        with explain_write_errors(self.partial):
            self._clear()
        self.job = None

    def publish(self, gate: Mapping[str, Any] | None = None) -> None:
        """Write bundle.json and give the bundle its name, in one step.

        gate: the judgement it is published with, as JSON types.
        """
        with explain_write_errors(self.output):
            self._write_metadata(gate)
            self._rename()

    def tensor_errors(self) -> list[dict[str, float]]:
        """Relative RMS and largest absolute error of each tensor, from what is finished."""
        sums = [[0.0, 0.0, 0.0] for _ in self.layout.tensors]
        rows = zip(self.layout.segments, self._open_journal.segments, strict=False)
        for segment, (_, errors) in rows:
            for part, error in zip(segment.parts, errors, strict=True):
                total = sums[part.tensor]
                total[0] += error.sum_sq_error
                total[1] += error.sum_sq
                total[2] = max(total[2], error.max_abs)
        return [
            {"relative_rms": math.sqrt(wrong / all_) if all_ > 0 else 0.0, "max_abs": largest}
            for wrong, all_, largest in sums
        ]

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None, "no job was begun"
        return self._journal

    def _check_output(self) -> None:
        """Refuse what is there, unless it is a bundle that may be replaced, or an empty directory.

        An output that a killed job left behind complete is found by its ``bundle.json``.
        """
        try:
            empty = not any(self.output.iterdir())
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise CompressionError("compress-output-foreign", path=self.output) from error
        if empty:
            return
        if not _is_bundle(self.output):
            raise CompressionError("compress-output-foreign", path=self.output)
        if not self._overwrite:
            raise CompressionError("compress-output-exists", path=self.output)

    def _load(self) -> None:
        """Read the state of the job, if one was begun and not published yet."""
        job_path = self.partial / "job.json"
        if not job_path.exists() or not self._bundle.is_dir():
            return
        self.job = Job.from_json(job_path.read_bytes(), job_path)
        self._layout = plan_layout(self.job.tensors)
        self._journal = Journal.open(self.partial / "journal")
        keep = 0
        for segment in self._layout.segments[: self.finished]:
            path = self._bundle / self._layout.shards[segment.shard].file
            if not path.exists() or path.stat().st_size < segment.offset + segment.size:
                break
            keep += 1
        if keep < self.finished:
            if self.discarded:
                # Segments made of a source that is gone cannot be made again.
                reason = f"segment {keep} is missing from {self._bundle}"
                raise CompressionError("compress-job-unreadable", path=job_path, reason=reason)
            self._journal.drop_segments(keep)

    def _clear(self) -> None:
        """Delete everything of an earlier job but the lock."""
        if self._journal is not None:
            self._journal.close()
        # Without job.json there is no job, whatever else a crash leaves.
        (self.partial / "job.json").unlink(missing_ok=True)
        sync_directory(self.partial)
        (self.partial / "journal").unlink(missing_ok=True)
        (self.partial / "failed.json").unlink(missing_ok=True)
        # What is in `work` beside the units does not depend on the bundle's formats.
        units = self.work / "units"
        for directory in (self._bundle, self.rests, units, self.partial / "replaced"):
            if directory.exists():
                shutil.rmtree(directory)

    def _check_part(self, part: Part, data: NDArray[np.uint8], file: str) -> None:
        if data.nbytes != part.size:
            raise ValueError(f"{data.nbytes} bytes for a part of {part.size}")
        tensor = self.layout.tensors[part.tensor]
        # Bits above the limit: infinity, NaN, the sign; f32 above 2^119 in FP8.
        kind, limit = ("<u4", 0x7B000000) if tensor.format == FLOAT8 else ("<u2", 0x7BFF)
        scales = data[part.codes : part.codes + part.scales].view(kind)
        if signed_scales(tensor.format):
            scales = scales & 0x7FFF
        if part.scales and int(scales.max()) > limit:
            reason = f'tensor "{tensor.name}": a scale is negative or not finite'
            raise BundleError("bundle-scales", where=file, reason=reason)

    def _write_metadata(self, gate: Mapping[str, Any] | None) -> None:
        if self.finished != len(self.layout.segments):
            raise ValueError("segments are missing")
        self._shard.close()
        text = json.dumps(self._metadata(gate), ensure_ascii=False, indent=1)
        write_file(self._bundle / "bundle.json", text.encode() + b"\n")
        sync_directory(self._bundle / "blocks")

    def _metadata(self, gate: Mapping[str, Any] | None) -> dict[str, Any]:
        assert self.job is not None
        job, layout = self.job, self.layout
        hashes = self.source_hashes
        chunks: list[list[str]] = [[] for _ in layout.shards]
        for segment, (digests, _) in zip(layout.segments, self._open_journal.segments, strict=True):
            chunks[segment.shard] += digests
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "created_by": job.created_by,
            "model": job.model,
            "tokenizer": job.tokenizer,
            "plan": job.plan,
            "source": [
                {"file": s.file, "size": s.size, "sha256": hashes[s.file]} for s in job.sources
            ],
            "calibration": self.calibration,
            "distilled": self.distilled,
            "gate": gate,
            "tensors": [
                {
                    "name": t.name,
                    "format": t.format,
                    "shape": list(t.shape),
                    # What was distilled no longer stands for single weights.
                    "error": error if self.distilled is None else None,
                }
                for t, error in zip(layout.tensors, self.tensor_errors(), strict=True)
            ],
            "shards": [
                {
                    "file": shard.file,
                    "size": shard.size,
                    "chunks": [{"encoding": "raw", "sha256": digest} for digest in digests],
                }
                for shard, digests in zip(layout.shards, chunks, strict=True)
            ],
            "segments": layout.segment_rows(),
        }

    def _rename(self) -> None:
        """Move the finished bundle to its place, and the one it replaces out of the way."""
        replaced = self.partial / "replaced"
        if self.output.exists() and any(self.output.iterdir()):
            if replaced.exists():
                shutil.rmtree(replaced)
            self.output.replace(replaced)
        self._bundle.replace(self.output)
        sync_directory(self.output.parent)

    def _leave(self) -> None:
        if self._lock is not None and (self.job is None or self.published):
            # Nothing was begun, or nothing is left to do: leave no trace.
            shutil.rmtree(self.partial, ignore_errors=True)
        self._close()

    def _close(self) -> None:
        self._shard.close()
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _is_bundle(path: Path) -> bool:
    try:
        with (path / "bundle.json").open("rb") as file:
            metadata = json.loads(file.read(64 << 20))
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and metadata.get("format") == _FORMAT


class _OpenShard:
    """The shard being written: appends, and hashes each 4 MiB chunk as it fills."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._descriptor = -1
        self._position = 0
        self._hash = hashlib.sha256()
        self._ready: list[str] = []

    def create(self, path: Path, header: bytes) -> None:
        """Begin a new file with its header."""
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        sync_directory(path.parent)
        self.path, self._position, self._ready = path, 0, []
        self._hash = hashlib.sha256()
        self._append(memoryview(header))

    def reopen(self, path: Path, position: int) -> None:
        """Go on at ``position``; what lies behind it is dropped."""
        self.close()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.ftruncate(self._descriptor, position)
        begin = position - position % CHUNK_BYTES
        self._hash = hashlib.sha256()
        while begin < position:
            data = os.pread(self._descriptor, position - begin, begin)
            if not data:
                raise OSError(errno.EIO, "the file ends too early", str(path))
            self._hash.update(data)
            begin += len(data)
        os.lseek(self._descriptor, position, os.SEEK_SET)
        self.path, self._position, self._ready = path, position, []

    def write(self, offset: int, data: memoryview) -> list[str]:
        """Write ``data`` at ``offset``, zeros up to it; return the chunks completed."""
        self._append(memoryview(bytes(offset - self._position)))
        self._append(data)
        ready, self._ready = self._ready, []
        return ready

    def last_chunk(self) -> list[str]:
        """The hash of the short chunk at the end of the file, if there is one."""
        return [self._hash.hexdigest()] if self._position % CHUNK_BYTES else []

    def sync(self) -> None:
        """Put what was written on disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self.path, self._descriptor = None, -1

    def _append(self, data: memoryview) -> None:
        write_all(self._descriptor, data)
        while data:
            room = CHUNK_BYTES - self._position % CHUNK_BYTES
            piece = data[:room]
            self._hash.update(piece)
            self._position += len(piece)
            if self._position % CHUNK_BYTES == 0:
                self._ready.append(self._hash.hexdigest())
                self._hash = hashlib.sha256()
            data = data[room:]
