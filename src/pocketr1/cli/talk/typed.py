"""What a person types: lines, blocks of lines, and the keys that stop and leave."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Sequence
from contextlib import suppress

from pocketr1.cli.output import is_terminal, say

__all__ = ["Typed"]

_HISTORY_LINES = 1000
_BLOCK = '"""'


class Typed:
    """Reads questions and commands.

    On a terminal a line that ends in a backslash goes on in the next, lines between two ``\"""``
    are one question, and so are pasted ones. Elsewhere every line is one question.

    commands: what the tab key completes. keep: keep the lines for the next chat.
    """

    def __init__(self, commands: Sequence[str], *, keep: bool) -> None:
        self._terminal = is_terminal(sys.stdin)
        self._commands = commands
        self._interrupted = False
        if self._terminal:
            self._prepare(keep)

    def read(self) -> str | None:
        """Return the next question or command; ``None`` to leave.

        Ctrl-C drops what has been typed; a second time it leaves.
        """
        while True:
            try:
                text = self._read_block() if self._terminal else self._read_line()
            except KeyboardInterrupt:
                if self._interrupted:
                    say("cli-chat-bye")
                    return None
                self._interrupted = True
                say("cli-chat-leave")
                continue
            except EOFError:
                print(file=sys.stderr)
                return None
            self._interrupted = False
            return text

    def confirm(self, code: str, **params: object) -> bool:
        """Ask a yes-or-no question; where nobody can be asked the answer is no."""
        if not self._terminal:
            return False
        say(code, **params)
        try:
            return input("? ").strip().lower() in ("y", "yes", "j", "是", "好")
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return False

    def _read_line(self) -> str | None:
        line = next(sys.stdin, None) if sys.stdin is not None else None
        return None if line is None else line.rstrip("\r\n")

    def _read_block(self) -> str:
        line = input("> ")
        if line.lstrip().startswith(_BLOCK):
            first = line.lstrip()[len(_BLOCK) :]
            lines = [first]
            while not lines[-1].rstrip().endswith(_BLOCK):
                lines.append(input(". "))
            lines[-1] = lines[-1].rstrip()[: -len(_BLOCK)]
            return "\n".join(lines).strip("\n")
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input(". "))
        return "\n".join(lines)

    def _prepare(self, keep: bool) -> None:
        try:
            import readline
        except ImportError:  # not on every system
            return
        readline.set_completer_delims("\n")
        readline.set_completer(self._complete)
        for setting in ("tab: complete", "set enable-bracketed-paste on"):
            readline.parse_and_bind(setting)
        if not keep:
            return
        from pocketr1.machine import state_directory

        path = state_directory() / "chat_history"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            readline.read_history_file(path)
        except OSError:
            return  # without a place to write, the history lasts as long as the chat
        readline.set_history_length(_HISTORY_LINES)

        def write() -> None:
            with suppress(OSError):
                readline.write_history_file(path)

        atexit.register(write)

    def _complete(self, text: str, number: int) -> str | None:
        found = [command for command in self._commands if command.startswith(text) and text]
        return found[number] if number < len(found) else None
