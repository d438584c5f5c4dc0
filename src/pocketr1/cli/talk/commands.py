"""The commands of a chat: their names, their help, and what is typed behind them."""

from __future__ import annotations

import sys

from pocketr1 import messages
from pocketr1.cli import layout

__all__ = ["COMPLETIONS", "NAMES", "parse", "show_help"]

#: In the order of the help.
NAMES = (
    *("new", "resume", "save", "think", "system", "regenerate", "edit", "stats", "model"),
    *("help", "quit"),
)
_ALIASES = {"reset": "new", "exit": "quit"}
#: What the tab key knows.
COMPLETIONS = (
    *(f"/{name}" for name in NAMES),
    *(f"/think {word}" for word in ("on", "off", "show")),
)


def parse(line: str) -> tuple[str | None, str]:
    """Return a command's name and what stands behind it; ``None`` and the line for a question."""
    text = line.strip()
    if not text.startswith("/") or "\n" in text:
        return None, line
    command, _, rest = text[1:].partition(" ")
    return _ALIASES.get(command, command), rest.strip()


def show_help() -> None:
    """Print the commands on stderr."""
    rows = [
        (messages.text(f"cli-chat-{name}-usage"), messages.text(f"cli-chat-{name}-help"))
        for name in NAMES
    ]
    room = layout.width(sys.stderr)
    lines = [
        *layout.two_columns(rows, room),
        *layout.paragraphs(messages.text("cli-chat-help"), room),
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)
