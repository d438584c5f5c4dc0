"""The command ``pocketr1``: a command parses, calls one library function, renders."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; return its exit code."""
    try:
        from pocketr1.cli.app import main as run

        return run()
    except KeyboardInterrupt:  # before ``run`` took care of it, or after
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from pocketr1.cli.output import print_error
        from pocketr1.errors import CancelledError

        error = CancelledError("cli-interrupted")
        print_error(error, as_json=False)
        return error.exit_code
    finally:
        # Python's own end may take a moment; an interrupt there must not print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
