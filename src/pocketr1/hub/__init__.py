"""Model hubs: the only room that touches the network, and only for ``pocketr1 pull``."""

from __future__ import annotations

from pocketr1.hub.names import ALIASES, repository_name
from pocketr1.hub.origin import Origin, RemoteFile, host_of, open_origin
from pocketr1.hub.pull import Pull, PullProgress, PullReport
from pocketr1.hub.transfer import Patience

__all__ = [
    "ALIASES",
    "Origin",
    "Patience",
    "Pull",
    "PullProgress",
    "PullReport",
    "RemoteFile",
    "host_of",
    "open_origin",
    "repository_name",
]
