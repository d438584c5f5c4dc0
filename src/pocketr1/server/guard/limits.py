"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How much a request may ask for.

    body_bytes: of its body; depth: nesting of its JSON; messages: of one conversation;
    stop_strings: and their length, stop_chars.
    """

    body_bytes: int = 4 << 20
    depth: int = 64
    messages: int = 1024
    stop_strings: int = 16
    stop_chars: int = 256
