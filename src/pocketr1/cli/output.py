"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.cli.hints import mend_of
from pocketr1.errors import PocketR1Error

__all__ = ["dim", "fitted", "is_terminal", "print_error", "print_json", "say", "show", "show_table"]


def show(text: str = "", end: str = "\n") -> None:
    """Print a result."""
    print(text, end=end, flush=True)


def show_table(rows: Mapping[str, str]) -> None:
    """Print a result in two columns; the left one holds texts of the catalog."""
    named = [(messages.text(code), value) for code, value in rows.items()]
    room = layout.width(sys.stdout) if is_terminal(sys.stdout) else None
    for line in layout.labelled(named, room):
        show(line)


def say(code: str, **params: object) -> None:
    """Print a text of the catalog on stderr."""
    print(fitted(messages.text(code, "what", **params), sys.stderr), file=sys.stderr, flush=True)


def fitted(text: str, stream: TextIO) -> str:
    """Return ``text`` broken between words where ``stream`` is a terminal."""
    return layout.wrapped(text, layout.width(stream)) if is_terminal(stream) else text


def print_json(document: object) -> None:
    """Print the one document of ``--json``."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(document, ensure_ascii=not readable, indent=2, allow_nan=False), flush=True)


def print_error(error: PocketR1Error, *, as_json: bool) -> None:
    """Print what is wrong and what to do: two lines on stderr, or one document on stdout."""
    if as_json:
        tree: dict[str, Any] = {"code": error.code, "what": error.what, "mend": mend_of(error)}
        tree["params"] = {name: _plain(value) for name, value in error.params.items()}
        print_json({"error": tree})
        return
    text = f"error[{error.code}]: {error.what}\n→ {mend_of(error)}"
    print(fitted(text, sys.stderr), file=sys.stderr, flush=True)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads ``stream``; a closed or replaced stream is nobody's."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def dim(text: str, stream: TextIO) -> str:
    """Return ``text`` dimmed where ``stream`` is a terminal that can, and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return f"\x1b[2m{text}\x1b[22m" if text and not plain and is_terminal(stream) else text


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
