"""Numbers on the command line, refused in the user's language."""

from __future__ import annotations

import re
from collections.abc import Callable

from pocketr1.errors import UsageError

__all__ = ["bits", "decimal", "duration", "points", "size", "whole"]


def bits(option: str) -> Callable[[str], int | str]:
    """Return the parser of ``option``'s bits: a whole number, ``f8`` or ``keep``."""

    def parse(value: str) -> int | str:
        return value if value in ("f8", "keep") else whole(option)(value)

    return parse


def whole(option: str) -> Callable[[str], int]:
    """Return the parser of ``option``'s whole number; the library checks its range."""

    def parse(value: str) -> int:
        try:
            return int(value)
        except ValueError:
            raise UsageError("cli-not-whole", option=option, value=value) from None

    return parse


def decimal(option: str) -> Callable[[str], float]:
    """Return the parser of ``option``'s number; the library checks its range."""

    def parse(value: str) -> float:
        try:
            return float(value)
        except ValueError:
            raise UsageError("cli-not-number", option=option, value=value) from None

    return parse


def size(option: str) -> Callable[[str], int]:
    """Return the parser of ``option``'s bytes: ``0.95GB``, ``700 MB``, ``900MiB`` or a number."""

    def parse(value: str) -> int:
        from pocketr1.machine import parse_size

        found = parse_size(value)
        if found is None:
            raise UsageError("cli-not-size", option=option, value=value)
        return found

    return parse


def duration(option: str) -> Callable[[str], float]:
    """Return the parser of ``option``'s time in seconds: ``30d``, ``12h``, ``90m``, ``5s``."""

    def parse(value: str) -> float:
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([dhms])\s*", value)
        if match is None:
            raise UsageError("cli-not-duration", option=option, value=value)
        return float(match[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[match[2]]

    return parse


def points(option: str) -> Callable[[str], float]:
    """Return the parser of ``option``'s percentage points: ``8`` and ``8%`` are the same."""

    def parse(value: str) -> float:
        return decimal(option)(value.strip().removesuffix("%"))

    return parse
