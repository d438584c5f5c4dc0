"""A session in numpy with the core's contract, for what only the facade decides.

Its logits depend on every token of the prefix, so a wrong position, a lost token or a stale prefix
shows in the result. Work can be held in the middle of a step to test cancelling and threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pocketr1.errors import CancelledError

VOCAB = 17
END = 5

SPEC = {
    "architecture": "qwen2",
    "hidden_size": 8,
    "vocab_size": VOCAB,
    "head_dim": 4,
    "rms_norm_eps": 1e-6,
    "max_positions": 64,
    "tied_embeddings": False,
    "attention_bias": True,
    "output_bias": False,
    "mlp_bias": False,
    "qk_norm": False,
    "rope": {"inv_freq": [1.0, 0.01], "attention_scaling": 1.0},
    "layers": [{"heads": 2, "kv_heads": 1, "ffn_size": 16}],
    "bos_token_id": 0,
    "eos_token_ids": [END],
}


def prefix_logits(prefix: list[int]) -> npt.NDArray[np.float32]:
    """Return the toy's logits behind ``prefix``, shape (VOCAB,)."""
    seed = np.random.SeedSequence([len(prefix), *prefix])
    return np.random.default_rng(seed).standard_normal(VOCAB).astype(np.float32)


class ToyModel:
    def __init__(self) -> None:
        self.spec_json = json.dumps(SPEC)
        self.weight_bytes = 1234
        self.adapters: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = {}

    def set_adapter(
        self, tensor: str, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
    ) -> None:
        self.adapters[tensor] = (a, b)

    def clear_adapter(self, tensor: str) -> None:
        del self.adapters[tensor]


class ToySession:
    isa = "scalar"
    page_bytes = 64

    def __init__(self, max_context: int = 48, threads: int = 1) -> None:
        self.max_context = max_context
        self.threads = self.active_threads = threads
        self.sequences: dict[int, list[int]] = {}
        self.rows_computed = 0
        self.step_sizes: list[int] = []
        self.before_step: Callable[[], None] | None = None
        self._next = 0
        self._cancelled = threading.Event()

    @property
    def kv_bytes(self) -> int:
        return sum(len(tokens) for tokens in self.sequences.values())

    def create_sequence(self) -> int:
        self._next += 1
        self.sequences[self._next] = []
        return self._next

    def fork_sequence(self, sequence: int, length: int) -> int:
        fork = self.create_sequence()
        self.sequences[fork] = self.sequences[sequence][:length]
        return fork

    def trim_pages(self) -> int:
        return 0

    def free_sequence(self, sequence: int) -> None:
        del self.sequences[sequence]

    def length(self, sequence: int) -> int:
        return len(self.sequences[sequence])

    def truncate(self, sequence: int, length: int) -> None:
        del self.sequences[sequence][length:]

    def set_threads(self, threads: int) -> None:
        assert 1 <= threads <= self.threads
        self.active_threads = threads

    def cancel(self) -> None:
        self._cancelled.set()

    def step(self, sequence, position, token, logits_for, *, embeddings=None, hook=None):  # type: ignore[no-untyped-def]
        if self.before_step is not None:
            self.before_step()
        # As the core has it: a cancel is kept for the next step, and one step consumes it.
        if self._cancelled.is_set():
            self._cancelled.clear()
            raise CancelledError("cancelled", where="step", reason="cancelled by the caller")
        rows = []
        for one, place, item in zip(sequence, position, token, strict=True):
            tokens = self.sequences[int(one)]
            assert place == len(tokens), "positions continue where the sequence ends"
            assert place < self.max_context
            tokens.append(int(item))
            rows.append(prefix_logits(tokens))
        self.rows_computed += len(rows)
        self.step_sizes.append(len(rows))
        if hook is not None:
            hook("layers.0.q.weight", np.zeros((len(rows), 8), np.float32))
        return np.stack([rows[i] for i in logits_for] or [np.empty(VOCAB, np.float32)])[
            : len(logits_for)
        ]

    def sample(self, logits, history, *, temperature, seed, index, position, **rest):  # type: ignore[no-untyped-def]
        assert position == len(history)
        if temperature == 0:
            return int(np.argmax(logits))
        return int(np.random.default_rng([seed, index, position]).integers(VOCAB))
