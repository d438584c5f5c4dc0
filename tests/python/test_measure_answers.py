"""Final answers, and which of them are the same."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pocketr1.measure import final_answer, normal_form, same_answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"So \boxed{12} or rather \boxed{13}.", "13"),
        (r"It is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"First \boxed{7}, then \boxed{8", "7"),
        ("There are 12 apples and 30 pears", "30"),
        ("In all 1,234,567.", "1,234,567"),
        ("一共１２个。", "12"),
        ("I do not know.", None),
        (r"The box \boxed{ 7 } is padded.", "7"),
        ("It is 5 − 8 = −3.", "-3"),
        ("答案是-3。", "-3"),
        ("10-3", "3"),
        ("So 50% of them.", "50%"),
        ("One of 1, 2,3", "3"),
        ("It takes 2½ hours.", "2 1/2"),
    ],
)
def test_the_final_answer_is_the_last_box_or_else_the_last_number(
    reply: str, answer: str | None
) -> None:
    assert final_answer(reply) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234),
        ("1234.0", 1234),
        ("１２３４", 1234),
        (r"\$1,234.50", Fraction("1234.5")),
        (r"12\text{ apples}", 12),
        ("12 个", 12),
        (r"\frac{3}{6}", Fraction(1, 2)),
        ("3/6", Fraction(1, 2)),
        ("x = -5", -5),
        ("−5", -5),
        (r"50\%", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),
        ("+5", 5),
        ("1{,}234", 1234),
        ("￥12.50", Fraction("12.5")),
        (r"1\frac{1}{2}", Fraction(3, 2)),
        ("-1½", Fraction(-3, 2)),
        (r"\frac12", Fraction(1, 2)),
        ("60 km/h", 60),
        ("60千米/时", 60),
        ("12 cm²", 12),
        (r"9.8\,\text{m/s}^2", Fraction("9.8")),
        (r"90^\circ", 90),
    ],
)
def test_numbers_are_compared_exactly_however_they_are_written(
    text: str, number: Fraction | int
) -> None:
    assert normal_form(text) == number


@pytest.mark.parametrize(
    ("given_answer", "expected", "same"),
    [
        ("0.30", "0.3", True),
        ("9.11", "9.9", False),
        ("12 apples", "12", True),
        ("1,23", "123", False),
        ("x+1", "X + 1", True),
        ("1/0", "1/0", True),
        ("12 13", "1213", False),
        ("5²", "52", False),
        ("11/2", r"1\frac{1}{2}", False),
        (r"2\pi", "2", False),
        ("2x", "2", False),
        ("12:30", "12", False),
        (r"\left(1, 2\right)", "(1,2)", True),
        ("50%", "0.5", True),
        (r"50\%", "50", True),
        ("50", "50%", True),
        ("50%", "5%", False),
        (None, "1", False),
    ],
)
def test_answers_are_the_same_or_not(given_answer: str | None, expected: str, same: bool) -> None:
    assert same_answer(given_answer, expected) is same


def test_a_reply_that_counts_without_end_is_compared_as_text() -> None:
    endless = "1" * 5000  # more digits than Python converts

    assert normal_form(endless) == endless
    assert not same_answer(endless, "1")
