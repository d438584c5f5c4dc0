"""Draw problems: any index gives the same one, for training or held out.

    python -m tiny_r1.sample [--problems 1000] > held-out.jsonl

writes held-out problems as a task of ``pocketr1 evaluate``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import count, islice
from random import Random

from tiny_r1.dialogue import dialogue
from tiny_r1.exercises import comparison, conversion, decimals, equation, expression, who_has_more
from tiny_r1.problem import Family, Problem
from tiny_r1.situations import age, average, journey, reading, rectangle, seats, shopping
from tiny_r1.stories import story

__all__ = ["LANGUAGES", "held_out_problems", "task_lines", "training_problem"]

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


def task_lines(problems: int) -> Iterator[str]:
    """Yield the first held-out problems as lines of JSON: question, answer, group (language)."""
    for problem in islice(held_out_problems(), problems):
        entry = {"question": problem.question, "answer": problem.answer, "group": problem.language}
        yield json.dumps(entry, ensure_ascii=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write held-out problems as a task.")
    parser.add_argument("--problems", type=int, default=1000)
    for line in task_lines(parser.parse_args().problems):
        print(line)
