"""Replies of a reasoning model, token by token: prompt, reasoning and answer told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketr1.chat import Tokenizer
from pocketr1.errors import ContextFullError
from pocketr1.measure.divergence import Tally, check_vocabularies
from pocketr1.measure.perplexity import Perplexity, scored_logits, token_losses

if TYPE_CHECKING:
    from pocketr1.engine import Engine

__all__ = ["PARTS", "Exchange", "answer_begin", "compare_exchanges", "exchange_perplexity"]

#: The parts of an exchange; their places in this list are the labels of a :class:`Tally`.
PARTS = ("prompt", "reasoning", "answer")
_CLOSE = "</think>"


@dataclass(frozen=True)
class Exchange:
    """A prompt and the reply to it, as tokens.

    ids: all of them; reasoning: where the reply begins; answer: where the answer does, behind the
    tag that ends the thought. What stands before ``reasoning`` is the prompt.
    """

    ids: tuple[int, ...]
    reasoning: int
    answer: int

    def labels(self) -> NDArray[np.uint8]:
        """Return the part of each token, as its place in :data:`PARTS`."""
        labels = np.zeros(len(self.ids), np.uint8)
        labels[self.reasoning :] = 1
        labels[self.answer :] = 2
        return labels


def answer_begin(tokenizer: Tokenizer, reply: Sequence[int], *, opened: bool) -> int:
    """Return the number of tokens of a reply that belong to its thought, the closing tag included.

    opened: the prompt ended within the thought. A reply that never leaves its thought is all
    thought; one without a thought is all answer. Where ``</think>`` is no token of its own it is
    looked for in the text.
    """
    close = tokenizer.token_to_id(_CLOSE)
    if close is not None:
        if close in reply:
            return list(reply).index(close) + 1
    elif _CLOSE in tokenizer.decode(reply):
        low, high = 0, len(reply)  # the tag is complete in the first `high` tokens
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if _CLOSE in tokenizer.decode(reply[:middle]) else (middle, high)
            )
        return high
    if opened:
        return len(reply)
    thinks = tokenizer.decode(reply[:8]).lstrip().startswith("<think>")
    return len(reply) if thinks else 0


def exchange_perplexity(
    engine: Engine,
    exchanges: Iterable[Exchange],
    *,
    progress: Callable[[int], None] | None = None,
) -> Perplexity:
    """Measure the perplexity of the replies of exchanges, their prompts left out.

    progress: called with the number of tokens done. Raises ContextFullError
    (``context-too-long``), ValueError where there is no token, and what the engine raises.
    """
    losses = []
    done = 0
    for exchange in exchanges:
        _check_length(exchange, engine.max_context)
        ids = np.array(exchange.ids, np.int32)
        rows = slice(max(exchange.reasoning - 1, 0), len(ids) - 1)
        for logits, targets in scored_logits(engine, ids, rows):
            losses.append(token_losses(logits, targets))
        done += len(ids)
        if progress is not None:
            progress(done)
    return Perplexity.of(np.concatenate([np.empty(0), *losses]))


def compare_exchanges(
    reference: Engine,
    model: Engine,
    exchanges: Iterable[Exchange],
    *,
    tally: Tally | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """Have both models read exchanges, side by side; return what each token says.

    Every token but an exchange's first is scored. The labels of the tally are the places of
    :data:`PARTS`. progress: called with the number of tokens done.

    Raises UsageError (``measure-vocabulary``); ContextFullError (``context-too-long``) for an
    exchange that is longer than either context; what the engines raise.
    """
    check_vocabularies(reference, model)
    limit = min(reference.max_context, model.max_context)
    tally = Tally() if tally is None else tally
    done = 0
    for exchange in exchanges:
        _check_length(exchange, limit)
        ids, labels = np.array(exchange.ids, np.int32), exchange.labels()
        rows = slice(0, len(ids) - 1)
        place = 1
        one, other = (scored_logits(engine, ids, rows) for engine in (reference, model))
        for (first, targets), (second, _) in zip(one, other, strict=True):
            tally.add((first, second, targets), labels[place : place + len(targets)])
            place += len(targets)
        done += len(ids)
        if progress is not None:
            progress(done)
    return tally


def _check_length(exchange: Exchange, limit: int) -> None:
    if len(exchange.ids) > limit:
        raise ContextFullError("context-too-long", tokens=len(exchange.ids), limit=limit)
