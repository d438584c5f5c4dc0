"""The one table of defaults and choices: the Python signature and the command line read it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BITS", "DEFAULTS", "GROUP_SIZES", "KEEP", "Defaults"]

#: ``f8`` is FP8: E4M3 with a scale per row and 128 inputs, whatever the group size.
BITS: tuple[int | str, ...] = (16, 8, 4, 3, 2, "f8")
GROUP_SIZES = (32, 64, 128)
#: Instead of bits: every tensor as its file holds it.
KEEP = "keep"


@dataclass(frozen=True)
class Defaults:
    """Defaults of :class:`pocketr1.compress.Quantizer` and of ``pocketr1 compress``."""

    bits: int | str = 8
    group_size: int = 128  # inputs that share a scale
    symmetric: bool = True  # False: integer zero points, 4 bits and fewer
    embedding_bits: int | str | None = None  # None: as ``bits``
    head_bits: int | str | None = None  # None: as ``bits``; a tied head is the embedding
    threads: int | None = None  # None: as many as there are fast cores
    calibration_samples: int = 128  # where it is calibrated
    distill_epochs: int = 1  # passes over the text, where it is distilled
    discard_source: bool = False
    overwrite: bool = False


DEFAULTS = Defaults()
