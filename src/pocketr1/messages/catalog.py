"""The type of one user-facing text."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Text"]


@dataclass(frozen=True)
class Text:
    """What is said, and (for errors) what to do about it, in both languages.

    Fields are ``str.format`` templates; all four of an error take the same parameters.
    """

    what_en: str
    what_zh: str
    mend_en: str = ""
    mend_zh: str = ""
