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

    calibration: the file the model was calibrated with; None: not at hand.

    Raises UsageError: ``evaluate-calibration-differs`` where the file is not the one whose hash the
    bundle keeps; ``evaluate-text`` where it cannot be read.
    """
    known = report.calibration
    on_record = None if known is None else str(known.get("sha256"))
    if calibration is None:
        status = "none" if on_record is None else "unknown"
        return Separation(status, on_record)  # type: ignore[arg-type]
    text, digest = read_text(calibration)
    if on_record is not None and digest != on_record:
        raise UsageError("evaluate-calibration-differs", path=calibration, sha256=on_record)
    found = overlap(texts, text)
    status = "shared" if found.share > SHARED_LIMIT else "apart"
    return Separation(status, digest, str(calibration), found)  # type: ignore[arg-type]
