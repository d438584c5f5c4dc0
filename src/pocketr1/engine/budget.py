"""A memory budget: what of a model stays resident in it, what is streamed, and how fast that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pocketr1.arch import ModelSpec
from pocketr1.errors import UsageError
from pocketr1.machine import Root, find_memory, parse_size, rss_bytes

__all__ = ["AUTO_RESERVE", "MemoryPlan", "Needs", "Streaming", "budget_bytes", "make_plan"]

#: What ``auto`` leaves to others, in bytes: more than a Governor's threshold, or the least pressure
#: would take weights back that were just read.
AUTO_RESERVE = 640 * 10**6

_PAGE_TOKENS = 64  # tokens of a K/V page
_ROWS = 256  # rows that go through the layers together (Decoder::kRowsAtOnce)
# Bytes for each entry: 151,936 took 57 to 64 MB when loaded, merges or none. What parsing takes
# beyond that is given back before a step needs its scratch.
_TOKENIZER_ENTRY = 430
# Page tables, stacks, and what the process takes while it answers, by its resident set.
_MARGIN = 12 * 10**6
# Of a K/V store: pages on their way to it and copies of the one that is written, and what SQLite
# keeps for its two connections.
_STORE_PAGES = 5
_STORE = 4 * 10**6
# The process may have grown by so much when the smallest budget is tried.
_SLACK = 8 * 10**6
_SHORTEST_CONTEXT = 256  # tokens; less is not worth advising
_STEP = 10**6  # budgets are named in whole megabytes


@dataclass(frozen=True)
class MemoryPlan:
    """A budget and what it goes to, all in bytes.

    process: interpreter, libraries and tokenizer, by this process's resident set, and what a K/V
    store takes; kv: pages of one
    sequence of ``max_context`` tokens; scratch: activations of a step of 256 rows, logits,
    sampling; ring: buffers that weights are streamed through; resident: weights kept in memory;
    streamed: weights read for every token, or for up to 256 tokens of a prompt; looked_up: an
    embedding of which each token's row is read; smallest: the smallest budget that works.
    """

    budget: int
    max_context: int
    kv_format: str
    process: int
    kv: int
    scratch: int
    ring: int
    resident: int
    streamed: int
    looked_up: int
    smallest: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Streaming:
    """How a model's weights come, in bytes.

    resident: kept in memory now; streamed: read for a token; storage_speed: bytes per second that
    their storage gave when the model was loaded or, where that is more, while it was streamed;
    direct: past the page cache.
    """

    resident: int
    streamed: int
    storage_speed: float
    direct: bool

    @property
    def read_bound(self) -> float | None:
        """Tokens per second that storage allows; ``None`` where nothing is streamed."""
        return self.storage_speed / self.streamed if self.streamed else None


@dataclass(frozen=True)
class Needs:
    """What a plan is made of. weights: bytes a token goes through; page_bytes: of 64 tokens.

    tiled: whether all these weights are, so that products need no floats. kv_store: whether a K/V
    store is kept.
    """

    spec: ModelSpec
    weights: int
    ring: int
    tiled: bool
    looked_up: int
    page_bytes: int
    max_context: int
    kv_format: str
    threads: int
    directory: Path
    kv_store: bool = False


def budget_bytes(budget: object, smallest: int) -> int:
    """Return the bytes of a budget: a number, text such as ``700MB``, or ``auto``.

    ``auto`` is what the control groups and the system's available memory allow this process, less
    AUTO_RESERVE; where that is too little it is ``smallest``, the smallest that works.
    Raises UsageError (``budget-value``, ``budget-auto`` where no limit is known).
    """
    if budget == "auto":
        available = find_memory(Root()).available
        if available is None:
            raise UsageError("budget-auto")
        return max(available + rss_bytes() - AUTO_RESERVE, smallest)
    size = parse_size(budget) if isinstance(budget, str) else budget
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError("budget-value", value=budget)
    return size


def make_plan(budget: object, needs: Needs) -> MemoryPlan:
    """Share ``budget`` out.

    Raises UsageError: ``budget-value``, ``budget-auto``; ``budget-too-small`` with the smallest
    that works, ``budget-context`` where a shorter context or INT8 keys and values would do.
    """
    process = rss_bytes() + _MARGIN
    if (needs.directory / "tokenizer.json").is_file():
        process += _TOKENIZER_ENTRY * needs.spec.vocab_size
    if needs.kv_store:
        process += _STORE + _STORE_PAGES * needs.page_bytes
    scratch = _scratch(needs)
    kv = _kv(needs.page_bytes, needs.max_context)
    fixed = process + scratch
    stream = min(needs.ring, needs.weights)

    def smallest(kv_bytes: int) -> int:
        return -(-(fixed + kv_bytes + stream + _SLACK) // _STEP) * _STEP

    size = budget_bytes(budget, smallest(kv))
    room = size - fixed - kv
    if room < stream:
        raise _refusal(size, needs, smallest(kv), size - fixed - stream - _SLACK)
    whole = room >= needs.weights
    resident = needs.weights if whole else min(room - needs.ring, needs.weights)
    return MemoryPlan(
        budget=size,
        max_context=needs.max_context,
        kv_format=needs.kv_format,
        process=process,
        kv=kv,
        scratch=scratch,
        ring=0 if whole else needs.ring,
        resident=max(resident, 0),
        streamed=needs.weights - max(resident, 0),
        looked_up=needs.looked_up,
        smallest=smallest(kv),
    )


def _refusal(size: int, needs: Needs, smallest: int, left_for_kv: int) -> UsageError:
    """Return the error, with what would fit instead."""
    sizes = {"budget": _megabytes(size), "smallest": _megabytes(smallest)}
    context = min(left_for_kv // needs.page_bytes * _PAGE_TOKENS, needs.max_context)
    shared = {"f32": 17 / 64, "f16": 34 / 64}.get(needs.kv_format)
    int8 = 0
    if shared is not None:
        pages = int(left_for_kv / (needs.page_bytes * shared))
        int8 = min(pages * _PAGE_TOKENS, needs.max_context)
    if max(context, int8) < _SHORTEST_CONTEXT:
        return UsageError("budget-too-small", **sizes)
    if int8 <= context:
        return UsageError("budget-context", context=context, **sizes)
    return UsageError("budget-context-int8", context=max(context, 0), int8=int8, **sizes)


def _megabytes(size: int) -> str:
    """Return a size as the option takes it, rounded up: 701MB."""
    return f"{-(-size // _STEP)}MB"


def _kv(page_bytes: int, tokens: int) -> int:
    return -(-tokens // _PAGE_TOKENS) * page_bytes


def _scratch(needs: Needs) -> int:
    """Return the bytes of a step's activations, of logits and of what sampling sorts.

    Floats of the residual stream, of queries, keys, values, attention, and, where a matrix is
    row-major, of the gated product; int8 copies with their scales and sums; partial sums
    of attention: of a tile of rows for each thread, or of every part of a long context.
    """
    spec, threads, tokens = needs.spec, needs.threads, needs.max_context
    hidden = spec.hidden_size
    total = 0
    for layer in spec.layers:
        heads = layer.heads * spec.head_dim
        kv = layer.kv_heads * spec.head_dim
        floats = 3 * hidden + 2 * heads + 2 * kv + spec.head_dim
        floats += 0 if needs.tiled else layer.ffn_size
        codes = 1.2 * (max(hidden, heads) + layer.ffn_size + 256)
        work = threads * 2 * 128 * 4 * _ROWS
        partial = 4 * (heads + 2 * layer.heads) * max(threads * 34, tokens // 64 + 1)
        total = max(total, int(_ROWS * (4 * floats + codes) + work + partial))
    return total + 40 * spec.vocab_size + 64 * 1024 * threads


def describe(streaming: Streaming, reached: float | None) -> Mapping[str, Any]:
    """Return the figures of a streamed model for JSON; ``reached`` in tokens per second."""
    bound = streaming.read_bound
    return {
        "resident_bytes": streaming.resident,
        "streamed_bytes_per_token": streaming.streamed,
        "storage_bytes_s": streaming.storage_speed,
        "direct": streaming.direct,
        "read_bound_tok_s": bound,
        "reached_tok_s": reached,
        "share": None if bound is None or reached is None else reached / bound,
    }
