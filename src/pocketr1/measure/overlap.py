"""Whether a text that measures a model stands in the text that the model was calibrated with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

__all__ = ["GRAM", "Overlap", "overlap"]

#: Words (and Chinese characters) in a row that count as the same text where both hold them; the
#: length with which GPT-3's data was checked (Brown et al., 2020, appendix C).
GRAM = 13

# A Chinese or Japanese character, or a word or number of other scripts; signs do not count.
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True)
class Overlap:
    """grams: stretches of the measuring texts; shared: how many stand in the calibration text.

    example: the first of these, as words; None where there is none.
    """

    grams: int
    shared: int
    example: str | None

    @property
    def share(self) -> float:
        """The share of stretches that are shared; 0 where there are none."""
        return self.shared / self.grams if self.grams else 0.0

    def to_dict(self) -> dict[str, object]:
        """Return the figures as JSON types."""
        return {
            "gram": GRAM,
            "grams": self.grams,
            "shared": self.shared,
            "share": self.share,
            "example": self.example,
        }


def overlap(texts: Iterable[str], calibration: str) -> Overlap:
    """Count the stretches of 13 words in ``texts`` that the calibration text holds too.

    Case, punctuation and spacing do not count, and a Chinese character is a word. A text shorter
    than 13 words is one stretch as a whole. Every stretch counts once, however often it stands in
    the texts.
    """
    known = _units(calibration)
    # By length: short texts are looked for whole. A stretch is kept as its hash, 16 bytes.
    stretches: dict[int, set[bytes]] = {}
    seen: set[bytes] = set()
    shared = 0
    example: str | None = None
    for text in texts:
        units = _units(text)
        length = min(GRAM, len(units))
        if not length:
            continue
        if length not in stretches:
            stretches[length] = {_hash(known[i : i + length]) for i in _starts(known, length)}
        for place in _starts(units, length):
            stretch = units[place : place + length]
            key = _hash(stretch)
            if key in seen:
                continue
            seen.add(key)
            if key in stretches[length]:
                shared += 1
                example = example or " ".join(stretch)
    return Overlap(len(seen), shared, example)


def _starts(units: list[str], length: int) -> range:
    return range(len(units) - length + 1)


def _units(text: str) -> list[str]:
    return _UNIT.findall(unicodedata.normalize("NFKC", text).casefold())


def _hash(units: list[str]) -> bytes:
    return blake2b("\0".join(units).encode("utf-8", "surrogatepass"), digest_size=16).digest()
