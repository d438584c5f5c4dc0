"""Repositories on the Hugging Face hub and its mirrors, through huggingface_hub."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pocketr1.errors import HubError, PocketR1Error, UsageError
from pocketr1.hub.origin import RemoteFile

__all__ = ["HuggingFace"]


class HuggingFace:
    """One revision of a repository; an :class:`~pocketr1.hub.origin.Origin`."""

    def __init__(self, repository: str, revision: str | None, endpoint: str | None) -> None:
        """Look the repository up and settle on its commit."""
        # The hub's newer transfer protocol cannot take up a file at the byte where it stopped.
        os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
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

    def download(self, file: RemoteFile, directory: Path, advance: Callable[[int], None]) -> None:
        """Put a file into a directory; see :class:`~pocketr1.hub.origin.Origin`."""
        with self._explained(file.name):
            self._hub.hf_hub_download(
                self._repository,
                file.name,
                revision=self.revision,
                local_dir=directory,
                endpoint=self._endpoint,
                tqdm_class=_counter(advance),
            )

    def read(self, file: RemoteFile, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file."""
        url = self._hub.hf_hub_url(
            self._repository, file.name, revision=self.revision, endpoint=self._endpoint
        )
        headers = dict(self._hub.utils.build_hf_headers())
        headers |= {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        with self._explained(file.name):
            response = self._hub.utils.get_session().get(
                url, headers=headers, follow_redirects=True, timeout=30
            )
            self._hub.utils.hf_raise_for_status(response)
        if response.status_code != 206 or len(response.content) != end - begin:
            raise HubError("hub-no-ranges", where=self.address, file=file.name)
        content: bytes = response.content
        return content

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
        if status == 429:
            return HubError("hub-busy", where=self.address)
        if isinstance(error, OSError) and "onsistency" in str(error):
            return HubError("hub-size", where=self.address, file=what)
        if isinstance(error, PermissionError) and error.filename:
            return HubError("hub-write", path=error.filename, reason=error.strerror)
        cause = error.__cause__ or error
        reason = f"HTTP {status}" if status else str(cause).splitlines()[0] or type(cause).__name__
        return HubError("hub-unreachable", where=self.address, file=what, reason=reason)


def _counter(advance: Callable[[int], None]) -> type:
    """Return a progress bar for the client that shows nothing and passes the bytes on."""
    from huggingface_hub.utils import tqdm

    class Counter(tqdm):  # type: ignore[misc]  # of a library that may be absent
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})
            advance(int(kwargs.get("initial") or 0))

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return Counter
