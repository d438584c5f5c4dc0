"""One answer being generated."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from pocketr1.engine.constraint import Constraint
from pocketr1.engine.logprobs import TokenScore, score
from pocketr1.engine.sampling import Sampling
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.speculation import Lookahead, Speculated, Speculation
from pocketr1.engine.stop import StopMatcher
from pocketr1.engine.tokens import TokenArray, TokenIds, as_token_array
from pocketr1.engine.window import Window
from pocketr1.errors import CancelledError, ContextFullError, EngineError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pocketr1.engine.engine import Engine
    from pocketr1.engine.kvstore import Turn

__all__ = ["FINISH_REASONS", "Detokenizer", "Generation", "Request", "Token"]

#: Every value of ``Generation.finish_reason`` that is not ``None``:
#: ``stop`` an end-of-text token or a stop string; ``length`` max_tokens reached, or the context
#: full; ``cancelled`` ended by ``Engine.cancel``; ``closed`` abandoned by its reader.
FINISH_REASONS = ("stop", "length", "cancelled", "closed")


class Detokenizer(Protocol):
    """Turns token ids into text as they come; ``pocketr1.chat.IncrementalDetokenizer`` is one."""

    def feed(self, token_id: int) -> str:
        """Take one token, return the text it completes (possibly none)."""
        ...

    def finish(self) -> str:
        """Return what is still incomplete; the stream is over."""
        ...


@dataclass(frozen=True)
class Token:
    """One generated token: its id and, where a detokenizer was given, the text it releases."""

    id: int
    text: str = ""


@dataclass(frozen=True)
class Request:
    """What to generate: checked, complete, independent of the engine's state."""

    ids: TokenArray
    sampling: Sampling
    max_tokens: int | None
    stop_token_ids: Collection[int]
    index: int
    slide: bool = False


class Generation(Iterator[Token]):
    """An iterator over the generated tokens; made by :meth:`Engine.generate`.

    The end-of-text token that ends an answer is not yielded. Stopping early frees the pages: leave
    the ``with`` block, call :meth:`close`, or drop the last reference.

    finish_reason: ``None`` while running, then one of :data:`FINISH_REASONS`; already known when
        the last token is yielded for ``length`` and stop strings.
    context_full: whether it ended because the context is full (``length`` without max_tokens).
    slides: how often the oldest tokens were dropped and the others computed again.
    seed: the seed the random numbers are keyed by.
    prompt_tokens: length of the prompt; reused_tokens: how many of them a given sequence held;
        restored_tokens: how many more came from the K/V store.
    index: the number of the answer, which keys the random numbers beside the seed.
    token_ids: the ids yielded so far, given ones (:meth:`force`) among them.
    tail: text still held back when the last token came (possible stop string that was none,
        incomplete character); to be shown behind the last token's text.
    stop_string: the stop string that was found, or ``None``.
    prefill_seconds, decode_seconds: time spent computing, reading the tokens excluded.
    speculated: what came of drafting, or ``None`` where no speculation was asked for.
    constraint: what tokens that are drawn from now on must obey; may be set between two tokens.
        Without speculation only.
    top_logprobs: how many alternatives each token's score names; ``None`` keeps no scores.
    scores: a :class:`~pocketr1.engine.logprobs.TokenScore` for each of ``token_ids``.
    """

    def __init__(
        self,
        engine: Engine,
        request: Request,
        sequence: Sequence | None,
        stop: Iterable[str],
        detokenizer: Detokenizer | None,
        speculation: Speculation | None = None,
    ) -> None:
        sampling = request.sampling.seeded()
        assert sampling.seed is not None
        self.finish_reason: str | None = None
        self.context_full = False
        self.slides = 0
        self.seed: int = sampling.seed
        self.prompt_tokens = len(request.ids)
        self.reused_tokens = self.restored_tokens = 0
        self.index = request.index
        self.token_ids: list[int] = []
        self.tail = ""
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0
        self.constraint: Constraint | None = None
        self.top_logprobs: int | None = None
        self.scores: list[TokenScore] = []
        self._engine = engine
        self._request = request
        self._sampling = sampling
        self._own_sequence = sequence is None
        self._sequence = sequence
        self._stop = StopMatcher(stop)
        self._detokenizer = detokenizer
        self._turn: Turn | None = None
        self._lookahead: Lookahead | None = None
        if speculation is not None:
            self._lookahead = Lookahead(
                engine, speculation, sampling, request.index, request.stop_token_ids
            )
        self._cancels_seen = engine._cancels
        # Prompt and answer, as the repetition penalty sees them; grows by doubling.
        self._history = np.array(request.ids, dtype=np.int32)
        self._length = self.prompt_tokens
        # Tokens that come next whatever the model would write.
        self._forced: deque[int] = deque()
        self._window = Window(engine.max_context, self.prompt_tokens)
        # Tokens of the text that the sequence does not hold any more.
        self._dropped = 0

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the text, or ``None``."""
        return self._stop.stopped

    @property
    def speculated(self) -> Speculated | None:
        """The counts of speculation so far."""
        return None if self._lookahead is None else self._lookahead.counts

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Token:
        if self.finish_reason is not None:
            raise StopIteration
        try:
            token = self._next()
        except CancelledError:
            self._end("cancelled")
            raise StopIteration from None
        except BaseException:
            self._turn = None
            self._end("closed")
            raise
        if token is None:
            raise StopIteration
        return token

    def force(self, ids: TokenIds) -> None:
        """Let ``ids`` come next, behind those given before, in place of what would be drawn.

        They are yielded, computed and counted as any token: ``max_tokens``, stop strings and
        end-of-text tokens hold for them too. No random number is used up, so that the tokens behind
        are drawn as they would be behind the same text. Without effect when it has ended.

        Raises UsageError for bad ids.
        """
        self._forced.extend(as_token_array(ids, self._engine.vocab_size).tolist())

    @property
    def is_forced(self) -> bool:
        """Whether given tokens are still to come."""
        return bool(self._forced)

    def close(self) -> None:
        """End the generation and free what it holds; harmless when it has ended."""
        if self.finish_reason is None:
            self._end("closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next(self) -> Token | None:
        self._engine._check_usable()
        if self._engine._cancels != self._cancels_seen:
            raise CancelledError("cancelled")
        return self._take(self._decode() if self.token_ids else self._prefill())

    def _take(self, logits: npt.NDArray[np.float32]) -> Token | None:
        """Draw the token that follows and see whether it is the last; ``None`` ends the text."""
        given = bool(self._forced)
        token = self._forced.popleft() if given else self._sample(logits)
        if token in self._request.stop_token_ids:
            self._end("stop")
            return None
        if self.constraint is not None and not given:
            self.constraint.accept(token)
        if self.top_logprobs is not None:
            self.scores.append(score(logits, token, self.top_logprobs))
        self.token_ids.append(token)
        self._remember(token)
        text = ""
        if self._detokenizer is not None:
            text = self._stop.push(self._detokenizer.feed(token))
        whole = self.constraint is not None and not given and self.constraint.must_end
        if self._stop.stopped is not None or whole:
            self._end("stop")
        elif len(self.token_ids) == self._request.max_tokens:
            self._end("length")
        elif self._length > self._engine.max_context and not self._request.slide:
            self.context_full = True
            self._end("length")
        return Token(token, text)

    def _prefill(self) -> npt.NDArray[np.float32]:
        began = perf_counter()
        if self._sequence is None:
            self._sequence = self._engine.sequence()
        rest, turn = self._begin()
        restored = perf_counter()
        logits = self._sequence._append(rest)
        self.prefill_seconds = perf_counter() - began
        if turn is not None:
            turn.computed(len(rest), perf_counter() - restored)
            self._turn = turn
        return logits

    def _begin(self) -> tuple[TokenArray, Turn | None]:
        """Keep of the sequence what it shares with the text, and restore what the store has of it.

        Returns what of the text is still to be computed, at least its last token, and what the
        store is to do with the prompt.
        """
        sequence = self._sequence
        assert sequence is not None
        first = not self.token_ids
        if first and self._request.slide:
            self._dropped = self._window.dropped(self.prompt_tokens)
        seen = self._seen
        sequence._claim(self)
        if len(seen) > self._engine.max_context:
            raise ContextFullError(
                "context-too-long", tokens=len(seen), limit=self._engine.max_context
            )
        # The last token is always computed: its logits are what is asked for.
        reused = held = min(common_prefix(sequence._tokens, seen), len(seen) - 1)
        sequence._truncate(reused)
        turn = None
        if first or not self._dropped:
            prompt = seen[: self.prompt_tokens]
            turn = self._engine._store_turn(sequence, prompt)
        if turn is not None:
            held = turn.restore(held, self._cancels_seen)
        if first:
            self.reused_tokens = min(reused, held)
            self.restored_tokens = held - self.reused_tokens
        return seen[held:], turn

    @property
    def _seen(self) -> TokenArray:
        """The text so far, without what the model does not see any more."""
        text = self._history[: self._length]
        if not self._dropped:
            return text
        first = self._window.first
        return np.concatenate([text[:first], text[first + self._dropped :]])

    def _decode(self) -> npt.NDArray[np.float32]:
        began = perf_counter()
        sequence = self._sequence
        assert sequence is not None
        if sequence._closed:
            raise EngineError("sequence-closed")
        if sequence._user is not self:
            raise EngineError("sequence-taken")
        if self._turn is not None:
            self._turn.step()
        if self._must_slide:
            logits = self._slide()
        elif self._lookahead is None:
            logits = sequence._append(self._history[self._length - 1 : self._length])
        else:
            history = self._history[: self._length]
            logits = self._lookahead.logits(sequence, history, self._room())
        self.decode_seconds += perf_counter() - began
        return logits

    @property
    def _must_slide(self) -> bool:
        """Whether the last token does not fit behind what the sequence holds."""
        return self._length - self._dropped > self._engine.max_context

    def _slide(self) -> npt.NDArray[np.float32]:
        """Compute what is still seen of the text anew; return the last token's logits, (vocab,)."""
        sequence = self._sequence
        assert sequence is not None
        if self._lookahead is not None:
            self._lookahead.restart()
        newest = self._forget_oldest()
        sequence._restore(len(sequence))
        sequence._truncate(self._window.first)
        return sequence._append(newest)

    def _forget_oldest(self) -> TokenArray:
        """Give up tokens until the last one fits; return what is to stand behind the first ones."""
        if self._turn is not None:
            self._turn.finish()  # the prompt's pages are about to go
            self._turn = None
        self._dropped = self._window.dropped(self._length)
        self.slides += 1
        return self._history[self._window.first + self._dropped : self._length]

    def _room(self) -> int:
        """Return how many more rows of logits may be of use behind the last token's."""
        room = self._engine.max_context - (self._length - self._dropped)
        if self._request.max_tokens is None:
            return room
        return min(room, self._request.max_tokens - len(self.token_ids) - 1)

    def _sample(self, logits: npt.NDArray[np.float32]) -> int:
        history = self._history[: self._length]
        if self.constraint is not None:
            logits = allowed(self.constraint, logits)
        return self._engine._draw(
            logits, history, self._sampling, index=self._request.index, position=self._length
        )

    def _remember(self, token: int) -> None:
        if self._length == len(self._history):
            grown = np.empty(2 * self._length + 64, dtype=np.int32)
            grown[: self._length] = self._history
            self._history = grown
        self._history[self._length] = token
        self._length += 1

    def _end(self, reason: str) -> None:
        self.finish_reason = reason
        if self._detokenizer is not None and self._stop.stopped is None and reason != "closed":
            self.tail = self._stop.push(self._detokenizer.finish()) + self._stop.finish()
        if self._lookahead is not None:
            self._lookahead.close()
        if self._turn is not None and self._engine._may_read(self._sequence, self):
            self._turn.finish()
        self._turn = None
        if self._own_sequence and self._sequence is not None:
            self._sequence.close()
            self._sequence = None


def allowed(constraint: Constraint, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the logits of what may come next, ``-inf`` for the others, shape (vocab,).

    Raises EngineError (``constraint-nothing``) where nothing may.
    """
    logits = logits.copy()
    constraint.mask(logits)
    if not (logits > -np.inf).any():
        raise EngineError("constraint-nothing")
    return logits


def common_prefix(tokens: list[int], ids: TokenArray) -> int:
    """Return how many tokens the two begin with in common."""
    shared = min(len(tokens), len(ids))
    return shared_prefix(np.asarray(tokens[:shared], dtype=np.int32), ids)


def shared_prefix(one: TokenArray, other: TokenArray) -> int:
    """Return how many tokens the two arrays begin with in common."""
    shared = min(len(one), len(other))
    different = one[:shared] != other[:shared]
    place = int(different.argmax()) if shared else 0
    return place if shared and different[place] else shared
