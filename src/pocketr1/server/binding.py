"""Where the server listens, and that it is not open to others by accident."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, TypeAlias

from pocketr1.errors import ServerError, UsageError

if TYPE_CHECKING:
    from pocketr1.server.app import Settings

__all__ = ["bind", "check_settings", "is_loopback", "url_of"]

Address: TypeAlias = tuple[socket.AddressFamily, Any]

_LARGEST_PORT = 65535
_BACKLOG = 128
_SHORTEST_KEY = 8


def bind(settings: Settings) -> list[socket.socket]:
    """Return sockets that listen where ``settings`` says: one per address of the host.

    ``localhost`` is both 127.0.0.1 and ::1, as far as the machine has them. Port 0 is any free
    one, the same for all. Raises UsageError for settings that leave the server open (see
    :func:`check_settings`), ServerError for a host or a port that cannot be had.
    """
    addresses = _resolve(settings.host, settings.port)
    check_settings(settings, [sockaddr[0] for _, sockaddr in addresses])
    opened: list[socket.socket] = []
    port = settings.port
    missing: OSError | None = None
    try:
        for family, sockaddr in addresses:
            place = (sockaddr[0], port, *sockaddr[2:])
            try:
                opened.append(_listen(family, place))
            except OSError as error:
                # A machine without IPv6 still has a localhost.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
                continue
            port = opened[-1].getsockname()[1]
        if not opened:
            raise missing or OSError(errno.EADDRNOTAVAIL, "no address")
    except OSError as error:
        _close(opened)
        raise _explained(error, settings, port) from error
    except BaseException:
        _close(opened)
        raise
    return opened


def check_settings(settings: Settings, addresses: list[str]) -> None:
    """Raise UsageError where others could reach the server without a key, or any page could.

    addresses: what the host resolved to.
    """
    key = settings.api_key
    if key is None:
        foreign = [address for address in addresses if not is_loopback(address)]
        if foreign:
            raise UsageError("server-open", host=settings.host, address=foreign[0])
    elif not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("server-key-characters")
    elif len(key) < _SHORTEST_KEY:
        raise UsageError("server-key-short", least=_SHORTEST_KEY)
    from pocketr1.server.guard.origins import is_origin

    for origin in settings.allowed_origins:
        if not is_origin(origin):
            raise UsageError("server-origin", origin=origin)
    for host in settings.allowed_hosts:
        if not host or any(not (c.isalnum() or c in "-._:[]") for c in host):
            raise UsageError("server-allowed-host", host=host)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches ``address`` (digits; a name is not looked up)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def url_of(listener: socket.socket, host: str) -> str:
    """Return the address to open: by the name asked for where it is one, else in digits."""
    address, port = listener.getsockname()[:2]
    if ipaddress.ip_address(address.partition("%")[0]).is_unspecified:
        address = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    name = host if host == "localhost" else address
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _resolve(host: str, port: int) -> list[Address]:
    if not 0 <= port <= _LARGEST_PORT:
        raise UsageError("server-port-range", port=port)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError, ValueError) as error:
        raise ServerError("server-host-unknown", host=host) from error
    wanted: dict[Any, socket.AddressFamily] = {}
    for family, _, _, _, sockaddr in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            wanted[sockaddr] = family
    # IPv4 first: it is what people type.
    return sorted(((f, a) for a, f in wanted.items()), key=lambda item: item[0] != socket.AF_INET)


def _listen(family: socket.AddressFamily, place: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" is every address of the machine; any other is itself alone.
            every = ipaddress.ip_address(place[0].partition("%")[0]).is_unspecified
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not every))
        opened.bind(place)
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _close(opened: list[socket.socket]) -> None:
    for one in opened:
        one.close()


def _explained(error: OSError, settings: Settings, port: int) -> ServerError:
    host = settings.host
    if error.errno == errno.EADDRINUSE:
        return ServerError("server-port-taken", host=host, port=port)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ServerError("server-port-forbidden", host=host, port=port)
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return ServerError("server-host-foreign", host=host)
    return ServerError("server-listen", host=host, port=port, reason=error.strerror or str(error))
