"""Scale channels so that a layer is easier to quantize and computes the same.

What one matrix writes and another reads may be divided by any positive factor per channel in the
one and multiplied in the other. Where a few channels are far larger than the rest, as in all large
models, this takes the burden from the int8 activations and from the weights that share a scale with
them. Xiao et al., SmoothQuant, 2022, section 4 (the factors below); Lin et al., AWQ, 2023, section
3.2 (that they help weights too, and are searched by measured error).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketr1.arch import LayerSpec
from pocketr1.compress.gptq import rounding_error

__all__ = ["READERS", "LayerFactors", "equalize_layer", "equalize_norm", "key_factors"]

#: How the burden is shared between activations and weights: factors are
#: (activation RMS)^a / (weight RMS)^(1 - a); None leaves the channels as they are.
_SHARES = (None, 0.25, 0.5, 0.75)
_ACTIVATION_GROUP = 128  # that shares an int8 scale
_PEAK = 4.0  # the largest activation of a group, in RMS of its strongest channel, as seen
_SAMPLED_ROWS = 512  # of each matrix, by which factors are judged

Array = NDArray[np.float32]

#: What reads the same inputs, by the first of them.
READERS = {"q": ("q", "k", "v"), "o": ("o",), "gate": ("gate", "up"), "down": ("down",)}


@dataclass(frozen=True)
class LayerFactors:
    """By what the channels of one layer are scaled.

    inputs: of what ``q``, ``o``, ``gate`` and ``down`` read: float32 (inputs,), what columns are
        multiplied by.
    keys: float32 (key heads * channels,), what key rows are divided by.
    shares: of ``inputs``, how each was chosen.
    """

    inputs: Mapping[str, Array]
    keys: Array
    shares: Mapping[str, float | None]

    def apply(self, tensors: MutableMapping[str, Array], layer: LayerSpec) -> None:
        """Scale a layer's tensors, float32 by short name (``q.weight``)."""
        _divide_rows(tensors, "k", self.keys)
        shape = (layer.kv_heads, layer.heads // layer.kv_heads, -1)
        repeated = np.repeat(self.keys.reshape(layer.kv_heads, 1, -1), shape[1], axis=1)
        _divide_rows(tensors, "q", (1 / repeated.reshape(-1)).astype(np.float32))
        for reads, gain, readers in (
            ("q", "attn_norm.weight", ("q", "k", "v")),
            ("gate", "mlp_norm.weight", ("gate", "up")),
        ):
            tensors[gain] = tensors[gain] / self.inputs[reads]
            for reader in readers:
                tensors[f"{reader}.weight"] = tensors[f"{reader}.weight"] * self.inputs[reads]
        _divide_rows(tensors, "up", self.inputs["down"])
        tensors["down.weight"] = tensors["down.weight"] * self.inputs["down"]
        # Query heads that share a value head read the same values.
        _divide_rows(tensors, "v", self.inputs["o"].reshape(shape)[:, 0].reshape(-1))
        tensors["o.weight"] = tensors["o.weight"] * self.inputs["o"]


def equalize_layer(
    tensors: Mapping[str, Array],
    formats: Mapping[str, str],
    energies: Mapping[str, Array],
    layer: LayerSpec,
    keys: Array,
    threads: int,
) -> LayerFactors:
    """Choose factors for the channels of one layer by the error of its outputs.

    Args:
        tensors: the layer's, float32, by short name (``q.weight``).
        formats: of the matrices, by short name.
        energies: mean squares of what ``q``, ``o``, ``gate`` and ``down`` read, float32 (inputs,).
        layer: its sizes.
        keys: see :func:`key_factors`.
        threads: for quantizing.
    """
    inputs, shares = {}, {}
    # Query heads that share a value head share factors.
    heads = (layer.kv_heads, layer.heads // layer.kv_heads, -1)
    for reads, readers in READERS.items():
        names = [f"{reader}.weight" for reader in readers]
        shares[reads], inputs[reads] = _search(
            tensors, formats, energies[reads], names, threads, heads if reads == "o" else None
        )
    return LayerFactors(inputs, keys, shares)


def equalize_norm(
    weights: Array, weight_format: str, energy: Array, threads: int
) -> tuple[float | None, Array]:
    """Choose between a norm and the one matrix behind it: the share, and the columns' factors.

    The norm's gain is to be divided by the factors. ``weights`` are some rows of the matrix,
    float32, by which they are judged.
    """
    return _search({"weight": weights}, {"weight": weight_format}, energy, ["weight"], threads)


def key_factors(
    tensors: Mapping[str, Array], gram: Array | None, layer: LayerSpec, head_dim: int
) -> Array:
    """Return what makes all channels of a key head equally strong, at the cost of the queries.

    Keys are stored in INT8 where the cache is, in groups with one scale; queries are not. A channel
    and the one that rotary embedding turns it with share a factor, which rotation leaves alone.

    Args:
        tensors: the layer's, float32, by short name.
        gram: of what ``q`` and ``k`` read; None where a norm follows them: all factors are 1.
        layer: its sizes.
        head_dim: of the whole model.
    """
    if gram is None:
        return np.ones(layer.kv_heads * head_dim, np.float32)
    keys = tensors["k.weight"]
    energy = np.einsum("ij,jk,ik->i", keys, gram, keys, optimize=True)
    if "k.bias" in tensors:
        energy = energy + tensors["k.bias"] ** 2
    halves = energy.reshape(layer.kv_heads, 2, head_dim // 2)
    pairs = np.sqrt(np.maximum(halves.sum(axis=1), 1e-12 * halves.max()))
    pairs /= np.exp(np.log(pairs).mean(axis=1, keepdims=True))
    return np.concatenate([pairs, pairs], axis=1).astype(np.float32).reshape(-1)


def _search(
    tensors: Mapping[str, Array],
    formats: Mapping[str, str],
    energy: Array,
    names: Sequence[str],
    threads: int,
    shared: tuple[int, int, int] | None = None,
) -> tuple[float | None, Array]:
    """Return the best share and its factors, float32 (inputs,).

    shared: (value heads, query heads of each, channels), where query heads share factors.
    """
    energy = np.maximum(energy, 0)
    ones = np.ones_like(energy)
    if not all(formats[name].startswith("w") for name in names) or not energy.any():
        return None, ones
    sampled = []
    for name in names:
        step = max(1, len(tensors[name]) // _SAMPLED_ROWS)
        sampled.append((tensors[name][::step], formats[name], step))
    total = sum(step * np.square(rows).sum(axis=0) for rows, _, step in sampled)
    best: tuple[float, float | None, Array] | None = None
    for share in _SHARES:
        factors = ones if share is None else _factors(energy, total, share, shared)
        loss = _loss(sampled, energy, factors, threads)
        if best is None or loss < best[0]:
            best = loss, share, factors
    assert best is not None
    return best[1], best[2]


def _factors(
    energy: Array, weights: Array, share: float, shared: tuple[int, int, int] | None
) -> Array:
    if shared is not None:
        energy = np.repeat(energy.reshape(shared).mean(1, keepdims=True), shared[1], 1).reshape(-1)
        weights = np.repeat(weights.reshape(shared).mean(1, keepdims=True), shared[1], 1)
        weights = weights.reshape(-1)
    inputs = np.sqrt(np.maximum(energy, 1e-10 * energy.max()))
    readers = np.sqrt(np.maximum(weights, 1e-10 * max(float(weights.max()), 1e-30)))
    logs = share * np.log(inputs) - (1 - share) * np.log(readers)
    factors: Array = np.exp(logs - logs.mean()).astype(np.float32)
    return factors


def _loss(
    sampled: Sequence[tuple[Array, str, int]], energy: Array, factors: Array, threads: int
) -> float:
    """Estimate the squared error of the outputs: of rounded weights, and of int8 activations."""
    energy = energy / factors**2
    groups = -(-len(energy) // _ACTIVATION_GROUP)
    padded = np.zeros(groups * _ACTIVATION_GROUP, np.float32)
    padded[: len(energy)] = energy
    peaks = padded.reshape(groups, -1).max(axis=1)
    noise = np.repeat(peaks * (_PEAK / 127) ** 2 / 12, _ACTIVATION_GROUP)[: len(energy)]
    loss = 0.0
    for rows, weight_format, step in sampled:
        scaled = np.ascontiguousarray(rows * factors)
        loss += step * rounding_error(scaled, weight_format, energy, threads)
        loss += step * float(np.square(scaled).sum(axis=0) @ noise)
    return loss


def _divide_rows(tensors: MutableMapping[str, Array], writer: str, factors: Array) -> None:
    tensors[f"{writer}.weight"] = tensors[f"{writer}.weight"] / factors[:, None]
    if f"{writer}.bias" in tensors:
        tensors[f"{writer}.bias"] = tensors[f"{writer}.bias"] / factors
