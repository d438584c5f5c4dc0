"""Forbids every socket that would leave this machine, for good.

An audit hook sees what Python code asks of the ``socket`` module, however deep in a library, and
cannot be taken out again. Loopback and Unix sockets pass. An attempt raises
:class:`NetworkForbiddenError` and is written into the file that POCKETR1_NETWORK_LOG names, so that
code which catches the error is found, too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

__all__ = ["LOG_VARIABLE", "NetworkForbiddenError", "install"]

LOG_VARIABLE = "POCKETR1_NETWORK_LOG"
_installed = False


class NetworkForbiddenError(RuntimeError):
    """Something tried to use the network."""


def install() -> None:
    """Forbid the network in this process from now on."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    kind = event.removeprefix("socket.")
    if kind in ("connect", "bind", "sendto", "sendmsg"):
        opened, address = arguments
        inet = opened.family in (socket.AF_INET, socket.AF_INET6)
        # Data on a connected socket has no address; connecting was looked at.
        if inet and address is not None and not _stays(address[0]):
            _forbid(f"{kind} to {address}")
    elif kind in ("getaddrinfo", "gethostbyname", "gethostbyaddr"):
        # An address in digits is no question to anybody.
        if not _stays(arguments[0]) and _digits(arguments[0]) is None:
            _forbid(f"{kind} of {arguments[0]!r}")
    elif kind == "getnameinfo" and not _stays(arguments[0][0]):
        _forbid(f"{kind} of {arguments[0]}")


def _stays(host: object) -> bool:
    """Whether ``host`` is this machine; "" stands for every address when bound, so it is not."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if text is None or text == "localhost":
        return True
    address = _digits(text)
    return address is not None and address.is_loopback


def _digits(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _forbid(what: str) -> None:
    log = os.environ.get(LOG_VARIABLE)
    if log:
        test = os.environ.get("PYTEST_CURRENT_TEST", "outside of a test")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{test}: {what}\n".encode("utf-8", "replace"))
        finally:
            os.close(descriptor)
    raise NetworkForbiddenError(f"the network is touched by `pull` alone: {what}")
