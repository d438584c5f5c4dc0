"""Repositories on ModelScope, through modelscope-hub, its client without the rest of modelscope."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pocketr1.errors import HubError, UsageError
from pocketr1.hub.aside import aside
from pocketr1.hub.origin import RemoteFile
from pocketr1.hub.transfer import Patience

__all__ = ["ModelScope"]


class ModelScope:
    """One revision of a repository; an :class:`~pocketr1.hub.origin.Origin`.

    The client resumes, tries again and checks hashes itself; ``MODELSCOPE_ENDPOINT`` names another
    server.
    """

    def __init__(
        self, repository: str, revision: str | None, patience: Patience | None = None
    ) -> None:
        """List the repository's files."""
        self._patience = patience or Patience()
        os.environ.setdefault("TQDM_DISABLE", "1")  # its bars would stand beside ours
        # Read when it is imported; its own limits are a minute, five times.
        for name, limit in (
            ("API_CONNECT_TIMEOUT", self._patience.connect_s),
            ("API_TIMEOUT", self._patience.read_s),
            ("API_MAX_RETRIES", 1),
            ("DOWNLOAD_TIMEOUT", self._patience.read_s),
        ):
            os.environ.setdefault(f"MODELSCOPE_{name}", str(math.ceil(limit)))
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
            None,
            lambda: aside(
                lambda: self._api.list_repo_files(
                    repository, "model", revision=self.revision, recursive=False
                )
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
        timeout = self._patience.connect_s, self._patience.read_s
        response = self._call(
            file.name, lambda: requests.get(url, headers=headers, timeout=timeout)
        )
        if response.status_code != 206 or len(response.content) != end - begin:
            raise HubError("hub-no-ranges", where=self.address, file=file.name)
        content: bytes = response.content
        return content

    def _call(self, file: str | None, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            if file is not None:
                reason = f"{file}: {reason}"
            raise HubError("hub-unreachable", where=self.address, reason=reason) from error
