"""How much a request may ask for, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How much a request may ask for, and how long a client may take.

    The defaults suit a phone: a request that breaks one of them costs a few megabytes at most.

    Of a body: body_bytes; depth: nesting of its JSON; values: strings, numbers, arrays and objects
    in it, keys included; import_bytes and import_values: the same for ``/api/import``; held_bytes:
    of all bodies that are being read at once.
    Of a request for a reply: messages; prompt_chars: characters of all its texts; stop_strings, and
    stop_chars of each; replies: ``n``; tools; schema_bytes: of one JSON Schema.
    Of a connection: connections: at once; header_bytes and headers: of one request;
    header_seconds: from its first byte to the end of its headers; body_seconds: from there to
    the end of its body; idle_seconds: between two requests; write_seconds: how long a client may
    take nothing of what is sent to it.
    Of keys: wrong_keys: from one address within wrong_key_seconds, then none is looked at;
    sessions: browsers that are signed in.
    grace_seconds: how long replies go on when the server is told to stop; closing_seconds: how
    long they then have to say that they ended.
    """

    body_bytes: int = 4 << 20
    depth: int = 64
    values: int = 200_000
    import_bytes: int = 32 << 20
    import_values: int = 2_000_000
    held_bytes: int = 64 << 20

    messages: int = 1024
    prompt_chars: int = 2_000_000
    stop_strings: int = 16
    stop_chars: int = 256
    replies: int = 16
    tools: int = 128
    schema_bytes: int = 64 << 10

    connections: int = 256
    header_bytes: int = 32 << 10
    headers: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 30.0
    write_seconds: float = 30.0

    wrong_keys: int = 10
    wrong_key_seconds: float = 60.0
    sessions: int = 64

    grace_seconds: float = 10.0
    closing_seconds: float = 3.0

    def for_import(self) -> Limits:
        """Return the limits of a request that brings conversations back."""
        return replace(self, body_bytes=self.import_bytes, values=self.import_values)
