"""Proof that what measured a model is not what calibrated it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketr1.engine import ModelReport
from pocketr1.errors import UsageError
from pocketr1.evaluate.report import Separation
from pocketr1.evaluate.text import read_text
from pocketr1.evaluate.verdict import SHARED_LIMIT
from pocketr1.measure import overlap

__all__ = ["KnownText", "check_apart", "separate"]


@dataclass(frozen=True)
class KnownText:
    """A calibration text that is at hand. path: the file it is in; None: it is in none."""

    text: str
    sha256: str
    path: Path | None = None

    @classmethod
    def of(cls, text: str) -> KnownText:
        """Take a text as ``compress`` calibrates with it, whose hash a bundle keeps."""
        return cls(text, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())

    @classmethod
    def read(cls, path: Path) -> KnownText:
        """Read the file that ``compress`` wrote. Raises UsageError ``evaluate-text``."""
        return cls(*read_text(path), path)


def check_apart(texts: Mapping[str, Iterable[str]], calibration: KnownText) -> None:
    """Refuse to measure with what stands in the calibration text.

    texts: what is measured with, by the file it is in; each file is looked at alone.

    Raises UsageError (``evaluate-gate-calibration``) naming the file and the first stretch.
    """
    for path, those in texts.items():
        found = overlap(those, calibration.text)
        if found.share > SHARED_LIMIT:
            raise UsageError(
                "evaluate-gate-calibration",
                path=path,
                shared=found.shared,
                grams=found.grams,
                example=found.example,
            )


def separate(
    report: ModelReport, calibration: Path | KnownText | None, texts: Iterable[str]
) -> Separation:
    """Compare the measuring texts with the calibration text.

    calibration: what the model was calibrated or distilled with, or the file with it; None: not at
    hand. Where the bundle keeps the hash of a second text, one proves nothing: "unknown".

    Raises UsageError: ``evaluate-calibration-differs`` where that is not the text whose hash the
    bundle keeps; ``evaluate-text`` where the file cannot be read.
    """
    known = [each for each in (report.distilled, report.calibration) if each is not None]
    hashes = [str(each.get("sha256")) for each in known]
    on_record = hashes[0] if hashes else None
    if calibration is None:
        status = "none" if on_record is None else "unknown"
        return Separation(status, on_record)  # type: ignore[arg-type]
    if isinstance(calibration, Path):
        calibration = KnownText.read(calibration)
    if hashes and calibration.sha256 not in hashes:
        raise UsageError(
            "evaluate-calibration-differs", path=calibration.path or "text", sha256=on_record
        )
    found = overlap(texts, calibration.text)
    status = "shared" if found.share > SHARED_LIMIT else "apart"
    if status == "apart" and {*hashes} > {calibration.sha256}:
        other = next(each for each in hashes if each != calibration.sha256)
        return Separation("unknown", other)
    path = None if calibration.path is None else str(calibration.path)
    return Separation(status, calibration.sha256, path, found)  # type: ignore[arg-type]
