"""Prompts, and what is asked of an engine with a store or without."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import pocketr1
from pocketr1.engine import KVStore, KVStoreOptions
from pocketr1.errors import EngineError

GREEDY = pocketr1.Sampling(temperature=0.0)


def prompt(seed: int, tokens: int = 300, same: int = 0) -> npt.NDArray[np.int32]:
    """Return random ids; the first ``same`` are those of every seed."""
    ids = np.random.default_rng(seed).integers(10, 200, tokens).astype(np.int32)
    ids[:same] = np.random.default_rng(0).integers(10, 200, same)
    return ids


@dataclass(frozen=True)
class Answer:
    """tokens: greedy. logits: behind the last of them, float32. restored: tokens."""

    tokens: tuple[int, ...]
    logits: bytes
    restored: int

    def same_as(self, other: Answer) -> bool:
        return self.tokens == other.tokens and self.logits == other.logits


def ask(engine: pocketr1.Engine, ids: npt.NDArray[np.int32], count: int = 6) -> Answer:
    with engine.sequence() as sequence:
        generation = engine.generate(
            ids, GREEDY, max_tokens=count, stop_token_ids=(), sequence=sequence
        )
        tokens = tuple(token.id for token in generation)
        logits = sequence.append([tokens[-1]])
    return Answer(tokens, logits.tobytes(), generation.restored_tokens)


def answers(
    ids: list[npt.NDArray[np.int32]],
    store: Path | KVStoreOptions | None = None,
    model: str = "tiny",
    **options: object,
) -> list[Answer]:
    """Load, ask, and close: a process of its own as far as the store sees."""
    with pocketr1.load(model, kv_store=store, **options) as engine:  # type: ignore[arg-type]
        return [ask(engine, each) for each in ids]


def always_pays() -> None:
    """Have the store used whatever the speeds are; for a process of its own."""
    setattr(KVStore, "pays", True)  # noqa: B010


class Told:
    """Collects notices."""

    def __init__(self) -> None:
        self.notices: list[EngineError] = []

    def __call__(self, notice: EngineError) -> None:
        self.notices.append(notice)

    @property
    def codes(self) -> list[str]:
        return [notice.code for notice in self.notices]


def change(store: Path, statement: str, *values: object) -> None:
    """Change a store behind the back of everybody."""
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute(statement, values).rowcount != 0
        connection.commit()
