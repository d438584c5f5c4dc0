"""Which pages may ask: the origin of a request, and CORS for the origins that were allowed.

A browser says where a request comes from: ``Origin`` on whatever is not a plain GET of its own
site, and ``Sec-Fetch-Site`` on everything (Fetch Metadata, W3C). Programs send neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response

from pocketr1.server.errors import RequestError

__all__ = ["Origins", "is_origin"]

# RFC 6454, 6.1, and what apps send that are no web pages (app://obsidian.md).
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*?#@]+")
_OWN_SITE = (None, "same-origin", "none")
_METHODS = "GET, POST, PATCH, DELETE"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]+(\s*,\s*[A-Za-z0-9-]+)*")
_SHOWN_CHARS = 100


class Origins:
    """The origins whose pages may ask, beside the server's own."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(origin.lower() for origin in allowed)

    def check(self, method: str, path: str, headers: Headers, host: str) -> str | None:
        """Return the allowed origin that asks; ``None`` for the server's own page and programs.

        host: the ``Host`` header, which has been checked. A link from another site may open the
        page itself. Raises RequestError, 403, for every other page.
        """
        origins = headers.getlist("origin")
        origin = origins[0].lower() if origins else None
        if len(origins) == 1 and origin in self._allowed:
            return origins[0]
        # Behind a proxy that speaks TLS the scheme differs; the host does not.
        if origins and (len(origins) > 1 or origin not in (f"http://{host}", f"https://{host}")):
            raise RequestError("origin-refused", status=403, origin=origins[0][:_SHOWN_CHARS])
        site = headers.get("sec-fetch-site")
        if site not in _OWN_SITE and not _opens_page(method, path, headers):
            raise RequestError("site-refused", status=403)
        return None

    def preflight(self, headers: Headers) -> Response:
        """Answer a browser that asks, for an allowed origin, whether it may ask."""
        answer = Response(status_code=204)
        answer.headers["access-control-allow-methods"] = _METHODS
        names = headers.get("access-control-request-headers", "")
        if _HEADER_NAMES.fullmatch(names):
            answer.headers["access-control-allow-headers"] = names
        if headers.get("access-control-request-private-network") == "true":
            answer.headers["access-control-allow-private-network"] = "true"
        answer.headers["access-control-max-age"] = "600"
        return answer


def is_origin(text: str) -> bool:
    """Whether ``text`` is one origin: no wildcard, no path, not ``null``."""
    return _ORIGIN.fullmatch(text.lower()) is not None


def _opens_page(method: str, path: str, headers: Headers) -> bool:
    navigates = headers.get("sec-fetch-mode") == "navigate"
    whole = headers.get("sec-fetch-dest") == "document"
    return method in ("GET", "HEAD") and path == "/" and navigates and whole
