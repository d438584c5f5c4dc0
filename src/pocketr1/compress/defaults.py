"""The one table of defaults and choices: the Python signature and the command line read it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BITS", "DEFAULTS", "GROUP_SIZES", "KEEP", "Defaults"]

BITS = (16, 8, 4)
GROUP_SIZES = (32, 64, 128)
#: Instead of bits: every tensor as its file holds it.
KEEP = "keep"


@dataclass(frozen=True)
class Defaults:
    """Defaults of :class:`pocketr1.compress.Quantizer` and of ``pocketr1 compress``."""

    bits: int = 8
    group_size: int = 128  # inputs that share a scale
    symmetric: bool = True  # False: integer zero points, 4 bits only
    embedding_bits: int | None = None  # None: as ``bits``
    head_bits: int | None = None  # None: as ``bits``; a tied head is the embedding
    threads: int | None = None  # None: as many as there are fast cores
    discard_source: bool = False
    overwrite: bool = False


DEFAULTS = Defaults()
