"""Which pages may ask: the origin of a request, and CORS for the origins that were allowed."""

from __future__ import annotations

import re

__all__ = ["is_origin"]

# RFC 6454, 6.1, and what apps send that are no web pages (app://obsidian.md).
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*?#@]+")


def is_origin(text: str) -> bool:
    """Whether ``text`` is one origin: no wildcard, no path, not ``null``."""
    return _ORIGIN.fullmatch(text) is not None
