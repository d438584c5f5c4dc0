"""Deleting the source's weight files while a job runs, each as soon as it can go."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pocketr1 import _core
from pocketr1.bundle import BundleWriter
from pocketr1.bundle.files import explain_write_errors, sync_directory, write_all
from pocketr1.checkpoint import Checkpoint, TensorInfo
from pocketr1.compress.disk import gives_way, last_use, rest_bytes, rest_header, still_needed
from pocketr1.compress.source import all_files
from pocketr1.errors import CheckpointError, CompressionError

__all__ = ["Discarder", "clear_leftovers", "rests_of"]

_PIECE = 8 << 20  # bytes


class Discarder:
    """Deletes each weight file once every segment made of it is on disk.

    Before another file comes, one of which less than half is still needed goes too: that rest, a
    safetensors file of its own, is kept in the job's directory. A layer that lies across the end of
    one file and the beginning of the next would otherwise hold both on the disk.
    """

    def __init__(self, writer: BundleWriter, checkpoint: Checkpoint) -> None:
        """Find out which segment is the last to need each file."""
        self._writer = writer
        self._last_use = last_use(writer.layout, checkpoint)
        self._paths = {path.name: path for path in all_files(checkpoint)}

    def take_up(self, checkpoint: Checkpoint) -> Checkpoint:
        """Go on where a killed job was: return the source, its rests found where they lie.

        Raises:
            CheckpointError: ``safetensors-invalid`` where a rest is damaged.
            CompressionError: ``compress-discard``.
        """
        for name in rests_of(self._writer):
            checkpoint = _found_in(self._writer.rests / name, checkpoint)
            self._unlink(self._paths[name])
        self.after_segment(self._writer.finished)
        return checkpoint

    def make_room(self, checkpoint: Checkpoint) -> Checkpoint:
        """Delete what gives way to another file; return the source, its rests where they now lie.

        Raises:
            CheckpointError: ``checkpoint-read``.
            CompressionError: ``compress-discard``, ``compress-disk-full``, ``compress-write``.
        """
        needed = still_needed(self._writer.layout, checkpoint, self._writer.finished)
        for name, tensors in needed.items():
            path = self._paths[name]
            whole = all(tensor.file == path for tensor in tensors) and path.exists()
            if whole and gives_way(rest_bytes(tensors), path.stat().st_size):
                rest = self._writer.rests / name
                with explain_write_errors(rest):
                    _write_rest(rest, tensors)
                self._writer.add_discard(name)
                self._unlink(path)
                checkpoint = _found_in(rest, checkpoint)
        return checkpoint

    def after_segment(self, finished: int) -> None:
        """Delete what the first ``finished`` segments alone needed.

        Raises:
            CompressionError: ``compress-discard`` where a file cannot be deleted.
        """
        for name, last in list(self._last_use.items()):
            if last < finished:
                if name not in self._writer.discarded:
                    self._writer.add_discard(name)
                self._unlink(self._paths[name])
                self._unlink(self._writer.rests / name)
                del self._last_use[name]

    def _unlink(self, path: Path) -> None:
        try:
            # A hub's cache keeps the file elsewhere and links to it.
            for one in {path.resolve(), path}:
                one.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CompressionError("compress-discard", path=path, reason=reason) from error


def clear_leftovers(writer: BundleWriter) -> None:
    """Delete what a kill left of a rest that was being written; its weight file is still there."""
    if writer.rests.is_dir():
        with explain_write_errors(writer.rests):
            for path in writer.rests.iterdir():
                if path.name not in writer.discarded:
                    path.unlink()


def rests_of(writer: BundleWriter) -> Mapping[str, int]:
    """Return the bytes of each rest, by the name of its weight file."""
    rests = {name: writer.rests / name for name in sorted(writer.discarded)}
    return {name: path.stat().st_size for name, path in rests.items() if path.exists()}


def _found_in(rest: Path, checkpoint: Checkpoint) -> Checkpoint:
    places = {name: begin for name, _, _, begin, _ in _core.safetensors_header(str(rest))}
    tensors = {
        name: replace(tensor, file=rest, offset=places[tensor.source_name])
        if tensor.source_name in places
        else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=MappingProxyType(tensors))


def _write_rest(rest: Path, tensors: Sequence[TensorInfo]) -> None:
    """Write the rest whole or not at all; returns when it is on disk."""
    rest.parent.mkdir(exist_ok=True)
    fresh = rest.with_name(rest.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, rest_header(tensors))
        for tensor in tensors:
            _copy(tensor, descriptor)
        os.fsync(descriptor)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    fresh.replace(rest)
    sync_directory(rest.parent)
    sync_directory(rest.parent.parent)


def _copy(tensor: TensorInfo, descriptor: int) -> None:
    for begin in range(0, tensor.nbytes, _PIECE):
        write_all(descriptor, _read(tensor, begin, min(_PIECE, tensor.nbytes - begin)))


def _read(tensor: TensorInfo, begin: int, size: int) -> bytes:
    try:
        with tensor.file.open("rb") as file:
            file.seek(tensor.offset + begin)
            piece = file.read(size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(tensor.file), reason=reason) from error
    if len(piece) < size:
        reason = f"it ends within {tensor.source_name}"
        raise CheckpointError("checkpoint-read", where=str(tensor.file), reason=reason)
    return piece
