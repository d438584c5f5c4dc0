"""A terminal of its own for a program."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from contextlib import suppress

__all__ = ["Terminal"]


class Terminal:
    """A program in a pseudo-terminal; 40 columns are a phone's."""

    def __init__(self, line: list[str], environment: dict[str, str], columns: int = 40) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, columns, 0, 0))
        self._process = subprocess.Popen(
            line,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
            # Ctrl-C reaches the foreground of a controlling terminal only.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._master = master
        self.seen = ""
        self._place = 0

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Return what comes up to ``text``, from where the last wait ended."""
        until = time.monotonic() + seconds
        while (found := self.seen.find(text, self._place)) < 0:
            left = until - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen[self._place :]!r}"
            if select.select([self._master], [], [], left)[0]:
                try:
                    data = os.read(self._master, 4096)
                except OSError:  # Linux: the program has left
                    data = b""
                assert data, f"it ended without {text!r}: {self.seen[self._place :]!r}"
                self.seen += data.decode("utf-8", "replace")
        before, self._place = self.seen[self._place : found], found + len(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self, answer: str) -> None:
        """Type Ctrl-C until ``answer`` comes.

        Python's input() sees one that comes between its prompt and its wait for a key only with the
        next key.
        """
        for _ in range(9):
            self.type("\x03")
            with suppress(AssertionError):
                self.wait_for(answer, 2)
                return
        self.wait_for(answer)

    def leave(self) -> int:
        code = self._process.wait(timeout=30)
        os.close(self._master)
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
