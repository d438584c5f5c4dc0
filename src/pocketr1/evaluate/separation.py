"""Proof that what measured a model is not what calibrated it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pocketr1.engine import ModelReport
from pocketr1.errors import UsageError
from pocketr1.evaluate.report import Separation
from pocketr1.evaluate.text import read_text
from pocketr1.evaluate.verdict import SHARED_LIMIT
from pocketr1.measure import overlap

__all__ = ["separate"]


def separate(report: ModelReport, calibration: Path | None, texts: Iterable[str]) -> Separation:
    """Compare the measuring texts with the calibration text.

    calibration: the file the model was calibrated or distilled with; None: not at hand. Where the
    bundle keeps the hash of a second text, one file proves nothing: "unknown".

    Raises UsageError: ``evaluate-calibration-differs`` where the file is not the one whose hash the
    bundle keeps; ``evaluate-text`` where it cannot be read.
    """
    known = [each for each in (report.distilled, report.calibration) if each is not None]
    hashes = [str(each.get("sha256")) for each in known]
    on_record = hashes[0] if hashes else None
    if calibration is None:
        status = "none" if on_record is None else "unknown"
        return Separation(status, on_record)  # type: ignore[arg-type]
    text, digest = read_text(calibration)
    if hashes and digest not in hashes:
        raise UsageError("evaluate-calibration-differs", path=calibration, sha256=on_record)
    found = overlap(texts, text)
    status = "shared" if found.share > SHARED_LIMIT else "apart"
    if status == "apart" and {*hashes} > {digest}:
        return Separation("unknown", next(each for each in hashes if each != digest))
    return Separation(status, digest, str(calibration), found)  # type: ignore[arg-type]
