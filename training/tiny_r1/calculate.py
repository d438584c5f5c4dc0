"""Arithmetic as it is done on paper: one easy operation at a time, each written down.

Every function returns the result and the line that leads to it, such as
``47+36=47+30+6=77+6=83``. A small model cannot add two-digit numbers in one go, but it can add one
digit's worth at a time; the chain is what makes its answers right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["add", "divide", "multiply", "subtract"]


def add(a: int, b: int) -> tuple[int, str]:
    """Add the places of ``b`` one by one, the largest first."""
    return a + b, _chain([f"{a}+{b}", *_sum([a, *_places(b)], "+")])


def subtract(a: int, b: int) -> tuple[int, str]:
    """Take the places of ``b`` away one by one, the largest first; ``b`` is at most ``a``."""
    return a - b, _chain([f"{a}-{b}", *_sum([a, *_places(b)], "-")])


def multiply(a: int, b: int) -> tuple[int, str]:
    """Multiply by one digit place by place; by two digits (``b`` < 100), as two such products."""
    if b < 10:
        products = [place * b for place in _places(a)]
        expressions = [f"{a}×{b}", "+".join(f"{place}×{b}" for place in _places(a))]
        for left in range(len(products) - 1, 0, -1):
            later = "".join(f"+{product}" for product in products[-left + 1 :] if left > 1)
            total = sum(products[: len(products) - left])
            following = products[len(products) - left]
            expressions += [step + later for step in add(total, following)[1].split("=")]
        return a * b, _chain([*expressions, str(a * b)])
    tens, ones = b - b % 10, b % 10
    line = f"{multiply(a, tens // 10)[1]}, {a}×{tens}={a * tens}"
    if ones:
        line += f", {multiply(a, ones)[1]}, {add(a * tens, a * ones)[1]}"
    return a * b, line


def divide(a: int, b: int) -> tuple[int, str]:
    """Divide without a remainder: the tens of the quotient first, then its ones; ``b`` < 10."""
    quotient, remainder = divmod(a, b)
    if remainder:
        raise ValueError(f"{b} does not divide {a}")
    tens, ones = quotient - quotient % 10, quotient % 10
    if not tens or not ones:
        return quotient, f"{a}÷{b}={quotient}"
    return quotient, _chain(
        [f"{a}÷{b}", f"{tens * b}÷{b}+{ones * b}÷{b}", f"{tens}+{ones}", str(quotient)]
    )


def _places(number: int) -> list[int]:
    """Return the parts of a number by decimal place: 305 is 300 and 5."""
    digits = str(number)
    places = [int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits)]
    return [place for place in places if place] or [0]


def _sum(terms: list[int], sign: str) -> Iterator[str]:
    """Yield the expression, the one with its first two terms drawn together, and so on."""
    while terms:
        yield sign.join(map(str, terms))
        head, *terms = terms
        if not terms:
            return
        terms = [head + terms[0] if sign == "+" else head - terms[0], *terms[1:]]


def _chain(expressions: Iterable[str]) -> str:
    """Join equal expressions; what was just said is not said again."""
    said: list[str] = []
    for expression in expressions:
        if not said or said[-1] != expression:
            said.append(expression)
    return "=".join(said)
