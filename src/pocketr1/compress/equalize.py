"""Scale channels so that a layer is easier to quantize and computes the same.

What one matrix writes and another reads may be divided by any positive factor per channel in the
one and multiplied in the other. Where a few channels are far larger than the rest, as in all large
models, this takes the burden from the int8 activations and from the weights that share a scale with
them. Xiao et al., SmoothQuant, 2022, section 4 (the factors below); Lin et al., AWQ, 2023, section
3.2 (that they help weights too, and are searched by measured error).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core
from pocketr1.arch import LayerSpec
from pocketr1.compress.gptq import importance_of

__all__ = ["equalize_keys", "equalize_layer", "equalize_norm"]

#: How the burden is shared between activations and weights: factors are
#: (activation RMS)^a / (weight RMS)^(1 - a); None leaves the channels as they are.
_SHARES = (None, 0.25, 0.5, 0.75)
_ACTIVATION_GROUP = 128  # that shares an int8 scale
_PEAK = 4.0  # the largest activation of a group, in RMS of its strongest channel, as seen
_SAMPLED_ROWS = 512  # of each matrix, by which factors are judged

Array = NDArray[np.float32]


def equalize_layer(
    tensors: MutableMapping[str, Array],
    formats: Mapping[str, str],
    grams: Mapping[str, Array],
    layer: LayerSpec,
    head_dim: int,
    threads: int,
) -> dict[str, float | None]:
    """Scale the channels of one layer, where that lowers the error of its outputs.

    Args:
        tensors: the layer's, float32, by short name (``q.weight``); changed.
        formats: of the matrices, by short name.
        grams: the Gram matrix of what ``q``, ``o``, ``gate`` and ``down`` read; changed.
        layer: its sizes.
        head_dim: of the whole model.
        threads: for quantizing.

    Returns:
        The share chosen for each of ``q``, ``o``, ``gate`` and ``down``.
    """
    chosen: dict[str, float | None] = {}
    for reads, gain, readers in (
        ("q", "attn_norm.weight", ("q", "k", "v")),
        ("gate", "mlp_norm.weight", ("gate", "up")),
    ):
        names = [f"{reader}.weight" for reader in readers]
        chosen[reads], factors = _search(tensors, formats, grams[reads], names, threads)
        tensors[gain] = tensors[gain] / factors
        _apply(tensors, grams, reads, names, factors)

    names = ["down.weight"]
    chosen["down"], factors = _search(tensors, formats, grams["down"], names, threads)
    _divide_rows(tensors, "up", factors)
    _apply(tensors, grams, "down", names, factors)

    # Query heads that share a value head read the same values.
    names = ["o.weight"]
    shape = (layer.kv_heads, layer.heads // layer.kv_heads, head_dim)
    chosen["o"], factors = _search(tensors, formats, grams["o"], names, threads, shape)
    _divide_rows(tensors, "v", factors.reshape(shape)[:, 0].reshape(-1))
    _apply(tensors, grams, "o", names, factors)
    return chosen


def equalize_norm(
    gain: Array, weights: Array, weight_format: str, gram: Array, threads: int
) -> tuple[Array, Array, float | None]:
    """Scale between a norm and the one matrix behind it: the new gain, the factors, the share.

    gram: of what the matrix reads; changed. The matrix's columns are to be multiplied by the
    factors; ``weights`` are some of its rows, float32, by which they are judged.
    """
    tensors = {"weight": weights}
    share, factors = _search(tensors, {"weight": weight_format}, gram, ["weight"], threads)
    _scale_gram(gram, factors)
    return gain / factors, factors, share


def equalize_keys(
    tensors: MutableMapping[str, Array], gram: Array, layer: LayerSpec, head_dim: int
) -> None:
    """Make all channels of a key head equally strong, at the cost of the queries.

    Keys are stored in INT8 where the cache is, in groups with one scale; queries are not. A channel
    and the one that rotary embedding turns it with share a factor, which rotation leaves alone.
    Only for layers without a norm of queries and keys.

    Args:
        tensors: the layer's, float32, by short name; ``q`` and ``k`` are changed.
        gram: of what they read.
        layer: its sizes.
        head_dim: of the whole model.
    """
    keys = tensors["k.weight"]
    energy = np.einsum("ij,jk,ik->i", keys, gram, keys, optimize=True)
    if "k.bias" in tensors:
        energy = energy + tensors["k.bias"] ** 2
    halves = energy.reshape(layer.kv_heads, 2, head_dim // 2)
    pairs = np.sqrt(np.maximum(halves.sum(axis=1), 1e-12 * halves.max()))
    pairs /= np.exp(np.log(pairs).mean(axis=1, keepdims=True))
    factors = np.concatenate([pairs, pairs], axis=1).astype(np.float32)
    _divide_rows(tensors, "k", factors.reshape(-1))
    repeated = np.repeat(factors, layer.heads // layer.kv_heads, axis=0)
    _divide_rows(tensors, "q", (1 / repeated.reshape(-1)).astype(np.float32))


def _search(
    tensors: Mapping[str, Array],
    formats: Mapping[str, str],
    gram: Array,
    names: Sequence[str],
    threads: int,
    shared: tuple[int, int, int] | None = None,
) -> tuple[float | None, Array]:
    """Return the best share and its factors, float32 (inputs,).

    shared: (value heads, query heads of each, channels), where query heads share factors.
    """
    energy = np.maximum(gram.diagonal(), 0)
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
    """Estimate the squared error of the outputs: of rounded weights, and of int8 activations.

    Errors of different inputs are taken as independent: only the diagonal of the Gram matrix
    counts.
    """
    energy = energy / factors**2
    groups = -(-len(energy) // _ACTIVATION_GROUP)
    padded = np.zeros(groups * _ACTIVATION_GROUP, np.float32)
    padded[: len(energy)] = energy
    peaks = padded.reshape(groups, -1).max(axis=1)
    noise = np.repeat(peaks * (_PEAK / 127) ** 2 / 12, _ACTIVATION_GROUP)[: len(energy)]
    importance = importance_of(energy)
    loss = 0.0
    for rows, weight_format, step in sampled:
        scaled = np.ascontiguousarray(rows * factors)
        part, *_ = _core.quantize_rows(scaled, "f32", weight_format, threads, "", 0, importance)
        error = scaled - _core.dequantize_rows(part, weight_format, *scaled.shape)
        loss += step * float(np.square(error).sum(axis=0) @ energy)
        loss += step * float(np.square(scaled).sum(axis=0) @ noise)
    return loss


def _apply(
    tensors: MutableMapping[str, Array],
    grams: Mapping[str, Array],
    reads: str,
    names: Sequence[str],
    factors: Array,
) -> None:
    for name in names:
        tensors[name] = tensors[name] * factors
    _scale_gram(grams[reads], factors)


def _scale_gram(gram: Array, factors: Array) -> None:
    gram /= factors
    gram /= factors[:, None]


def _divide_rows(tensors: MutableMapping[str, Array], writer: str, factors: Array) -> None:
    tensors[f"{writer}.weight"] = tensors[f"{writer}.weight"] / factors[:, None]
    if f"{writer}.bias" in tensors:
        tensors[f"{writer}.bias"] = tensors[f"{writer}.bias"] / factors
