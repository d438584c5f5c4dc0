"""How likely a token was, and which others were likely in its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["TokenScore", "score"]


@dataclass(frozen=True)
class TokenScore:
    """The natural logarithm of a token's probability, and the likeliest tokens with theirs.

    By the model's own distribution: before temperature, penalty, cuts and constraint. top: best
    first, the lower id on a tie.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def score(logits: npt.NDArray[np.float32], token: int, top: int = 0) -> TokenScore:
    """Score ``token`` by the logits it was drawn from, shape (vocab,): a float32 log-softmax."""
    shifted = logits - logits.max()
    scores = shifted - np.log(np.exp(shifted).sum(dtype=np.float64)).astype(np.float32)
    best: list[int] = []
    if top:
        top = min(top, len(scores))
        least = np.partition(scores, len(scores) - top)[len(scores) - top]
        among = np.flatnonzero(scores >= least)  # more than asked for where some tie
        best = among[np.lexsort((among, -scores[among]))][:top].tolist()
    return TokenScore(float(scores[token]), tuple((i, float(scores[i])) for i in best))
