"""Pull a checkpoint: whole, or shard by shard for a compression that runs meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pocketr1 import arch, checkpoint
from pocketr1.bundle.files import sync_directory
from pocketr1.bundle.journal import Lock
from pocketr1.checkpoint.files import read_index, read_json
from pocketr1.checkpoint.schemes import read_quantization
from pocketr1.errors import CheckpointError, HubError
from pocketr1.hub.names import alias_for
from pocketr1.hub.origin import Origin, RemoteFile

__all__ = ["Pull", "PullProgress", "PullReport"]

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_COMPANIONS = (
    _INDEX,
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    # Where tools wrote how they had quantized before config.json said so.
    "quantize_config.json",
    "quant_config.json",
    "LICENSE",
)
_STATE = "pull.json"
_LOCK = "lock"
_HEADERS = "headers"
_PARTIAL = ".incomplete"
_PIECE = 8 << 20  # bytes
_LARGEST_HEADER = 100 << 20  # bytes; the format's own limit
#: Disk space that must stay free beside what is pulled.
_SPARE = 64 << 20


@dataclass(frozen=True)
class PullProgress:
    """How far a pull is: ``stage`` is ``pull`` or ``check``; bytes of all its files."""

    stage: str
    done: int
    total: int
    file: str


@dataclass(frozen=True)
class PullReport:
    """What was pulled.

    checked: files whose hash the hub tells, and was right; unchecked: those it tells none of.
    """

    path: str
    address: str
    revision: str
    bytes: int
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {**self.__dict__, "checked": list(self.checked), "unchecked": list(self.unchecked)}


class Pull:
    """One checkpoint on its way into a directory; a context manager that holds its lock.

    Files arrive in ``directory`` until ``finish`` gives it its name; before that a weight file is
    missing in it, so that it is never taken for a whole model. Run again, a pull goes on where it
    stopped, at the very byte, with the same commit.
    """

    def __init__(
        self,
        origin: Origin,
        directory: Path,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> None:
        """Choose the files.

        Raises:
            HubError: ``hub-gguf``, ``hub-no-weights``.
        """
        self.origin = origin
        self.directory = directory
        self._progress = progress
        self._began = time.monotonic()
        self._verified: dict[str, list[int]] = {}
        self._done: dict[tuple[str, str], int] = {}  # bytes by stage and file
        self._checked = False  # nothing is worth keeping before
        self._lock: Lock | None = None
        self._listed = listed = {file.name: file for file in origin.files()}
        self._refuse_useless()
        self.companions = [listed[name] for name in _COMPANIONS if name in listed]
        # A single file goes before an index, as in transformers; an index says what it needs.
        self.weights = [listed[_SINGLE]] if _SINGLE in listed else []
        if self.weights:
            self.companions = [file for file in self.companions if file.name != _INDEX]

    def __enter__(self) -> Pull:
        """Take the lock, and take up what an earlier run left.

        Raises:
            HubError: ``hub-other`` (the directory holds the unfinished pull of something else),
                ``hub-unreadable``, ``hub-write``.
            CompressionError: ``compress-busy``: another process pulls into the directory.
        """
        self._take_up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back. A model that was refused leaves nothing behind."""
        if not self._checked:
            self.remove()
        self._release()

    def check(self) -> None:
        """Get the small files and refuse a model we cannot run before its weights are pulled.

        Raises:
            HubError: ``hub-quantized``, ``hub-no-config``, ``hub-file-missing`` (a weight file of
                the index), and what ``Origin.download`` raises.
            CheckpointError: the architecture or its configuration is not supported.
        """
        if not any(file.name == "config.json" for file in self.companions):
            raise HubError("hub-no-config", where=self.origin.address)
        self._room_for(sum(self._missing_bytes(file) for file in self.companions))
        for file in self.companions:
            self._fetch(file)
        config = self.directory / "config.json"
        generation = self.directory / "generation_config.json"
        try:
            keys = read_json(config)
            arch.from_config(keys, config, read_json(generation) if generation.exists() else None)
            read_quantization(keys, config)
        except CheckpointError as error:
            alias = alias_for(self.origin.address)
            if error.code == "checkpoint-quantized" and alias:
                method = error.params.get("method")
                raise HubError(
                    "hub-quantized", where=self.origin.address, method=method, alias=alias
                ) from error
            raise
        if not self.weights:
            self.weights = self._indexed()
        self._checked = True
        self._save()

    def weights_all(self) -> None:
        """Get every weight file; raises ``hub-disk-space``, and as ``Origin.download`` does."""
        self._room_for(sum(self._missing_bytes(file) for file in self.weights))
        for file in self.weights:
            self._fetch(file)

    def finish(self, out: Path) -> PullReport:
        """Give the directory its name; the checkpoint is whole.

        Raises:
            CheckpointError: its tensors are not those that config.json asks for.
        """
        checkpoint.open(self.directory)
        report = self.report(out)
        sync_directory(self.directory)
        self.directory.rename(out)
        sync_directory(out.absolute().parent)
        # What a kill from here on leaves lies in a whole model.
        shutil.rmtree(out / _HEADERS, ignore_errors=True)
        (out / _STATE).unlink()
        (out / _LOCK).unlink()
        return report

    def remove(self) -> None:
        """Delete what is left of the pull."""
        if self._lock is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def report(self, out: Path) -> PullReport:
        """Say what was pulled."""
        files = [*self.companions, *self.weights]
        unchecked = [f.name for f in files if f.sha256 is None and f.git_sha1 is None]
        return PullReport(
            path=str(out),
            address=self.origin.address,
            revision=self.origin.revision,
            bytes=sum(file.size for file in files),
            checked=tuple(file.name for file in files if file.name not in unchecked),
            unchecked=tuple(unchecked),
            seconds=time.monotonic() - self._began,
        )

    # A compression that runs meanwhile: pocketr1.compress.Arrivals.

    @property
    def headers(self) -> Path:
        """A directory with a stand-in of every weight file: its header, and its size as a hole."""
        directory = self.directory / _HEADERS
        directory.mkdir(exist_ok=True)
        for file in self.weights:
            if (directory / file.name).exists():
                continue
            size = int.from_bytes(self.origin.read(file, 0, 8), "little")
            if not 2 <= size <= min(_LARGEST_HEADER, file.size - 8):
                raise HubError(
                    "hub-answer", where=self.origin.address, reason=f"{file.name}: no safetensors"
                )
            content = self.origin.read(file, 0, 8 + size)
            partial = directory / (file.name + ".partial")
            with partial.open("wb") as out:
                out.write(content)
                out.truncate(file.size)
            partial.rename(directory / file.name)
        return directory

    def fetch(self, path: Path) -> None:
        """Get the weight file that is to lie at ``path``, in this pull's directory."""
        (file,) = [file for file in self.weights if file.name == path.name]
        self._room_for(self._missing_bytes(file))
        self._fetch(file)

    def here(self, path: Path) -> int:
        """Return how many bytes of a weight file that has not come whole are there."""
        begun = path.with_name(path.name + _PARTIAL)
        return begun.stat().st_size if begun.exists() else 0

    def _refuse_useless(self) -> None:
        """Refuse what the names of the files show to be of no use."""
        address, listed = self.origin.address, self._listed
        alias = alias_for(address) or "ORG/NAME"
        if _SINGLE not in listed and _INDEX not in listed:
            if any(name.endswith(".gguf") for name in listed):
                raise HubError("hub-gguf", where=address, alias=alias)
            raise HubError("hub-no-weights", where=address)

    def _indexed(self) -> list[RemoteFile]:
        """The weight files that the index names; all must be there before one is fetched."""
        names = sorted({path.name for path in read_index(self.directory / _INDEX).values()})
        for name in names:
            if name not in self._listed:
                raise HubError("hub-file-missing", where=self.origin.address, file=name)
        return [self._listed[name] for name in names]

    def _take_up(self) -> None:
        state = self.directory / _STATE
        identity = {"address": self.origin.address, "revision": self.origin.revision}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not state.exists() and any(p.name != _LOCK for p in self.directory.iterdir()):
                raise HubError("hub-other", path=self.directory, what="?")
            lock = Lock(self.directory / _LOCK)
        except OSError as error:
            reason = error.strerror or str(error)
            raise HubError("hub-write", path=self.directory, reason=reason) from error
        try:
            if state.exists():
                saved = json.loads(state.read_text("utf-8"))
                if saved["identity"] != identity:
                    raise HubError("hub-other", path=self.directory, what=saved["identity"])
                self._verified = dict(saved["verified"])
                self._checked = bool(saved["checked"])
            else:
                self._save()
        except (OSError, ValueError, KeyError, TypeError) as error:
            lock.release()
            raise HubError("hub-unreadable", path=state, reason=str(error)) from error
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _save(self) -> None:
        identity = {"address": self.origin.address, "revision": self.origin.revision}
        partial = self.directory / (_STATE + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            state = {"identity": identity, "verified": self._verified, "checked": self._checked}
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.directory / _STATE)

    def _missing_bytes(self, file: RemoteFile) -> int:
        path = self.directory / file.name
        if path.exists():
            return 0
        begun = path.with_name(file.name + _PARTIAL)
        return file.size - (begun.stat().st_size if begun.exists() else 0)

    def _room_for(self, needed: int) -> None:
        free = shutil.disk_usage(self.directory).free
        if needed and needed + _SPARE > free:
            raise HubError(
                "hub-disk-space",
                path=self.directory,
                needed=-(-(needed + _SPARE) // 10**6),
                free=free // 10**6,
            )

    def _fetch(self, file: RemoteFile) -> None:
        """Bring one file here, and check it; a file with a wrong hash is fetched anew once."""
        path = self.directory / file.name
        for attempt in (1, 2):
            if not path.exists():
                self._download(file)
            if self._is_right(file, path):
                return
            path.unlink(missing_ok=True)
            if attempt == 2:
                raise HubError("hub-hash", where=self.origin.address, file=file.name)

    def _download(self, file: RemoteFile) -> None:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._tell("pull", done, file)

        partial = self.directory / (file.name + _PARTIAL)
        self.origin.download(file, partial, advance)
        partial.rename(self.directory / file.name)

    def _is_right(self, file: RemoteFile, path: Path) -> bool:
        status = path.stat()
        self._tell("pull", status.st_size, file)
        stamp = [status.st_size, status.st_mtime_ns]
        if self._verified.get(file.name) == stamp:
            return True
        if status.st_size != file.size:
            return False
        if file.sha256 is not None:
            right = self._digest(file, path, hashlib.sha256()) == file.sha256
        elif file.git_sha1 is not None:
            blob = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
            right = self._digest(file, path, blob) == file.git_sha1
        else:
            right = True
        if right:
            self._verified[file.name] = stamp
            self._save()
        return right

    def _digest(self, file: RemoteFile, path: Path, digest: Any) -> str:
        done = 0
        with path.open("rb", buffering=0) as opened:
            while piece := opened.read(_PIECE):
                digest.update(piece)
                done += len(piece)
                self._tell("check", done, file)
        result: str = digest.hexdigest()
        return result

    def _tell(self, stage: str, done: int, file: RemoteFile) -> None:
        self._done[stage, file.name] = done
        if self._progress is not None:
            files = [*self.companions, *self.weights]
            so_far = sum(self._done.get((stage, each.name), 0) for each in files)
            self._progress(PullProgress(stage, so_far, sum(each.size for each in files), file.name))
