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
from typing import Any

from pocketr1 import arch
from pocketr1.checkpoint.files import read_json
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
    "LICENSE",
)
_STATE = "pull.json"
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
    """One checkpoint on its way into a directory.

    Files arrive in ``directory`` until ``finish`` gives it its name; before that a weight file is
    missing in it, so that it is never taken for a whole model. Run again, a pull goes on where it
    stopped (a break loses at most the client's buffer, 10 MB), with the same commit.
    """

    def __init__(
        self,
        origin: Origin,
        directory: Path,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> None:
        """Choose the files and take up what an earlier run left.

        Raises:
            HubError: ``hub-gguf``, ``hub-no-weights``, ``hub-other`` (the directory holds the
                unfinished pull of something else), ``hub-write``.
        """
        self.origin = origin
        self.directory = directory
        self._progress = progress
        self._began = time.monotonic()
        self._verified: dict[str, list[int]] = {}
        self._done: dict[tuple[str, str], int] = {}  # bytes by stage and file
        listed = {file.name: file for file in origin.files()}
        self.weights = self._choose_weights(listed)
        self.companions = [listed[name] for name in _COMPANIONS if name in listed]
        if self.weights[0].name == _SINGLE:  # goes before an index, as in transformers
            self.companions = [file for file in self.companions if file.name != _INDEX]
        self._take_up()

    def check(self) -> None:
        """Get the small files and refuse a model we cannot run before its weights are pulled.

        Raises:
            HubError: ``hub-quantized``, ``hub-no-config``, and what ``Origin.download`` raises.
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
            arch.from_config(
                read_json(config), config, read_json(generation) if generation.exists() else None
            )
        except CheckpointError as error:
            alias = alias_for(self.origin.address)
            if error.code == "checkpoint-quantized" and alias:
                method = error.params.get("method")
                raise HubError(
                    "hub-quantized", where=self.origin.address, method=method, alias=alias
                ) from error
            raise

    def weights_all(self) -> None:
        """Get every weight file. Raises HubError (``hub-disk-space``) and as ``Origin.download``."""
        self._room_for(sum(self._missing_bytes(file) for file in self.weights))
        for file in self.weights:
            self._fetch(file)

    def finish(self, out: Path) -> PullReport:
        """Give the directory its name; the checkpoint is whole."""
        report = self.report(out)
        shutil.rmtree(self.directory / _HEADERS, ignore_errors=True)
        (self.directory / _STATE).unlink()
        self.directory.rename(out)
        return report

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

    def _choose_weights(self, listed: dict[str, RemoteFile]) -> list[RemoteFile]:
        if _SINGLE in listed:
            return [listed[_SINGLE]]
        if _INDEX in listed:
            shards = [
                file
                for name, file in sorted(listed.items())
                if name.startswith("model-") and name.endswith(".safetensors")
            ]
            if shards:
                return shards
        if any(name.endswith(".gguf") for name in listed):
            alias = alias_for(self.origin.address)
            raise HubError("hub-gguf", where=self.origin.address, alias=alias or "ORG/NAME")
        raise HubError("hub-no-weights", where=self.origin.address)

    def _take_up(self) -> None:
        state = self.directory / _STATE
        identity = {"address": self.origin.address, "revision": self.origin.revision}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if state.exists():
                saved = json.loads(state.read_text("utf-8"))
                if saved.get("identity") != identity:
                    raise HubError("hub-other", path=self.directory, what=saved.get("identity"))
                self._verified = saved["verified"]
            elif any(self.directory.iterdir()):
                raise HubError("hub-other", path=self.directory, what="?")
            else:
                self._save()
        except OSError as error:
            reason = error.strerror or str(error)
            raise HubError("hub-write", path=self.directory, reason=reason) from error
        self._identity = identity

    def _save(self) -> None:
        identity = {"address": self.origin.address, "revision": self.origin.revision}
        partial = self.directory / (_STATE + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"identity": identity, "verified": self._verified}, file)
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
