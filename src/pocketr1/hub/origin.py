"""Where models come from: what every hub can do for us."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.hub.transfer import Patience

__all__ = ["Origin", "RemoteFile", "host_of", "open_origin"]

# Where the clients go, and the variable that sends them elsewhere.
_HUBS = {
    "hf": ("huggingface.co", "HF_ENDPOINT"),
    "modelscope": ("modelscope.cn", "MODELSCOPE_ENDPOINT"),
}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository, as its hub describes it."""

    name: str  # a plain name: folders are not looked into
    size: int  # bytes
    sha256: str | None  # of files in large-file storage
    git_sha1: str | None  # of the others: the hash git gives the file's blob


class Origin(Protocol):
    """One revision of one repository. Every method raises HubError; network errors are hers."""

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def revision(self) -> str:
        """What is pulled: a commit where the hub names one."""
        ...

    def files(self) -> list[RemoteFile]:
        """List the files at the top of the repository."""
        ...

    def download(self, file: RemoteFile, partial: Path, advance: Callable[[int], None]) -> None:
        """Bring a whole file into ``partial``, going on behind what that file holds already.

        ``advance`` is told the bytes that are there, at first and as more come; a negative number
        where the hub makes it start anew.
        """
        ...

    def read(self, file: RemoteFile, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file."""
        ...


def host_of(origin: str | None) -> str:
    """Return the name of the server that ``open_origin`` will ask, for messages.

    Raises:
        UsageError: ``hub-origin``.
    """
    if str(origin).startswith(("https://", "http://")):
        return urlsplit(str(origin)).netloc.rpartition("@")[2]
    if origin is not None and origin not in _HUBS:
        raise UsageError("hub-origin", value=origin)
    host, variable = _HUBS[origin or "hf"]
    address = os.environ.get(variable) or host
    return (urlsplit(address).netloc or address).rpartition("@")[2]


def open_origin(
    repository: str,
    origin: str | None,
    revision: str | None,
    patience: Patience | None = None,
) -> Origin:
    """Find a repository.

    repository: ``ORG/NAME``. origin: ``hf`` (the default; HF_ENDPOINT names a mirror),
    ``modelscope``, or the address of a server that speaks the Hugging Face hub's protocol.
    revision: a branch, tag or commit; None is the default branch. patience: how long to bear with a
    bad line. A server named by its address is sent no token: HF_TOKEN goes to HF_ENDPOINT alone.

    Raises:
        UsageError: ``hub-origin``; ``hub-client-missing`` where the hub's client is not installed.
        HubError: the repository or revision does not exist, is gated, or the hub does not answer.
    """
    if origin == "modelscope":
        from pocketr1.hub.modelscope import ModelScope

        return ModelScope(repository, revision, patience)
    if origin in (None, "hf") or str(origin).startswith(("https://", "http://")):
        from pocketr1.hub.huggingface import HuggingFace

        endpoint = None if origin in (None, "hf") else origin
        return HuggingFace(repository, revision, endpoint, patience)
    raise UsageError("hub-origin", value=origin)
