"""Repositories on the Hugging Face hub and its mirrors, through huggingface_hub."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from pocketr1.errors import HubError, PocketR1Error, UsageError
from pocketr1.hub.aside import aside
from pocketr1.hub.origin import RemoteFile
from pocketr1.hub.transfer import Body, LostError, Patience, transfer

__all__ = ["HuggingFace"]

_BASE = "HTTPError"
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses worth another try
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class HuggingFace:
    """One revision of a repository; an :class:`~pocketr1.hub.origin.Origin`."""

    def __init__(
        self,
        repository: str,
        revision: str | None,
        endpoint: str | None,
        patience: Patience | None = None,
    ) -> None:
        """Look the repository up and settle on its commit."""
        self._patience = patience or Patience()
        try:
            import huggingface_hub
            from huggingface_hub import constants
            from huggingface_hub.errors import HfHubHTTPError
        except ImportError:
            raise UsageError("hub-client-missing", client="huggingface_hub", extra="pull") from None
        # With it, the client asks huggingface.co for a list of programs even if a mirror is used.
        # Its variable in the environment comes too late if the client was imported before us.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        self._hub = huggingface_hub
        # From version 2 on the HTTP library beneath it has another name; its errors tell which.
        base = next(c for c in HfHubHTTPError.__mro__ if c.__name__ == _BASE)
        self._httpx: Any = import_module(base.__module__.partition(".")[0])
        self._repository = repository
        self._endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None
        self._asked = revision or "main"
        self._token = False if endpoint else None  # None: the user's, if there is one
        api = huggingface_hub.HfApi(endpoint=self._endpoint, token=self._token)
        self.address = f"{api.endpoint}/{repository}"
        with self._explained():
            # The client's own sessions wait for ever.
            info = aside(
                lambda: api.model_info(
                    repository, revision=revision, timeout=self._timeout(), files_metadata=True
                )
            )
        if info.sha is None:
            raise HubError("hub-answer", where=self.address, reason="it names no commit")
        self.revision = info.sha
        self._files = [self._described(sibling) for sibling in info.siblings or ()]

    def files(self) -> list[RemoteFile]:
        """List the files at the top of the repository."""
        return [file for file in self._files if "/" not in file.name]

    def download(self, file: RemoteFile, partial: Path, advance: Callable[[int], None]) -> None:
        """Bring a file into ``partial``; see :class:`~pocketr1.hub.origin.Origin`.

        Through the client's session, but not by its ``http_get``: that hands bytes on in pieces of
        10 MiB, so that a line that breaks more often never brings one, and it writes all that a
        server sends, however much was listed. ``hf_hub_download`` begins a file anew in every
        process (since 2.4).
        """

        def ask(begin: int) -> AbstractContextManager[Body]:
            return self._stream(file, begin)

        with self._explained(file.name):
            transfer(ask, file, partial, advance, self.address, self._patience)

    def read(self, file: RemoteFile, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file."""
        failed = 0
        while True:
            try:
                return self._read_once(file, begin, end)
            except LostError as lost:
                failed += 1
                if failed >= self._patience.tries:
                    raise self._error(lost.cause, file.name) from None
                time.sleep(self._patience.wait_s)

    def _read_once(self, file: RemoteFile, begin: int, end: int) -> bytes:
        content = bytearray()
        with self._explained(file.name), self._stream(file, begin, end) as body:
            if body.begin != begin:
                raise HubError("hub-no-ranges", where=self.address, file=file.name)
            for chunk in body.chunks:
                content += chunk
                if len(content) >= end - begin:
                    return bytes(content[: end - begin])
        raise LostError(OSError(f"it ended at byte {begin + len(content)}"))

    @contextmanager
    def _stream(self, file: RemoteFile, begin: int, end: int | None = None) -> Iterator[Body]:
        """Ask for a file from a byte on; raises LostError where another try may help."""
        httpx, utils = self._httpx, self._hub.utils
        headers = dict(utils.build_hf_headers(token=self._token))
        headers["Accept-Encoding"] = "identity"  # bytes are counted, and asked for by number
        if begin or end is not None:
            headers["Range"] = f"bytes={begin}-{'' if end is None else end - 1}"
        try:
            with utils.get_session().stream(
                "GET",
                self._url(file),
                headers=headers,
                timeout=self._timeout(),
                follow_redirects=True,
            ) as response:
                yield self._body(response, file)
        except (httpx.ProxyError, httpx.UnsupportedProtocol):
            raise
        except httpx.TransportError as error:
            raise LostError(error) from error

    def _timeout(self) -> Any:
        return self._httpx.Timeout(self._patience.read_s, connect=self._patience.connect_s)

    def _body(self, response: Any, file: RemoteFile) -> Body:
        status = response.status_code
        if status in _PASSING:
            seconds = response.headers.get("Retry-After", "")
            try:
                self._hub.utils.hf_raise_for_status(response)
            except self._hub.errors.HfHubHTTPError as error:
                raise LostError(error, float(seconds) if seconds.isdecimal() else 0.0) from error
        ranges = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if status == 416 and ranges:  # the file is shorter than what was asked for
            raise HubError("hub-size", where=self.address, file=file.name)
        self._hub.utils.hf_raise_for_status(response)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity" or (status == 206 and not (ranges and ranges[1])):
            reason = f"{file.name}: status {status}, encoding {encoding}, without a range"
            raise HubError("hub-answer", where=self.address, reason=reason)
        if status == 206 and ranges:
            total = None if ranges[2] == "*" else int(ranges[2])
            return Body(int(ranges[1]), total, response.iter_raw())
        length = response.headers.get("Content-Length", "")
        return Body(0, int(length) if length.isdecimal() else None, response.iter_raw())

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
    def _explained(self, file: str | None = None) -> Iterator[None]:
        """Turn what the client raises into our errors; without a file, the listing is asked for."""
        try:
            yield
        except (PocketR1Error, LostError):
            raise
        except Exception as error:
            raise self._error(error, file) from error

    def _error(self, error: Exception, file: str | None) -> HubError:
        kinds = self._hub.errors
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, kinds.OfflineModeIsEnabled):
            return HubError("hub-offline-mode")
        if isinstance(error, kinds.GatedRepoError):
            return HubError("hub-gated", where=self.address)
        if isinstance(error, kinds.RevisionNotFoundError):
            return HubError("hub-revision", where=self.address, revision=self._asked)
        if isinstance(error, kinds.RepositoryNotFoundError):
            return HubError("hub-not-found", where=self.address)
        if isinstance(error, kinds.RemoteEntryNotFoundError):
            return HubError("hub-file-missing", where=self.address, file=file)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return HubError("hub-disk-full", file=file)
        if status in (401, 403):
            return HubError("hub-not-found", where=self.address)
        if status == 429:
            return HubError("hub-busy", where=self.address)
        if isinstance(error, PermissionError) and error.filename:
            return HubError("hub-write", path=error.filename, reason=error.strerror)
        cause = error.__cause__ or error
        reason = f"HTTP {status}" if status else str(cause).splitlines()[0] or type(cause).__name__
        if file is not None:
            reason = f"{file}: {reason}"
        return HubError("hub-unreachable", where=self.address, reason=reason)
