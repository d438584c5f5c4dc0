"""The API key: in a header, or in the cookie of a browser that gave it once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from pocketr1.errors import BusyError
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits

__all__ = ["COOKIE", "Keys"]

COOKIE = "pocketr1_session"
_WATCHED_ADDRESSES = 1024


class Keys:
    """Knows the key, who is signed in, and who guessed wrongly how often.

    now: seconds, of a clock that never goes back.
    """

    def __init__(self, key: str, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._key = _digest(key)
        self._limits = limits
        self._now = now
        # Digests: what is found in memory or in a dump opens nothing.
        self._sessions: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, request: Request) -> None:
        """Raise RequestError, 401, without the key or a session; BusyError after many wrong keys.

        A session opens without the key being looked at, so that somebody else's guesses shut
        nobody out who is signed in.
        """
        token = request.cookies.get(COOKIE)
        if token is not None and _digest(token) in self._sessions:
            return
        headers = request.headers.getlist("authorization")
        if not headers:
            raise RequestError("key-missing", status=401)
        scheme, _, key = headers[0].partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer" or not key.strip():
            raise RequestError("key-scheme", status=401)
        self._compare(key.strip(), request)

    def sign_in(self, key: str, request: Request) -> str:
        """Return the token of a new session. Raises as :meth:`check` does."""
        self._compare(key, request)
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = None
        while len(self._sessions) > self._limits.sessions:
            self._sessions.popitem(last=False)
        return token

    def sign_out(self, request: Request) -> None:
        """Forget the session that asks, if it is one."""
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)

    def _compare(self, key: str, request: Request) -> None:
        address = _place(request.client.host if request.client else "")
        since = self._now() - self._limits.wrong_key_seconds
        wrong = [moment for moment in self._wrong.get(address, ()) if moment > since]
        if len(wrong) >= self._limits.wrong_keys:
            raise BusyError("key-attempts", retry_after=int(wrong[0] - since) + 1)
        # Digests are of one length: the time says nothing of the key's.
        if hmac.compare_digest(_digest(key), self._key):
            self._wrong.pop(address, None)
            return
        self._wrong[address] = [*wrong, self._now()]
        self._wrong.move_to_end(address)
        while len(self._wrong) > _WATCHED_ADDRESSES:
            self._wrong.popitem(last=False)
        raise RequestError("key-wrong", status=401)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _place(address: str) -> str:
    """Return whom guesses count for: an IPv4 address, or all 2^64 IPv6 addresses of a network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
