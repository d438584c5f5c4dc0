"""A decoder in PyTorch whose weights are what a bundle stores: codes frozen, the rest trained.

It computes what the engine computes with float activations (the engine's integer kernels round
those to 8 bits besides). Everything trained is seen rounded as the bundle will hold it, while
gradients pass the rounding by (straight-through: Bengio et al., arXiv:1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch.utils.checkpoint import checkpoint

from pocketr1.arch import LayerSpec, ModelSpec
from pocketr1.bundle.layout import FLOAT8, group_size

__all__ = ["Frozen", "Quantized", "Student", "Trained", "Weights", "rms_norm"]

_STORED = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_SMALLEST = -0.9  # of a relative change: a scale keeps its sign


class Weights(Protocol):
    """A tensor of a model."""

    def value(self) -> torch.Tensor:
        """Return it whole, float32 in the tensor's shape."""
        ...


class Frozen:
    """A tensor that stays as it is, held in the type it is stored in."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values

    def value(self) -> torch.Tensor:
        """Return it, float32."""
        return self._values.float()

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Return rows, float32 of shape (*ids, columns)."""
        return self._values[ids].float()


class Trained:
    """A tensor that is trained: ``base + unit * shift``, rounded to the type it is stored in.

    ``shift`` starts at 0. unit: the size that each entry's change is measured by. relative: units
    are the entries' own sizes, and the entries keep their signs.
    """

    def __init__(
        self, base: torch.Tensor, unit: torch.Tensor, stored: str, *, relative: bool
    ) -> None:
        self._base = base
        self._unit = unit
        self._stored = _STORED[stored]
        self._relative = relative
        self.shift = torch.zeros_like(base, requires_grad=True)

    @classmethod
    def scale(cls, values: torch.Tensor, stored: str) -> Trained:
        """Scales or gains, each trained in proportion to itself."""
        return cls(values, values.abs(), stored, relative=True)

    @classmethod
    def bias(cls, values: torch.Tensor, stored: str) -> Trained:
        """Biases, trained in proportion to their root mean square."""
        size = values.square().mean().sqrt()
        return cls(values, size.expand_as(values), stored, relative=False)

    def value(self) -> torch.Tensor:
        """Return it, float32."""
        shift = self.shift.clamp(min=_SMALLEST) if self._relative else self.shift
        largest = torch.finfo(self._stored).max
        exact = (self._base + self._unit * shift).clamp(-largest, largest)
        return exact + (exact.to(self._stored).float() - exact).detach()

    def stored(self) -> NDArray[np.float32]:
        """Return what the bundle will hold: float32 of exactly such values."""
        with torch.no_grad():
            values: NDArray[np.float32] = self.value().to(self._stored).float().numpy()
        return values


class _Dequantize(torch.autograd.Function):  # type: ignore[misc]
    """Steps (rows, groups, group) times scales (rows, groups); keeps no float copy of the steps."""

    @staticmethod
    def forward(context: Any, steps: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(steps)
        return steps.float() * scales[..., None]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        (steps,) = context.saved_tensors
        return None, torch.einsum("rgk,rgk->rg", gradient, steps.float())


class Quantized:
    """A matrix of codes; its scales are trained.

    A weight is ``(code - zero) * scale`` of its row and group; zero points stay what they are, as
    codes do. In FP8 it is the code's value times the scale.
    """

    def __init__(
        self,
        weight_format: str,
        codes: NDArray[Any],  # (rows, columns)
        scales: NDArray[np.float32],  # (rows, groups)
        zeros: NDArray[np.uint8],  # (rows, groups)
    ) -> None:
        rows, self._columns = codes.shape
        group = group_size(weight_format)
        whole = np.zeros((rows, scales.shape[1] * group), codes.dtype)
        whole[:, : self._columns] = codes
        grouped = whole.reshape(rows, -1, group)
        if weight_format == FLOAT8:
            self._steps = torch.from_numpy(grouped).view(torch.float8_e4m3fn)
        else:
            # Differences of 4 bits and of 8 bits, whose zero point is 0, fit in int8.
            steps = grouped.astype(np.int8) - zeros.astype(np.int8)[..., None]
            self._steps = torch.from_numpy(steps)
        kept = torch.from_numpy(np.array(scales, np.float32))
        self.scales = Trained.scale(kept, "f32" if weight_format == FLOAT8 else "f16")

    def value(self) -> torch.Tensor:
        """Return the weights, float32 (rows, columns)."""
        return self._whole(self._steps, self.scales.value())

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Return rows, float32 of shape (*ids, columns)."""
        flat = ids.reshape(-1)
        rows = self._whole(self._steps[flat], self.scales.value()[flat])
        return rows.reshape(*ids.shape, self._columns)

    def _whole(self, steps: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        weights: torch.Tensor = _Dequantize.apply(steps, scales)
        return weights.reshape(len(steps), -1)[:, : self._columns]


class Student:
    """A model of a spec with these tensors, by canonical name."""

    def __init__(self, spec: ModelSpec, tensors: Mapping[str, Weights]) -> None:
        self._spec = spec
        self._tensors = tensors
        self._frequencies = torch.tensor(spec.rope.inv_freq, dtype=torch.float32)

    def trained(self) -> Iterator[tuple[str, Trained]]:
        """Yield what is trained, by the name of its tensor."""
        for name, tensor in self._tensors.items():
            if isinstance(tensor, Quantized):
                yield name, tensor.scales
            elif isinstance(tensor, Trained):
                yield name, tensor

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what the last layer leaves, float32 (sequences, tokens, hidden size).

        ids: int64 (sequences, tokens); a shorter sequence is filled up at its end, where causal
        attention keeps it from what counts. A layer's inner values are computed anew in the
        backward pass (Chen et al., arXiv:1604.06174), so that one layer's are in memory.
        """
        states = self._tensors["embed.weight"].rows(ids)  # type: ignore[attr-defined]
        angles = torch.arange(ids.shape[1], dtype=torch.float32)[:, None] * self._frequencies
        scaling = self._spec.rope.attention_scaling
        turn = (angles.cos() * scaling, angles.sin() * scaling)  # (tokens, head_dim / 2)
        for number, layer in enumerate(self._spec.layers):
            if torch.is_grad_enabled():
                states = checkpoint(self._layer, number, layer, states, turn, use_reentrant=False)
            else:
                states = self._layer(number, layer, states, turn)
        return states

    def head(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what turns states (rows, hidden size) into logits (rows, vocabulary)."""
        name = "embed.weight" if self._spec.tied_embeddings else "head.weight"
        matrix = self._tensors[name].value()
        gain = self._tensors["final_norm.weight"].value()
        return lambda states: rms_norm(states, gain, self._spec.rms_norm_eps) @ matrix.T

    def _layer(
        self,
        number: int,
        layer: LayerSpec,
        states: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        spec, prefix = self._spec, f"layers.{number}."

        def linear(name: str, inputs: torch.Tensor) -> torch.Tensor:
            bias = self._tensors.get(f"{prefix}{name}.bias")
            weights = self._tensors[f"{prefix}{name}.weight"].value()
            return functional.linear(inputs, weights, None if bias is None else bias.value())

        def norm(name: str, inputs: torch.Tensor) -> torch.Tensor:
            gain = self._tensors[f"{prefix}{name}.weight"].value()
            return rms_norm(inputs, gain, spec.rms_norm_eps)

        def heads(name: str, inputs: torch.Tensor, count: int) -> torch.Tensor:
            split = linear(name, inputs).unflatten(-1, (count, spec.head_dim))
            if spec.qk_norm and name != "v":
                split = norm(f"{name}_norm", split)
            split = split.transpose(1, 2)  # (sequences, heads, tokens, head_dim)
            return split if name == "v" else _turned(split, *turn)

        normed = norm("attn_norm", states)
        queries = heads("q", normed, layer.heads)
        keys, values = (
            heads(name, normed, layer.kv_heads).repeat_interleave(
                layer.heads // layer.kv_heads, dim=1
            )
            for name in ("k", "v")
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        states = states + linear("o", mixed.transpose(1, 2).flatten(2))
        normed = norm("mlp_norm", states)
        return states + linear(
            "down", functional.silu(linear("gate", normed)) * linear("up", normed)
        )


def rms_norm(states: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    """Return states over their root mean square along the last axis, times the gain."""
    return states * torch.rsqrt(states.square().mean(-1, keepdim=True) + eps) * gain


def _turned(heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (i, i + head_dim / 2) of each head by the angles of its position."""
    first, second = heads.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)
