"""Rotary embedding as GGUF says it: base and rule, found again from the frequencies.

A model's spec holds resolved frequencies, not the rule that gave them. GGUF has room for a base,
for YaRN, and (in Llama models) for one factor per frequency. Each candidate is resolved anew and
counts only where it gives the model's frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.arch import ModelSpec
from pocketr1.arch.config import Config
from pocketr1.arch.rope import rope_spec
from pocketr1.errors import CheckpointError, CompressionError

__all__ = ["RopeRule", "find_rule"]

# Two roundings of float32: of a factor, and of the quotient by it.
_TOLERANCE = 3e-7


@dataclass(frozen=True)
class RopeRule:
    """theta: the base. factors: what the frequencies are divided by, (head_dim / 2,) float32."""

    theta: float
    factors: NDArray[np.float32] | None = None
    yarn_factor: float | None = None
    original_positions: int | None = None
    attention_factor: float = 1.0  # beside the one YaRN recommends


def find_rule(spec: ModelSpec) -> RopeRule:
    """Return a rule that gives the spec's rotary embedding.

    Raises:
        CompressionError: ``export-gguf-rope`` where none does.
    """
    wanted = np.array(spec.rope.inv_freq, np.float32)
    bases = list(_bases(wanted, spec.head_dim))
    if spec.rope.attention_scaling == 1:
        for theta in bases:
            if _close(_frequencies(spec, {"rope_theta": theta}), wanted):
                return RopeRule(theta)
    for theta in bases:
        rule = _yarn(spec, theta, wanted)
        if rule is not None:
            return rule
    if spec.architecture == "llama" and spec.rope.attention_scaling == 1:
        for theta in bases:
            base = _frequencies(spec, {"rope_theta": theta})
            if base is not None and base[0] == wanted[0] and (base >= wanted).all():
                return RopeRule(theta, factors=(base / wanted).astype(np.float32))
    raise CompressionError("export-gguf-rope")


def _bases(wanted: NDArray[np.float32], head_dim: int) -> Iterator[float]:
    """Yield bases that some frequency may stem from, round ones and likely ones first."""
    seen = set()
    exact = wanted.astype(np.float64)
    # Later frequencies tell the base better, but are those that scaling changes.
    indices = sorted(range(1, len(wanted)), key=lambda i: (i != len(wanted) - 1, i))
    for digits in (2, 3, 4, 5, 6, 7, 9):
        for index in indices:
            if not exact[index] > 0:
                continue
            theta = float(exact[index] ** (-head_dim / (2 * index)))
            if not 1 < theta < 1e12:
                continue
            rounded = float(f"{theta:.{digits - 1}e}")
            if rounded not in seen and abs(rounded / theta - 1) < 1e-5:
                seen.add(rounded)
                yield rounded


def _yarn(spec: ModelSpec, theta: float, wanted: NDArray[np.float32]) -> RopeRule | None:
    base = _frequencies(spec, {"rope_theta": theta})
    if base is None or len(wanted) < 2 or not wanted[-1] > 0:
        return None
    factor = float(f"{float(base[-1]) / float(wanted[-1]):.5g}")
    if not factor > 1:
        return None
    lengths = [round(spec.max_positions / factor), spec.max_positions]
    lengths += [2**power for power in range(8, 21)]
    for length in lengths:
        scaling: dict[str, Any] = {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": length,
        }
        if _close(_frequencies(spec, {"rope_theta": theta, "rope_scaling": scaling}), wanted):
            recommended = 1 + 0.1 * np.log(factor)
            attention = float(spec.rope.attention_scaling / recommended)
            if abs(attention - 1) < 1e-6:
                attention = 1.0
            return RopeRule(theta, None, factor, length, attention)
    return None


def _frequencies(spec: ModelSpec, values: dict[str, Any]) -> NDArray[np.float32] | None:
    try:
        rope = rope_spec(Config(values, Path()), spec.head_dim, spec.max_positions)
    except CheckpointError:
        return None
    return np.array(rope.inv_freq, np.float32)


def _close(found: NDArray[np.float32] | None, wanted: NDArray[np.float32]) -> bool:
    return found is not None and bool((np.abs(found - wanted) <= _TOLERANCE * wanted).all())
