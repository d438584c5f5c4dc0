"""Files that say something about the machine, under a directory that stands for ``/``."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["Root", "integer", "listed"]

_LONGEST = 1 << 20  # bytes of a file that are looked at
_MOST_LISTED = 1 << 16  # numbers of a list such as 0-3,8
_DIGITS = re.compile(r"(\d+)")


class Root:
    """Reads under ``path``. What is absent, unreadable or nonsense is ``None`` or empty."""

    def __init__(self, path: str | os.PathLike[str] = "/") -> None:
        self.path = Path(path)

    @property
    def is_real(self) -> bool:
        """Whether this is the machine itself, and not a tree that stands for one."""
        return self.path == Path("/")

    def text(self, name: str) -> str | None:
        """Return what a file says, without NULs and surrounding blanks; ``None`` where empty."""
        try:
            with self._at(name).open("rb", buffering=0) as file:
                data = file.read(_LONGEST) or b""
        except (OSError, ValueError):
            return None
        text = data.decode("utf-8", "replace").replace("\0", " ").strip()
        return text or None

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file."""
        return (self.text(name) or "").splitlines()

    def integer(self, name: str, low: int = 0, high: int = 1 << 62) -> int | None:
        """Return the whole number a file holds, if it lies in ``low`` to ``high``."""
        return integer(self.text(name), low, high)

    def fields(self, name: str, separator: str = ":") -> dict[str, str]:
        """Return the ``key: value`` lines of a file; of a key that comes twice, the first."""
        found: dict[str, str] = {}
        for line in self.lines(name):
            key, colon, value = line.partition(separator)
            if colon:
                found.setdefault(key.strip(), value.strip())
        return found

    def names(self, directory: str, prefix: str = "") -> list[str]:
        """Return the entries of a directory that begin with ``prefix``, cpu2 before cpu10."""
        try:
            names = [entry.name for entry in self._at(directory).iterdir()]
        except (OSError, ValueError):
            return []
        found = [name for name in names if name.startswith(prefix)]
        return sorted(found, key=lambda name: [_natural(part) for part in _DIGITS.split(name)])

    def exists(self, name: str) -> bool:
        """Whether there is a file or directory of that name."""
        try:
            return self._at(name).exists()
        except (OSError, ValueError):
            return False

    def _at(self, name: str) -> Path:
        return self.path / name.lstrip("/")


def integer(text: str | None, low: int = 0, high: int = 1 << 62, base: int = 10) -> int | None:
    """Return ``text`` as a whole number if it is one of ``low`` to ``high``."""
    try:
        value = int(text or "", base)
    except ValueError:
        return None
    return value if low <= value <= high else None


def listed(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of a kernel list such as ``0-3,8``; ``None`` where it is none."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, dash, last = part.strip().partition("-")
        low = integer(first, 0, _MOST_LISTED)
        high = integer(last, 0, _MOST_LISTED) if dash else low
        if low is None or high is None or high < low:
            return None
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _natural(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part)
