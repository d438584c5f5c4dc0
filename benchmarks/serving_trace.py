"""Who asks for what, and when: a trace of requests, the same for every server.

Lengths are log-normal, as those of public traces of chat services roughly are: many short, some
long. Gaps between arrivals are Gamma distributed with a mean of one over the rate; their
coefficient of variation is 1 for a Poisson process, more for one with bursts. All of it is drawn
from one seed, and the same seed gives the same lengths at every rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Arrival", "Lengths", "prompt_ids", "trace"]


@dataclass(frozen=True)
class Lengths:
    """A log-normal distribution of tokens, cut to what lies between two lengths.

    median: tokens; sigma: of the logarithm; least, most: tokens.
    """

    median: float
    sigma: float
    least: int
    most: int

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        """Return that many lengths."""
        drawn = random.lognormal(np.log(self.median), self.sigma, count)
        return [int(value) for value in np.clip(np.rint(drawn), self.least, self.most)]

    def within(self, most: int) -> Lengths:
        """Return the distribution cut at ``most`` tokens, where that is less."""
        return Lengths(min(self.median, most), self.sigma, self.least, min(self.most, most))


PROMPTS = Lengths(median=64, sigma=1.2, least=8, most=1536)
ANSWERS = Lengths(median=80, sigma=0.8, least=8, most=512)


@dataclass(frozen=True)
class Arrival:
    """One request: its number, seconds from the trace's begin, tokens of prompt and answer."""

    number: int
    at: float
    prompt_tokens: int
    answer_tokens: int


def trace(
    count: int,
    rate: float,
    *,
    variation: float = 1.0,
    seed: int = 0,
    prompts: Lengths = PROMPTS,
    answers: Lengths = ANSWERS,
) -> list[Arrival]:
    """Return ``count`` requests that arrive at ``rate`` a second on average, the first at once.

    variation: coefficient of variation of the gaps. Raises ValueError where one of the three is not
    positive.
    """
    if not (count > 0 and rate > 0 and variation > 0):
        raise ValueError("count, rate and variation of a trace are positive")
    random = np.random.default_rng(seed)
    prompt_tokens = prompts.draw(random, count)
    answer_tokens = answers.draw(random, count)
    shape = variation**-2
    gaps = random.gamma(shape, 1 / (rate * shape), count - 1)
    times = [0.0, *np.cumsum(gaps).tolist()]
    rows = zip(times, prompt_tokens, answer_tokens, strict=True)
    return [Arrival(number, *row) for number, row in enumerate(rows)]


def prompt_ids(number: int, tokens: int, vocabulary: int, seed: int = 0) -> list[int]:
    """Return random ids for a request: no two requests begin alike."""
    random = np.random.default_rng((seed, number))
    return [int(value) for value in random.integers(10, vocabulary, tokens)]
