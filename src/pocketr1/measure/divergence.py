"""How far a model's next-token probabilities are from a reference's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.engine.tokens import TokenIds, as_token_array
from pocketr1.errors import UsageError
from pocketr1.measure.accuracy import NORMAL_QUANTILE
from pocketr1.measure.perplexity import WINDOW, Perplexity, log_softmax, scored_logits, windows

if TYPE_CHECKING:
    from pocketr1.engine import Engine

__all__ = [
    "Comparison",
    "Divergence",
    "Tally",
    "check_vocabularies",
    "compare",
    "compare_logits",
    "kl_divergence",
]

#: Logits of the reference and of the model, and the tokens that follow.
Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]


@dataclass(frozen=True)
class Divergence:
    """Kullback-Leibler divergence of a model from a reference over many tokens, in nats.

    tokens: how many; mean with its standard error (tokens taken as independent); median; p99 (99th
    percentile); maximum. top1_agreement: share of tokens where both hold the same token likeliest.
    rms_dp: root mean square of the difference of the probabilities of the token that really
    follows. The last two go by the names llama.cpp's perplexity tool gave them.
    """

    tokens: int
    mean: float
    error: float
    median: float
    p99: float
    maximum: float
    top1_agreement: float
    rms_dp: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean."""
        half = NORMAL_QUANTILE * self.error
        return self.mean - half, self.mean + half

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the names of reports (``kld_mean`` …)."""
        return {
            "tokens": self.tokens,
            "kld_mean": self.mean,
            "kld_interval": list(self.interval),
            "kld_median": self.median,
            "kld_p99": self.p99,
            "kld_max": self.maximum,
            "top1_agreement": self.top1_agreement,
            "rms_dp": self.rms_dp,
        }


@dataclass(frozen=True)
class Comparison:
    """A model beside its reference on one text."""

    divergence: Divergence
    reference: Perplexity
    model: Perplexity


def kl_divergence(
    reference: NDArray[np.float32], logits: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return KL(reference || model) of each row of logits, in nats, at least 0.

    Both are float32 of shape (rows, vocabulary). A token the reference gives no probability
    (a logit of minus infinity) adds nothing; one that only the model gives none makes the row's
    divergence infinite.
    """
    return _kl(log_softmax(reference), log_softmax(logits))


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        terms = np.exp(p) * (p - q)
    # The limits of the product, also where a probability is too small for float64.
    terms[np.isneginf(q)] = math.inf
    terms[np.isneginf(p)] = 0.0
    total: NDArray[np.float64] = np.maximum(terms.sum(axis=-1), 0.0)
    return total


class Tally:
    """Gathers what single tokens say about two models, a batch of logits at a time.

    Of each token five numbers are kept, so that a text of any length fits in memory beside the one
    batch at work.
    """

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float64]] = []
        self._parts: list[NDArray[np.uint8]] = []

    def add(self, batch: Batch, part: int | NDArray[np.uint8] = 0) -> None:
        """Take a batch; ``part`` is a label of its tokens, or an array of one for each."""
        first, second, targets = batch
        p, q = log_softmax(first), log_softmax(second)
        index = np.asarray(targets, np.int64)[:, None]
        p_true, q_true = (np.take_along_axis(x, index, 1)[:, 0] for x in (p, q))
        agreed = (p.argmax(-1) == q.argmax(-1)).astype(np.float64)
        shift = np.exp(q_true) - np.exp(p_true)
        self._rows.append(np.stack([_kl(p, q), agreed, shift, -p_true, -q_true]))
        self._parts.append(np.broadcast_to(np.asarray(part, np.uint8), len(index)).copy())

    def divergences(self, *parts: int) -> NDArray[np.float64]:
        """Return the divergence of each token of these parts, or of all, in nats."""
        values: NDArray[np.float64] = self._table(parts)[0]
        return values

    def comparison(self, *parts: int) -> Comparison | None:
        """Summarize these parts, or all; None where they have no token."""
        values, agreed, shifts, first, second = self._table(parts)
        count = len(values)
        if not count:
            return None
        with np.errstate(invalid="ignore"):  # of infinite divergences
            divergence = Divergence(
                tokens=count,
                mean=float(values.mean()),
                error=float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf,
                median=float(np.median(values)),
                p99=float(np.quantile(values, 0.99)),
                maximum=float(values.max()),
                top1_agreement=float(agreed.mean()),
                rms_dp=float(np.sqrt(np.square(shifts).mean())),
            )
        return Comparison(divergence, Perplexity.of(first), Perplexity.of(second))

    def _table(self, parts: tuple[int, ...]) -> NDArray[np.float64]:
        if not self._rows:
            return np.empty((5, 0))
        table = np.concatenate(self._rows, axis=1)
        return table[:, np.isin(np.concatenate(self._parts), parts)] if parts else table


def compare(
    reference: Engine,
    model: Engine,
    ids: TokenIds,
    window: int = WINDOW,
    *,
    tally: Tally | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Measure a model against its reference on a text, side by side, a chunk of logits at a time.

    ids: the text's token ids; see :func:`pocketr1.measure.perplexity.windows` for how it is cut.
    tally: takes the single tokens, for a caller that wants more than the summary. progress: called
    with tokens done and in all.

    Raises UsageError: ``measure-vocabulary`` where the models' vocabularies differ, and as
    ``windows``; what the engines raise.
    """
    check_vocabularies(reference, model)
    if window > model.max_context:
        raise UsageError("measure-window", value=window, limit=model.max_context)
    array = as_token_array(ids, model.vocab_size)
    tally = Tally() if tally is None else tally
    done, size = 0, min(window, len(array))
    for piece, rows in windows(reference, array, window):
        one, other = (scored_logits(engine, piece, rows) for engine in (reference, model))
        for (first, targets), (second, _) in zip(one, other, strict=True):
            tally.add((first, second, targets))
        done += len(piece)
        if progress is not None:
            progress(done, len(array) // size * size)
    return _known(tally.comparison())


def compare_logits(batches: Iterable[Batch]) -> Comparison:
    """Compare logits of both models, batch by batch: (reference's, model's, following tokens).

    Both logits are float32 of shape (rows, vocabulary); the tokens are (rows,). Raises ValueError
    where there is no row.
    """
    tally = Tally()
    for batch in batches:
        tally.add(batch)
    return _known(tally.comparison())


def check_vocabularies(reference: Engine, model: Engine) -> None:
    """Raise UsageError (``measure-vocabulary``) where the vocabularies differ in size."""
    if reference.vocab_size != model.vocab_size:
        raise UsageError(
            "measure-vocabulary", reference=reference.vocab_size, model=model.vocab_size
        )


def _known(comparison: Comparison | None) -> Comparison:
    if comparison is None:
        raise ValueError("no token was scored")
    return comparison
