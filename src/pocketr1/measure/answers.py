r"""The final answer of a reply, and whether two answers are the same."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

__all__ = ["final_answer", "normal_form", "same_answer"]

_BOX = "\\boxed{"
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")
# What stands around a number without changing it: units behind it, LaTeX, currency, "x =".
_DECORATION = re.compile(
    r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}|\\[,;!:()]|\\?\$|(?<!\d)\s+|\s+(?!\d)"
)
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_WHOLE_NUMBER = re.compile(
    r"(?:[a-z]=)?(?P<sign>-?)(?P<number>\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:/(?P<below>\d+))?(?P<percent>\\?%)?(?P<unit>[^\d/]*)"
)


def final_answer(reply: str) -> str | None:
    r"""Return what the last ``\boxed{}`` of a reply holds, else its last number, else None.

    reply: the answer without the thought. A box that is never closed does not count.
    """
    boxed = _last_box(reply)
    if boxed is not None:
        return boxed
    numbers = _NUMBER.findall(unicodedata.normalize("NFKC", reply))
    return numbers[-1].rstrip(",") if numbers else None


def normal_form(answer: str) -> Fraction | str:
    r"""Return the exact number an answer is, or its text without spaces and LaTeX.

    ``1,234``, ``1234.0``, ``\frac{2468}{2}``, ``１２３４`` and ``1234 apples`` are one number;
    ``50%`` is a half.
    """
    text = unicodedata.normalize("NFKC", answer).replace("−", "-")
    text = _FRACTION.sub(r"\1/\2", text)
    text = _DECORATION.sub(lambda match: match[1] or "", text).rstrip(".。").casefold()
    match = _WHOLE_NUMBER.fullmatch(text)
    if match is None or (match["below"] and not int(match["below"])):
        return text
    number = Fraction(match["number"].replace(",", "")) / int(match["below"] or 1)
    number /= 100 if match["percent"] else 1
    return -number if match["sign"] else number


def same_answer(given: str | None, expected: str) -> bool:
    """Say whether two answers are equal: as exact numbers where both are, else as texts."""
    return given is not None and normal_form(given) == normal_form(expected)


def _last_box(text: str) -> str | None:
    end = len(text)
    while (start := text.rfind(_BOX, 0, end)) >= 0:
        depth = 1
        for place in range(start + len(_BOX), len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if depth == 0:
                return text[start + len(_BOX) : place]
        end = start
    return None
