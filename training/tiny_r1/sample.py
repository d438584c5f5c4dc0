"""Draw problems: any index gives the same one, for training or held out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from tiny_r1.dialogue import dialogue
from tiny_r1.exercises import comparison, conversion, decimals, equation, expression, who_has_more
from tiny_r1.problem import Family, Problem
from tiny_r1.situations import age, average, journey, reading, rectangle, seats, shopping
from tiny_r1.stories import story

__all__ = ["LANGUAGES", "held_out_problems", "training_problem"]

LANGUAGES = ("en", "zh")

#: Families and how often each is drawn.
MATHEMATICS: dict[Family, float] = {
    story: 30,
    shopping: 8,
    journey: 7,
    age: 5,
    reading: 4,
    seats: 4,
    rectangle: 5,
    average: 4,
    expression: 12,
    comparison: 4,
    decimals: 3,
    who_has_more: 4,
    conversion: 8,
    equation: 9,
}
DIALOGUE: dict[Family, float] = {dialogue: 4}


def _draw(random: Random, families: dict[Family, float], language: str) -> Problem:
    (family,) = random.choices(list(families), weights=list(families.values()))
    problem = family(random, language)
    if language == "zh" and random.random() < 0.15:  # typed with a half-width keyboard
        question = problem.question.replace("，", ",").replace("？", "?")
        return Problem(**{**problem.__dict__, "question": question})
    return problem


def training_problem(random: Random) -> Problem:
    """Draw a problem to train on; never one that is held out."""
    while True:
        problem = _draw(random, MATHEMATICS | DIALOGUE, random.choice(LANGUAGES))
        if not problem.held_out:
            return problem


def held_out_problems(seed: int = 0) -> Iterator[Problem]:
    """Yield held-out problems without end: all different, in both languages by turns."""
    seen = set()
    random = Random(f"held out {seed}")
    for number in count():
        while True:
            problem = _draw(random, MATHEMATICS, LANGUAGES[number % 2])
            key = (problem.template, problem.operands)
            if problem.held_out and key not in seen:
                break
        seen.add(key)
        yield problem
