"""By which names the server may be asked.

A page of a stranger can have its own name point at 127.0.0.1 (DNS rebinding): to a browser it then
is the same origin as this server. Its requests still carry that name as ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TypeAlias

from pocketr1.server.errors import RequestError

__all__ = ["Hosts"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_SHOWN_CHARS = 100


class Hosts:
    """The names taken: the one listened on, and more that were allowed.

    Also the address a connection came to, in digits; and for one that came over loopback,
    ``localhost`` and every loopback address. The port is not looked at: forwarding changes it
    (``adb forward``), and a rebound name is wrong whatever its port.
    """

    def __init__(self, host: str, allowed: Iterable[str]) -> None:
        names = [host, *allowed]
        self._names = {_name(name) for name in names if name and _address(_name(name)) is None}
        self._addresses = {found for name in allowed if (found := _address(_name(name)))}

    def check(self, header: str | None, local: str | None) -> str:
        """Return the ``Host`` header in lower case.

        local: the address the connection came to. Raises RequestError: 400 for a header that is
        missing or no host, 403 for a name that was not allowed.
        """
        if header is None or not _HOST.fullmatch(header):
            raise RequestError("host-malformed")
        name = _name(header)
        if not self._takes(name, local or ""):
            raise RequestError("host-refused", status=403, host=name[:_SHOWN_CHARS])
        return header.lower()

    def _takes(self, name: str, local: str) -> bool:
        if name in self._names:
            return True
        here, asked = _address(local), _address(name)
        over_loopback = local == "localhost" or (here is not None and here.is_loopback)
        if asked is None:
            return over_loopback and name == "localhost"
        return asked == here or asked in self._addresses or (over_loopback and asked.is_loopback)


def _name(host: str) -> str:
    """Return a host without its port and brackets, in lower case."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _address(name: str) -> Address | None:
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
