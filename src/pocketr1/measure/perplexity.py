"""Perplexity of a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.engine.tokens import TokenIds, as_token_array
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.engine import Engine

__all__ = ["Perplexity", "log_softmax", "perplexity", "token_losses", "windows"]

#: Tokens a window holds where none is asked for; llama.cpp's tool has the same.
WINDOW = 512

# Rows of logits whose probabilities are looked at together: in float64 and with R1's vocabulary of
# 151,936 tokens these are 19 MB, of which a comparison holds some five.
_ROWS = 16


@dataclass(frozen=True)
class Perplexity:
    """How surprised a model is by a text.

    tokens: how many were scored; loss: their mean negative log likelihood, nats per token;
    error: its standard error, tokens taken as independent.
    """

    tokens: int
    loss: float
    error: float

    @classmethod
    def of(cls, losses: NDArray[np.float64]) -> Perplexity:
        """Summarize the losses of single tokens. Raises ValueError where there is none."""
        if not len(losses):
            raise ValueError("no token was scored")
        error = float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else math.inf
        return cls(len(losses), float(losses.mean()), error)

    @property
    def value(self) -> float:
        """The perplexity: the exponential of the mean loss."""
        return math.exp(self.loss) if self.loss < 700 else math.inf


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log probabilities of each row, computed in float64; (rows, vocabulary)."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return result


def token_losses(logits: NDArray[np.float32], targets: TokenIds) -> NDArray[np.float64]:
    """Return the negative log likelihood of each target after its row of logits, in nats."""
    index = np.asarray(targets, np.int64)
    picked: NDArray[np.float64] = np.take_along_axis(log_softmax(logits), index[:, None], 1)[:, 0]
    return -picked


def windows(
    engine: Engine, ids: TokenIds, window: int = WINDOW
) -> Iterator[tuple[NDArray[np.int32], slice]]:
    """Cut a text into windows that do not overlap: each window's ids, and the rows to score.

    A window begins with the model's beginning-of-text token where it has one, in the place of its
    first token, and its second half is scored, so that every scored token has at least half a
    window before it. That is what llama.cpp's perplexity tool does. A last, shorter window is left
    out, unless it is the only one.

    Raises UsageError: ``measure-window``, ``measure-text-short``, and bad ids.
    """
    array = as_token_array(ids, engine.vocab_size)
    if type(window) is not int or not 4 <= window <= engine.max_context:
        raise UsageError("measure-window", value=window, limit=engine.max_context)
    if len(array) < 4:
        raise UsageError("measure-text-short", tokens=len(array))
    size = min(window, len(array))
    for begin in range(0, len(array) - size + 1, size):
        piece = array[begin : begin + size].copy()
        if engine.spec.bos_token_id is not None:
            piece[0] = engine.spec.bos_token_id
        yield piece, slice(size // 2, size - 1)


def scored_logits(
    engine: Engine, piece: NDArray[np.int32], rows: slice
) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
    """Yield the logits of the scored rows, at most 16 at a time, with the token behind each."""
    place = 0
    for chunk in engine.logits_chunks(piece):
        last = min(rows.stop - place, len(chunk))
        for low in range(max(rows.start - place, 0), last, _ROWS):
            high = min(low + _ROWS, last)
            yield chunk[low:high], piece[place + low + 1 : place + high + 1]
        place += len(chunk)


def perplexity(
    engine: Engine,
    ids: TokenIds,
    window: int = WINDOW,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Perplexity:
    """Measure a model's perplexity on a text; see :func:`windows` for how it is cut.

    ids: the text's token ids, without beginning-of-text. progress: called with tokens done and in
    all. Raises UsageError as :func:`windows`, and what the engine raises.
    """
    array = as_token_array(ids, engine.vocab_size)
    losses = []
    done, size = 0, min(window, len(array))
    for piece, rows in windows(engine, array, window):
        for logits, targets in scored_logits(engine, piece, rows):
            losses.append(token_losses(logits, targets))
        done += len(piece)
        if progress is not None:
            progress(done, len(array) // size * size)
    return Perplexity.of(np.concatenate(losses))
