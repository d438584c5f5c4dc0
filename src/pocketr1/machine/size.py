"""Sizes as people write them."""

from __future__ import annotations

import re

__all__ = ["parse_size"]


def parse_size(text: str) -> int | None:
    """Return the bytes of ``0.95GB``, ``700 MB``, ``900MiB`` or a number; ``None``: it is none."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(?:([kMG])(i?)B)?\s*", text, re.IGNORECASE)
    try:
        number = float(match[1]) if match else None
    except ValueError:
        number = None
    if match is None or number is None:
        return None
    power = " KMG".index((match[2] or " ").upper())
    return int(number * (1024 if match[3] else 1000) ** power)
