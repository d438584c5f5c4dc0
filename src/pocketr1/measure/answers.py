r"""The final answer of a reply, and whether two answers are the same."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

__all__ = ["final_answer", "normal_form", "same_answer"]

_BOX_OR_BRACE = re.compile(r"\\boxed\s*\{|[{}]")

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_LAST_NUMBER = re.compile(
    rf"(?:(?<![\da-zA-Z.)])-)?(?:\d+ (?=\d+/\d))?{_DIGITS}(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\?%)?"
)

_SUPERSCRIPT = re.compile("(?=[⁰¹²³⁴-⁹])")
_VULGAR_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_FRACTION = re.compile(r"\\[dt]?frac(?:\{([^{}]*)\}\{([^{}]*)\}|(\d)(\d))")
# What stands around an answer without changing it: LaTeX, currency, spaces but between digits.
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}")
_DECORATION = re.compile(
    r"\\(?:left|right|quad)(?![a-z])|\\[,;!:() ]|~|\\?[$¥€£]|(?<!\d)\s+|\s+(?!\d)"
)
# A unit is a word (kilometres, 千米, m^2), perhaps per other words (km/h, 元/个); not a letter that
# stands for a number, so that 2x and 2π stay expressions.
_WORD = r"(?!x|[abdeijnopqruyz](?![^\W\d_]))[^\W\d_π]+(?:(?<=[mst])(?:\^?[23]|\^\{[23]\}))?"
_NUMBER = re.compile(
    r"(?:[a-z]=)?(?P<sign>[-+]?)(?:(?P<whole>\d+)\s+(?=\d+/))?"
    rf"(?P<number>{_DIGITS}(?:\.\d+)?|\.\d+)(?:/(?P<below>\d+))?"
    rf"(?:(?P<percent>\\?%)|(?:\^?\{{?\\circ\}}?|°)[cf]?|{_WORD}(?:/{_WORD})*)?"
)
# Longer answers are compared as texts: nobody means them, and Python converts 4,300 digits at most.
_LONGEST = 1000


def final_answer(reply: str) -> str | None:
    r"""Return what the last ``\boxed{}`` of a reply holds, else its last number, else None.

    reply: the answer without the thought. A box that is never closed does not count.
    """
    boxed = _last_box(reply)
    if boxed is not None:
        return boxed.strip()
    numbers = _LAST_NUMBER.findall(_plain(reply))
    return numbers[-1] if numbers else None


def normal_form(answer: str) -> Fraction | str:
    r"""Return the exact number an answer is, or its text without spaces and LaTeX.

    ``1,234``, ``1234.0``, ``\frac{2468}{2}``, ``１２３４`` and ``1234 apples`` are one number;
    ``1\frac{1}{2}`` is three halves, ``50%`` one half, and ``60 km/h`` sixty.
    """
    return _read(answer)[0]


def same_answer(given: str | None, expected: str) -> bool:
    """Say whether two answers are equal: as exact numbers where both are, else as texts.

    Where only one is written in percent, the other may be meant so: 50% is both 0.5 and 50.
    """
    if given is None:
        return False
    (one, one_percent), (other, other_percent) = _read(given), _read(expected)
    if isinstance(one, str) or isinstance(other, str) or one_percent == other_percent:
        return one == other
    return one == other or (100 * one == other if one_percent else one == 100 * other)


def _read(answer: str) -> tuple[Fraction | str, bool]:
    """Return an answer's normal form, and whether it is written in percent."""
    text = _FRACTION.sub(
        lambda match: f" {match[1] or match[3]}/{match[2] or match[4]}", _plain(answer)
    )
    text = _WRAPPED.sub(r"\1", text).replace("{,}", ",").strip()
    text = _DECORATION.sub("", text).rstrip(".。,").casefold()
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or (match["below"] and not int(match["below"])):
        return text, False
    number = Fraction(match["number"].replace(",", "")) / int(match["below"] or 1)
    number += int(match["whole"] or 0)
    number /= 100 if match["percent"] else 1
    return -number if match["sign"] == "-" else number, match["percent"] is not None


def _plain(text: str) -> str:
    """Write full-width signs and digits, minus signs, exponents and fractions in ASCII."""
    text = _VULGAR_FRACTION.sub(" ", _SUPERSCRIPT.sub("^", text))
    return unicodedata.normalize("NFKC", text).replace("−", "-").replace("⁄", "/")


def _last_box(text: str) -> str | None:
    last: tuple[int, int] | None = None
    opened: list[int | None] = []  # where the text of a box begins; None for another brace
    for match in _BOX_OR_BRACE.finditer(text):
        if match[0] != "}":
            opened.append(match.end() if match[0] != "{" else None)
        elif opened and (start := opened.pop()) is not None and (last is None or start > last[0]):
            last = start, match.start()
    return text[slice(*last)] if last else None
