"""Repositories on ModelScope, through modelscope-hub, its client without the rest of modelscope."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pocketr1.errors import HubError, UsageError
from pocketr1.hub.origin import RemoteFile

__all__ = ["ModelScope"]


class ModelScope:
    """One revision of a repository; an :class:`~pocketr1.hub.origin.Origin`.

    The client resumes and checks hashes itself; ``MODELSCOPE_ENDPOINT`` names another server.
    """

    def __init__(self, repository: str, revision: str | None) -> None:
        """List the repository's files."""
        os.environ.setdefault("TQDM_DISABLE", "1")  # its bars would stand beside ours
        try:
            import modelscope_hub
        except ImportError:
            raise UsageError(
                "hub-client-missing", client="modelscope-hub", extra="modelscope"
            ) from None
        self._repository = repository
        self._api = modelscope_hub.HubApi()
        self.revision = revision or "master"
        self.address = f"ModelScope {repository}"
        entries = self._call(
            self._repository,
            lambda: self._api.list_repo_files(
                repository, "model", revision=self.revision, recursive=False
            ),
        )
        self._files = [
            RemoteFile(entry.path, int(entry.size), entry.sha256 or None, None)
            for entry in entries
            if entry.type == "blob"
        ]

    def files(self) -> list[RemoteFile]:
        """List the files at the top of the repository."""
        return [file for file in self._files if "/" not in file.name]

    def download(self, file: RemoteFile, partial: Path, advance: Callable[[int], None]) -> None:
        """Bring a file into ``partial``; see :class:`~pocketr1.hub.origin.Origin`."""
        directory = partial.with_name(partial.name + ".modelscope")
        self._call(
            file.name,
            lambda: self._api.download_file(
                self._repository,
                "model",
                file.name,
                revision=self.revision,
                local_dir=directory,
                expected_sha256=file.sha256,
                file_size=file.size,
            ),
        )
        (directory / file.name).replace(partial)
        shutil.rmtree(directory)
        advance(file.size)

    def read(self, file: RemoteFile, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file."""
        import requests

        url = self._api.legacy.get_download_url(
            self._repository, "model", file.name, revision=self.revision
        )
        headers = {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        response = self._call(file.name, lambda: requests.get(url, headers=headers, timeout=30))
        if response.status_code != 206 or len(response.content) != end - begin:
            raise HubError("hub-no-ranges", where=self.address, file=file.name)
        content: bytes = response.content
        return content

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise HubError(
                "hub-unreachable", where=self.address, file=what, reason=reason
            ) from error
