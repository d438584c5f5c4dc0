"""The state of a job on disk: what it is, and how far it has come.

Beside the bundle in the making lie ``job.json``, which never changes, and ``journal``, a line of
JSON per finished step, on disk before the next step begins. A line cut short by a crash is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketr1.bundle.files import sync_directory, write_all, write_file
from pocketr1.bundle.layout import TensorPlan
from pocketr1.errors import CompressionError

__all__ = ["Job", "Journal", "Lock", "PartError", "SourceFile"]

_VERSION = 1


@dataclass(frozen=True)
class SourceFile:
    """A weight file of the source as it was when the job began."""

    file: str  # name
    size: int  # bytes
    modified_ns: int


@dataclass(frozen=True)
class Job:
    """Everything that decides a bundle's bytes, but the weights themselves."""

    created_by: str
    model: Mapping[str, Any]  # the "model" of bundle.json
    plan: Mapping[str, Any]  # the "plan" of bundle.json
    tensors: tuple[TensorPlan, ...]  # in decode order
    sources: tuple[SourceFile, ...]
    tokenizer: Mapping[str, Any]  # the "tokenizer" of bundle.json

    def to_json(self) -> bytes:
        """The bytes of job.json."""
        document = {
            "version": _VERSION,
            "created_by": self.created_by,
            "model": self.model,
            "plan": self.plan,
            "tensors": [[t.name, t.format, list(t.shape)] for t in self.tensors],
            "sources": [[s.file, s.size, s.modified_ns] for s in self.sources],
            "tokenizer": self.tokenizer,
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, where: Path) -> Job:
        """Read job.json; raises CompressionError ``compress-job-unreadable``."""
        try:
            document = json.loads(data)
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            return cls(
                created_by=document["created_by"],
                model=document["model"],
                plan=document["plan"],
                tensors=tuple(TensorPlan(n, f, tuple(s)) for n, f, s in document["tensors"]),
                sources=tuple(SourceFile(*row) for row in document["sources"]),
                tokenizer=document["tokenizer"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CompressionError(
                "compress-job-unreadable", path=where, reason=str(error)
            ) from error


@dataclass(frozen=True)
class PartError:
    """How far a part is from the weights it stands for."""

    sum_sq_error: float  # sum of (w - stored)^2
    sum_sq: float  # sum of w^2
    max_abs: float  # largest |w - stored|


@dataclass
class Journal:
    """What is finished. Each ``add_*`` returns when its line is on disk."""

    path: Path
    source_hashes: dict[str, str] = field(default_factory=dict)  # file name -> SHA-256
    segments: list[tuple[list[str], list[PartError]]] = field(default_factory=list)
    discarded: set[str] = field(default_factory=set)  # file names
    _descriptor: int = -1

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a journal, creating it where there is none, at the end of its last whole line."""
        journal = cls(path)
        new = not path.exists()
        journal._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if new:
            sync_directory(path.parent)
        good = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if not (line.endswith(b"\n") and journal._read(line)):
                break
            good += len(line)
        os.ftruncate(journal._descriptor, good)
        os.lseek(journal._descriptor, good, os.SEEK_SET)
        return journal

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def add_source(self, file: str, sha256: str) -> None:
        """A source file has been hashed."""
        self._add({"source": file, "sha256": sha256})

    def add_segment(self, chunks: list[str], errors: list[PartError]) -> None:
        """The next segment is on disk; ``chunks`` are the hashes of the chunks it completed."""
        self._add(_segment_line(len(self.segments), chunks, errors))

    def add_discard(self, file: str) -> None:
        """A source file is about to be deleted."""
        self._add({"discard": file})

    def drop_segments(self, keep: int) -> None:
        """Forget all but the first ``keep`` segments (their bytes are gone)."""
        del self.segments[keep:]
        lines: list[dict[str, Any]] = []
        lines += ({"source": f, "sha256": h} for f, h in self.source_hashes.items())
        lines += (_segment_line(i, *segment) for i, segment in enumerate(self.segments))
        lines += ({"discard": f} for f in sorted(self.discarded))
        self.close()
        write_file(self.path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def _add(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        write_all(self._descriptor, data)
        os.fsync(self._descriptor)
        self._read(data)

    def _read(self, line: bytes) -> bool:
        try:
            row = json.loads(line)
            if "source" in row:
                self.source_hashes[row["source"]] = row["sha256"]
            elif "discard" in row:
                self.discarded.add(row["discard"])
            elif row["segment"] == len(self.segments):
                errors = [PartError(*error) for error in row["errors"]]
                self.segments.append((list(row["chunks"]), errors))
            else:
                return False
        except (ValueError, KeyError, TypeError):
            return False
        return True


def _segment_line(index: int, chunks: list[str], errors: list[PartError]) -> dict[str, Any]:
    rows = [[e.sum_sq_error, e.sum_sq, e.max_abs] for e in errors]
    return {"segment": index, "chunks": chunks, "errors": rows}


class Lock:
    """Keeps a second process away from a job. The system frees it when the process ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises CompressionError ``compress-busy``."""
        self.path = path
        while True:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self.release()
                raise CompressionError("compress-busy", path=path.parent) from error
            except BaseException:
                self.release()
                raise
            # The job that held it may have deleted the file in between.
            try:
                if os.path.samestat(os.fstat(self._descriptor), path.stat()):
                    return
            except FileNotFoundError:
                pass
            self.release()

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
