"""Runs a checkpoint through the core, and compares with what an oracle computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, checkpoint

Ids = NDArray[Any]
Logits = NDArray[np.float32]

# Stated and explained in tests/golden/README.md.
BOUND_FACTOR = 3.0
FLOAT32_EPS = float(np.finfo(np.float32).eps)


def bound(oracle_error: float, logits: NDArray[Any]) -> float:
    """Return how far our float32 logits may lie from the float64 ones.

    Args:
        oracle_error: the largest error of the oracle's own float32 logits.
        logits: the float64 ones; the largest sets the scale.
    """
    return BOUND_FACTOR * max(oracle_error, FLOAT32_EPS * float(np.abs(logits).max()))


@dataclass
class Run:
    """One sequence in one session with float32 K/V: the engine as full precision has it."""

    session: _core.Session
    sequence: int
    length: int = 0

    def feed(self, ids: Ids, keep: Ids | None = None) -> Logits:
        """Append tokens in one step; return the logits of the kept ones (all by default)."""
        count = len(ids)
        rows = np.arange(count) if keep is None else keep
        out = self.session.step(
            np.full(count, self.sequence, np.int32),
            np.arange(self.length, self.length + count, dtype=np.int32),
            ids.astype(np.int32),
            rows.astype(np.int32),
        )
        self.length += count
        return np.array(out)


def start(directory: Path, max_context: int, threads: int = 1, **session: Any) -> Run:
    """Open a checkpoint directory for one sequence."""
    model = _core.Model.open_checkpoint(*checkpoint.open(directory).core_arguments())
    opened = _core.Session(
        model, threads=threads, max_context=max_context, **{"kv_format": "f32", **session}
    )
    return Run(opened, opened.create_sequence())


def logits_in_chunks(run: Run, ids: Ids, sizes: list[int], keep: Ids | None = None) -> Logits:
    """Feed ids in chunks of the given sizes, over and over; return logits of the kept positions."""
    rows, start_at, turn = [], 0, 0
    wanted = np.arange(len(ids)) if keep is None else keep
    while start_at < len(ids):
        end = min(start_at + sizes[turn % len(sizes)], len(ids))
        here = wanted[(wanted >= start_at) & (wanted < end)] - start_at
        rows.append(run.feed(ids[start_at:end], here))
        start_at, turn = end, turn + 1
    return np.concatenate(rows)


def greedy(run: Run, prompt: Ids, count: int) -> list[int]:
    """Return the ``count`` most likely tokens, one after another."""
    row = run.feed(prompt, np.array([len(prompt) - 1]))[0]
    tokens = [int(row.argmax())]
    while len(tokens) < count:
        tokens.append(int(run.feed(np.array(tokens[-1:]))[0].argmax()))
    return tokens
