"""Repositories on the Hugging Face hub and its mirrors, through huggingface_hub."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pocketr1.errors import HubError, PocketR1Error, UsageError
from pocketr1.hub.origin import RemoteFile

__all__ = ["HuggingFace"]


class HuggingFace:
    """One revision of a repository; an :class:`~pocketr1.hub.origin.Origin`."""

    def __init__(self, repository: str, revision: str | None, endpoint: str | None) -> None:
        """Look the repository up and settle on its commit."""
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        try:
            import huggingface_hub
        except ImportError:
            raise UsageError("hub-client-missing", client="huggingface_hub", extra="pull") from None
        self._hub = huggingface_hub
        self._repository = repository
        self._endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None
        api = huggingface_hub.HfApi(endpoint=self._endpoint)
        self.address = f"{api.endpoint}/{repository}"
        with self._explained(revision or "main"):
            info = api.model_info(repository, revision=revision, files_metadata=True)
        if info.sha is None:
            raise HubError("hub-answer", where=self.address, reason="it names no commit")
        self.revision = info.sha
        self._files = [self._described(sibling) for sibling in info.siblings or ()]

    def files(self) -> list[RemoteFile]:
        """List the files at the top of the repository."""
        return [file for file in self._files if "/" not in file.name]

    def download(self, file: RemoteFile, partial: Path, advance: Callable[[int], None]) -> None:
        """Bring a file into ``partial``; see :class:`~pocketr1.hub.origin.Origin`.

        The client's own ``hf_hub_download`` begins a file anew in every process (since 2.4), so
        only the transfer below it is used: it resumes, retries and follows the hub's redirects.
        """
        from huggingface_hub.file_download import http_get

        self._hub.utils.disable_progress_bars()
        with self._explained(file.name), partial.open("ab") as opened:
            begin = opened.tell()
            if begin > file.size:
                opened.truncate(begin := 0)
            advance(begin)
            http_get(
                self._url(file),
                _Counted(opened, advance),
                resume_size=begin,
                headers=self._hub.utils.build_hf_headers(),
                expected_size=file.size,
            )
            opened.flush()
            os.fsync(opened.fileno())

    def read(self, file: RemoteFile, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file."""
        headers = dict(self._hub.utils.build_hf_headers())
        headers |= {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        with self._explained(file.name):
            response = self._hub.utils.get_session().get(
                self._url(file), headers=headers, follow_redirects=True, timeout=30
            )
            self._hub.utils.hf_raise_for_status(response)
        if response.status_code != 206 or len(response.content) != end - begin:
            raise HubError("hub-no-ranges", where=self.address, file=file.name)
        content: bytes = response.content
        return content

    def _url(self, file: RemoteFile) -> str:
        url: str = self._hub.hf_hub_url(
            self._repository, file.name, revision=self.revision, endpoint=self._endpoint
        )
        return url

    def _described(self, sibling: Any) -> RemoteFile:
        if not isinstance(sibling.size, int) or sibling.size < 0:
            raise HubError(
                "hub-answer", where=self.address, reason=f"no size of {sibling.rfilename}"
            )
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        return RemoteFile(
            sibling.rfilename, sibling.size, sha256, None if sha256 else sibling.blob_id
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what the client raises into our errors."""
        try:
            yield
        except PocketR1Error:
            raise
        except Exception as error:
            raise self._error(error, what) from error

    def _error(self, error: Exception, what: str) -> HubError:
        kinds = self._hub.errors
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, kinds.OfflineModeIsEnabled):
            return HubError("hub-offline-mode")
        if isinstance(error, kinds.GatedRepoError):
            return HubError("hub-gated", where=self.address)
        if isinstance(error, kinds.RevisionNotFoundError):
            return HubError("hub-revision", where=self.address, revision=what)
        if isinstance(error, kinds.RepositoryNotFoundError):
            return HubError("hub-not-found", where=self.address)
        if isinstance(error, kinds.RemoteEntryNotFoundError):
            return HubError("hub-file-missing", where=self.address, file=what)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return HubError("hub-disk-full", file=what)
        if status in (401, 403):
            return HubError("hub-not-found", where=self.address)
        if status == 429:
            return HubError("hub-busy", where=self.address)
        if isinstance(error, OSError) and "onsistency" in str(error):
            return HubError("hub-size", where=self.address, file=what)
        if isinstance(error, PermissionError) and error.filename:
            return HubError("hub-write", path=error.filename, reason=error.strerror)
        cause = error.__cause__ or error
        reason = f"HTTP {status}" if status else str(cause).splitlines()[0] or type(cause).__name__
        return HubError("hub-unreachable", where=self.address, file=what, reason=reason)


class _Counted:
    """A file that tells how many bytes are written to it; negative ones where it starts anew."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def write(self, content: bytes) -> int:
        self._advance(len(content))
        return self._file.write(content)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self) -> int:
        before = self._file.seek(0, os.SEEK_END)
        self._file.flush()
        size = self._file.truncate(0)
        self._advance(-before)
        return size
