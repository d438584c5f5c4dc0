"""Pocket R1 itself, on the terms of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pocketr1.bench.peers.peer import LoadOptions, Times

if TYPE_CHECKING:
    from pocketr1.engine import Generation

__all__ = ["Ours", "files", "find", "open", "versions"]


def find(directory: Path) -> list[Path]:
    """Return the bundles below ``directory``."""
    return sorted(path.parent for path in directory.glob("*/bundle.json"))


def files(model: Path) -> list[Path]:
    """Return every file of the bundle or checkpoint."""
    return sorted(path for path in model.rglob("*") if path.is_file())


def versions() -> dict[str, str]:
    """Return our version and numpy's."""
    import numpy as np

    from pocketr1 import __version__

    return {"pocketr1": __version__, "numpy": np.__version__}


class Ours:
    """One engine."""

    def __init__(self, model: Path, options: LoadOptions) -> None:
        from pocketr1.engine import load

        self._engine = load(
            model,
            threads=options.threads,
            max_context=options.context,
            kv_format=options.kv_format,
            isa=options.isa,
        )
        self.weight_bytes = self._engine.weight_bytes
        self.vocab_size = self._engine.vocab_size
        self.settings = {"isa": self._engine.isa, "kv": options.kv_format}

    def generate(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Continue the prompts; several by ``generate_many``."""
        return self._one(prompts[0], tokens) if len(prompts) == 1 else self._many(prompts, tokens)

    def _one(self, prompt: Sequence[int], tokens: int) -> Times:
        from pocketr1.engine import Sampling

        began = perf_counter()
        generation = self._engine.generate(
            prompt, Sampling(temperature=0.0), max_tokens=tokens, stop_token_ids=()
        )
        next(generation)
        first_s = perf_counter() - began
        for _ in generation:
            pass
        decode_s = perf_counter() - began - first_s
        if generation.reused_tokens:
            raise AssertionError("a prefix was reused")
        return Times(first_s, decode_s, (len(generation.token_ids),))

    def _many(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Prompts join in pieces, so that some have tokens before the last one has its first.

        Decoding is timed from there on; what was made before counts at the same speed.
        """
        from pocketr1.engine import Sampling

        first: set[int] = set()
        filled = 0.0
        before = 0

        def watch(generation: Generation) -> None:
            nonlocal filled, before
            if not filled:
                before += 1
                first.add(generation.index)
                if len(first) == len(prompts):
                    filled = perf_counter()

        began = perf_counter()
        completions = self._engine.generate_many(
            prompts,
            Sampling(temperature=0.0),
            max_tokens=tokens,
            stop_token_ids=(),
            batch=len(prompts),
            watch=watch,
        )
        counts = tuple(len(completion.token_ids) for completion in completions)
        ended = perf_counter()
        made = max(1, sum(counts) - before)
        decode_s = (ended - filled) * (sum(counts) - len(prompts)) / made
        return Times(filled - began, decode_s, counts)


def open(model: Path, options: LoadOptions) -> Ours:
    """Load a bundle or a checkpoint."""
    return Ours(model, options)
