"""Headers that every response carries."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

__all__ = ["ALWAYS", "PAGE_POLICY", "add_headers"]

#: What the page may do: run and show what lies beside it, and ask this server alone.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

ALWAYS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]


def add_headers(headers: MutableHeaders) -> None:
    """Add what is not there yet: nothing sniffed, framed, referred to or kept by a cache.

    A response may set its own policy and its own ``Cache-Control``, as assets with a hash in their
    name do.
    """
    for name, value in ALWAYS:
        headers.setdefault(name.decode(), value.decode())
    page = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("content-security-policy", PAGE_POLICY if page else _DATA_POLICY)
    headers.setdefault("cache-control", "no-store")
