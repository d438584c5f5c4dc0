"""How far a job is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a job is. ``done`` and ``total`` are bytes of the source, but where said."""

    #: "hash" (reading the source for its SHA-256), "reason" (making the calibration text; tokens),
    #: "allocate" and "calibrate" (multiplications) or "compress"; of a distilling job "original"
    #: (tokens the original has read), "measure" (tokens) and "distill" (steps).
    stage: str
    done: int
    total: int
    tensor: str  # what is at work; "" while hashing and reasoning
