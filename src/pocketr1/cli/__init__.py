"""The command ``pocketr1``: a command parses, calls one library function, renders."""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; return its exit code."""
    from pocketr1.cli.app import main as run

    return run()
