"""Speculative decoding: several tokens verified in one step, the text unchanged to the bit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from pocketr1.engine.drafters import Drafter, LookupDrafter, ModelDrafter
from pocketr1.engine.pace import Pace
from pocketr1.engine.tokens import TokenArray
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.engine.engine import Engine
    from pocketr1.engine.sampling import Sampling
    from pocketr1.engine.sequence import Sequence

__all__ = ["Lookahead", "Speculated", "Speculation"]

_MOST_TOKENS = 64


@dataclass(frozen=True)
class Speculation:
    """Options of speculative decoding.

    One step of the model computes the last token and some drafted ones behind it. Each token is
    then drawn as always, from the same bits of logits with the same random number; as long as it
    is the drafted one, the next logits are there already. So the text is the one of plain
    decoding, token for token, greedy or sampled. (Leviathan et al. 2023 keep the distribution
    only; that a row's logits do not depend on its neighbours makes the stronger promise possible.)

    draft: ``"lookup"`` copies from the text itself; an :class:`Engine` is a smaller model with the
        same tokenizer, owned by the same thread; any other :class:`Drafter` serves one generation
        at a time.
    max_tokens: most tokens to draft for a step, 1 to 64.
    adaptive: draft as many as pay, none where none do, by times and luck so far, of all
        generations that were given these options; else always max_tokens.

    Raises UsageError: ``speculation-draft``, ``speculation-tokens``.
    """

    draft: Literal["lookup"] | Engine | Drafter = "lookup"
    max_tokens: int = 8
    adaptive: bool = True
    _paces: WeakKeyDictionary[Engine, Pace] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        from pocketr1.engine.engine import Engine

        if self.draft != "lookup" and not isinstance(self.draft, Engine | Drafter):
            raise UsageError("speculation-draft", value=self.draft)
        tokens = self.max_tokens
        whole = isinstance(tokens, int) and not isinstance(tokens, bool)
        if not whole or not 1 <= tokens <= _MOST_TOKENS:
            raise UsageError("speculation-tokens", value=tokens, limit=_MOST_TOKENS)

    def check(self, engine: Engine) -> None:
        """Refuse a draft model that does not speak the tokens of ``engine``.

        The vocabularies may be padded to different sizes (1.5B and 7B are) where the tokenizer
        files are the same. Raises UsageError (``speculation-vocabulary``), EngineError for a draft
        model that is closed or another thread's.
        """
        from pocketr1.engine.engine import Engine

        draft = self.draft
        if not isinstance(draft, Engine):
            return
        draft._check_usable()
        hashes = draft._tokenizer_hash, engine._tokenizer_hash
        same = hashes[0] == hashes[1] if all(hashes) else draft.vocab_size == engine.vocab_size
        if not same:
            raise UsageError(
                "speculation-vocabulary",
                draft=draft.path,
                model=engine.path,
                draft_vocab=draft.vocab_size,
                vocab=engine.vocab_size,
            )

    def drafter(self, sampling: Sampling, index: int) -> Drafter:
        """Return the drafter of one generation."""
        from pocketr1.engine.engine import Engine

        if isinstance(self.draft, Engine):
            return ModelDrafter(self.draft, sampling, index)
        if isinstance(self.draft, str):
            return LookupDrafter()
        return self.draft

    def pace(self, engine: Engine) -> Pace | None:
        """Return what is known of drafting for ``engine``; ``None`` where it is not adaptive."""
        if not self.adaptive:
            return None
        return self._paces.setdefault(engine, Pace(self.max_tokens))


@dataclass(frozen=True)
class Speculated:
    """What came of speculating.

    drafted: tokens computed on suspicion; accepted: those that became part of the text; rejected:
    those that did not; what is still to be seen is in neither. steps: steps of the model after the
    prompt; plain decoding takes one for each token but the first.
    """

    drafted: int = 0
    accepted: int = 0
    rejected: int = 0
    steps: int = 0


class Lookahead:
    """The logits behind one generation's tokens, some of them computed before they are asked for.

    The rows ahead lie in the sequence's pages, but the sequence does not count them: it holds what
    plain decoding would have left there, whenever one looks.
    """

    def __init__(
        self,
        engine: Engine,
        speculation: Speculation,
        sampling: Sampling,
        index: int,
        never: Collection[int],
    ) -> None:
        self._engine = engine
        self._drafter = speculation.drafter(sampling, index)
        self._most = speculation.max_tokens
        self._pace = speculation.pace(engine)
        # End-of-text tokens: what would follow them is not asked for.
        self._never = never
        # The last step: what was drafted, its rows of logits, 1 + drafted, and how many of the
        # drafted tokens the text has taken.
        self._draft: list[int] = []
        self._rows: list[npt.NDArray[np.float32]] = []
        self._used = 0
        self._drafted = self._accepted = self._rejected = self._steps = 0

    @property
    def counts(self) -> Speculated:
        """The counts so far."""
        return Speculated(self._drafted, self._accepted, self._rejected, self._steps)

    def logits(self, sequence: Sequence, history: TokenArray, room: int) -> npt.NDArray[np.float32]:
        """Append the last token of ``history`` to ``sequence`` and return its logits, (vocab,).

        room: how many tokens further logits may be asked for.
        """
        token = int(history[-1])
        if self._draft[self._used : self._used + 1] == [token]:
            self._used += 1
            self._accepted += 1
            sequence._accept(token)
            return self._rows[self._used]
        if self._pace is not None and self._draft:
            self._pace.judged(len(self._draft), self._used)
        self._forget()
        began = perf_counter()
        seen = self._engine._cancels
        draft = self._propose(history, min(room, self._most))
        logits = sequence._look_ahead(np.array([token, *draft], np.int32), seen)
        self._steps += 1
        self._drafted += len(draft)
        if self._pace is not None:
            self._pace.took(len(draft), perf_counter() - began)
        self._draft, self._rows, self._used = draft, list(logits), 0
        return self._rows[0]

    def restart(self) -> None:
        """Forget what was computed ahead: the next token is computed with all that it sees."""
        self._forget()
        self._steps += 1

    def close(self) -> None:
        """Count what was not used, and free what the drafter holds."""
        self._forget()
        self._drafter.close()

    def _propose(self, history: TokenArray, most: int) -> list[int]:
        if self._pace is not None:
            most = self._pace.length(most)
        if most < 1:
            return []
        ids = []
        for token in self._drafter.propose(history, most)[:most]:
            if token in self._never or not 0 <= token < self._engine.vocab_size:
                break
            ids.append(int(token))
        return ids

    def _forget(self) -> None:
        self._rejected += len(self._draft) - self._used
        self._draft, self._rows, self._used = [], [], 0
