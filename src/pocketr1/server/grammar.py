"""Answers that match a JSON Schema, through llguidance.

A schema is compiled to a grammar once, off the event loop; each reply walks its own copy of the
grammar's state. The library's limits stand between a hostile schema and the machine: what is too
large to compile is refused, what becomes too complex on the way ends the reply with an error.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pocketr1.engine.constraint import Constraint
from pocketr1.errors import EngineError
from pocketr1.server.errors import RequestError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

__all__ = ["Grammar", "Grammars"]

_MAX_SCHEMA_CHARS = 128 << 10
_KEPT = 16
# A blank, or a new line and its indentation: all that JSON as people write it needs. Without a
# bound a weak model can go on with blanks for ever and still match.
_OPTIONS = {
    "whitespace_flexible": True,
    "whitespace_pattern": r"(?:\x20|\x0A[\x20\x09]{0,24})",
    "coerce_one_of": False,
    "lenient": False,
}
_LIMITS = {
    "max_items_in_row": 1_000,
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}


class Grammars:
    """Compiles schemas for one model.

    tokenizer: its ``tokenizer.json``. eos_ids: its end-of-text tokens. vocab_size: the length of
    its logits. The last few grammars are kept, so that a schema sent with each request costs once.
    """

    def __init__(self, tokenizer: Path, eos_ids: Sequence[int], vocab_size: int) -> None:
        self._path = tokenizer
        self._eos_ids = list(eos_ids)
        self._vocab_size = vocab_size
        self._tokenizer: LLTokenizer | None = None
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        # One at a time: the library's own threads and memory are the limit, not ours.
        self._lock = asyncio.Lock()

    async def compile(self, schema: Mapping[str, Any]) -> Grammar:
        """Return the grammar of a JSON Schema.

        Raises RequestError: ``grammar-extra`` (llguidance is not installed), ``grammar-schema``
        (it is no schema, asks for what the library cannot do, matches nothing, or is too large).
        """
        text = json.dumps(schema)
        if len(text) > _MAX_SCHEMA_CHARS:
            reason = f"{len(text)} > {_MAX_SCHEMA_CHARS}"
            raise RequestError("grammar-schema", param="response_format", reason=reason)
        async with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
            else:
                self._kept[text] = await asyncio.to_thread(self._compile, text)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[text]

    def _compile(self, schema: str) -> Grammar:
        try:
            from llguidance import LLMatcher, LLParserLimits, LLTokenizer
        except ImportError as error:
            raise RequestError("grammar-extra", param="response_format") from error
        if self._tokenizer is None:
            self._tokenizer = LLTokenizer(
                self._path.read_text("utf-8"), n_vocab=self._vocab_size, eos_token=self._eos_ids
            )
        try:
            source = LLMatcher.grammar_from_json_schema(schema, overrides=_OPTIONS)
            matcher = LLMatcher(
                self._tokenizer, source, log_level=0, limits=LLParserLimits(**_LIMITS)
            )
            # The first step finds out what compiling alone does not: a recursion without an end.
            if not matcher.is_error():
                matcher.compute_bitmask()
            reason = matcher.get_error() if matcher.is_error() else ""
        except ValueError as error:
            reason = str(error)
        if reason:
            known = RequestError("grammar-schema", param="response_format", reason=_short(reason))
            raise known
        return Grammar(matcher, self._vocab_size)


class Grammar:
    """A compiled schema."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def constraint(self) -> Constraint:
        """Return the state of one more reply, at its beginning."""
        return _State(self._matcher.deep_copy(), self._vocab_size)


class _State:
    """A :class:`~pocketr1.engine.constraint.Constraint`: where one reply stands in the grammar."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        allowed = np.unpackbits(bits, count=self._vocab_size, bitorder="little")
        logits[: self._vocab_size][allowed == 0] = -np.inf
        logits[self._vocab_size :] = -np.inf

    def accept(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    @property
    def must_end(self) -> bool:
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError("grammar-failed", reason=_short(self._matcher.get_error()))


def _short(reason: str) -> str:
    for mark in ("<state>", "<non-verbose/>"):
        reason = reason.partition(mark)[0]
    return " ".join(reason.split())[:300]
