"""What a calibrated job costs, by which its progress is told and its time foretold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pocketr1 import checkpoint

__all__ = ["Work"]


@dataclass
class Work:
    """What a job costs, in multiplications as our engine does them packed.

    Those in full precision take about four times as long.
    """

    layer: int  # of a token in one layer
    head: int
    layers: int
    gram: int  # of a token, in one layer
    factors: int  # of one of four factors
    tokens: int
    gate_tokens: int
    equalizing_tokens: int
    done: int = 0

    @classmethod
    def of(
        cls, source: checkpoint.Checkpoint, tokens: int, gate_tokens: int, equalizing_tokens: int
    ) -> Work:
        spec = source.spec
        sizes = [
            math.prod(tensor.shape)
            for name, tensor in source.tensors.items()
            if name.startswith("layers.0.") and len(tensor.shape) == 2
        ]
        ffn = spec.layers[0].ffn_size
        inputs = (spec.hidden_size, spec.layers[0].heads * spec.head_dim, spec.hidden_size, ffn)
        return cls(
            layer=sum(sizes),
            head=spec.hidden_size * spec.vocab_size,
            layers=len(spec.layers),
            gram=sum(size * size for size in inputs) * 2,
            factors=sum(size**3 for size in inputs) // 3,
            tokens=tokens,
            gate_tokens=gate_tokens,
            equalizing_tokens=equalizing_tokens,
        )

    @property
    def full_layer(self) -> int:
        return 4 * self.layer

    @property
    def watched_layer(self) -> int:
        return self.full_layer + self.gram

    @property
    def reference(self) -> int:
        return self.layers * self.full_layer + 4 * self.head

    def gated(self, first: int) -> int:
        return self.layer * (self.layers - first) + self.head

    def before(self, number: int) -> int:
        """What is done when unit ``number`` begins."""
        prepared = self.equalizing_tokens * self.layers * self.full_layer
        if not number:
            return prepared
        layers = number * (
            self.tokens * (self.watched_layer + self.layer)
            + self.gate_tokens * self.layer
            + 4 * self.factors
        )
        gates = sum(self.gated(min(first, self.layers - 1)) for first in range(number))
        return prepared + layers + self.gate_tokens * (2 * gates + self.reference)

    @property
    def total(self) -> int:
        return self.before(self.layers) + 2 * self.gate_tokens * self.gated(self.layers - 1)
