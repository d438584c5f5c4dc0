"""Drafters: who guesses the tokens that a step then verifies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from pocketr1.engine.tokens import TokenArray

if TYPE_CHECKING:
    from pocketr1.engine import sequence as pages
    from pocketr1.engine.engine import Engine
    from pocketr1.engine.sampling import Sampling

__all__ = ["Drafter", "LookupDrafter", "ModelDrafter"]


@runtime_checkable
class Drafter(Protocol):
    """Guesses how a text goes on. A wrong guess costs time and never changes the text."""

    def propose(self, history: TokenArray, most: int) -> Sequence[int]:
        """Return at most ``most`` ids that may follow ``history``, best guess first; none is fine.

        history: prompt and answer so far, shape (n,), a view that holds for this call. Within one
        generation it only grows; what was proposed and not taken shows by its absence.
        """
        ...

    def close(self) -> None:
        """Free what the generation needed; it is over. Another may follow."""
        ...


class LookupDrafter:
    """Prompt lookup: what followed the last tokens when they stood in the text before.

    The longest n-gram counts, from ``longest`` tokens down to ``shortest``, and of its places the
    last. A copy that reaches the end of the text goes on with what it copied, so that a loop is
    followed round. It costs some microseconds and no memory.

    Source: Saxena, Prompt Lookup Decoding, 2023; Yang et al., Inference with Reference, 2023.
    """

    def __init__(self, longest: int = 4, shortest: int = 2) -> None:
        self._lengths = range(longest, shortest - 1, -1)

    def propose(self, history: TokenArray, most: int) -> list[int]:
        """Return the tokens behind the last place where the text's end stood before."""
        end = len(history)
        # Where the last token stood before, and with it every longer n-gram.
        places = np.flatnonzero(history[:-1] == history[-1])
        found = places[:0]
        matching = places
        for length in range(2, self._lengths.start + 1):
            matching = matching[matching >= length - 1]
            matching = matching[history[matching - length + 1] == history[end - length]]
            if not len(matching):
                break
            if length in self._lengths:
                found = matching
        if 1 in self._lengths and not len(found):
            found = places
        if not len(found):
            return []
        ids: list[int] = np.resize(history[found[-1] + 1 :], most).tolist()
        return ids

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class ModelDrafter:
    """A small model of the same tokenizer that writes ahead.

    It draws with the generation's own sampling options and random numbers: where the two models
    agree on the probabilities, the same number picks the same token, more often than the likeliest
    one would be right. Its K/V cache is rolled back to what the text became.

    Source: Leviathan et al., Fast Inference from Transformers via Speculative Decoding, 2023, for
    the draft model; the shared random numbers take the place of their rejection sampling.
    """

    def __init__(self, engine: Engine, sampling: Sampling, index: int) -> None:
        self._engine = engine
        self._sampling = sampling
        self._index = index
        self._sequence: pages.Sequence | None = None
        # How much of the sequence is known to be the text.
        self._agreed = 0

    def propose(self, history: TokenArray, most: int) -> list[int]:
        """Return what the model would write; nothing where the text does not fit its context."""
        if self._sequence is None:
            self._sequence = self._engine.sequence()
        sequence = self._sequence
        most = min(most, self._engine.max_context - len(history) + 1)
        if most < 1 or history.max() >= self._engine.vocab_size:
            return []
        # The last token is always computed: its logits are what is asked for.
        shared = min(self._agreed, len(history) - 1)
        while shared < min(len(sequence), len(history) - 1):
            if sequence._tokens[shared] != history[shared]:
                break
            shared += 1
        sequence._claim(self)
        sequence._truncate(shared)
        text = np.concatenate([history, np.empty(most, np.int32)])
        end = len(history)
        for length in range(end, end + most):
            logits = sequence._append(text[len(sequence) : length])
            self._agreed = end
            text[length] = self._engine._draw(
                logits, text[:length], self._sampling, index=self._index, position=length
            )
        ids: list[int] = text[end:].tolist()
        return ids

    def close(self) -> None:
        """Free the pages."""
        if self._sequence is not None:
            self._sequence.close()
            self._sequence = None
            self._agreed = 0
