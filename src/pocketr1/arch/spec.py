"""What a decoder needs to know about a model: the ``model`` object of ``bundle.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pocketr1.errors import BundleError

__all__ = ["LayerSpec", "ModelSpec", "RopeSpec", "expected_tensors"]


@dataclass(frozen=True)
class RopeSpec:
    """Rotary position embedding, fully resolved: no scaling rule is left to apply.

    The angle of dimension pair ``i`` at position ``p`` is the float32 product ``p * inv_freq[i]``;
    its cosine and sine are multiplied by ``attention_scaling`` (YaRN; otherwise 1).
    """

    inv_freq: tuple[float, ...]  # (head_dim / 2,), each exactly a float32
    attention_scaling: float  # exactly a float32


@dataclass(frozen=True)
class LayerSpec:
    """The sizes of one decoder layer."""

    heads: int
    kv_heads: int  # divides heads
    ffn_size: int


@dataclass(frozen=True)
class ModelSpec:
    """One decoder-only model. Field for field the ``model`` object of ``bundle.json``."""

    architecture: str  # "qwen2", "llama" or "qwen3"
    hidden_size: int
    vocab_size: int
    head_dim: int
    rms_norm_eps: float
    max_positions: int
    tied_embeddings: bool  # the head reads embed.weight
    attention_bias: bool  # q.bias, k.bias, v.bias
    output_bias: bool  # o.bias
    mlp_bias: bool  # gate.bias, up.bias, down.bias
    qk_norm: bool  # q_norm.weight, k_norm.weight: RMS norm per head, before RoPE
    rope: RopeSpec
    layers: tuple[LayerSpec, ...]
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object; ``from_dict`` of it gives an equal spec, bit for bit."""
        return {
            "architecture": self.architecture,
            "hidden_size": self.hidden_size,
            "vocab_size": self.vocab_size,
            "head_dim": self.head_dim,
            "rms_norm_eps": self.rms_norm_eps,
            "max_positions": self.max_positions,
            "tied_embeddings": self.tied_embeddings,
            "attention_bias": self.attention_bias,
            "output_bias": self.output_bias,
            "mlp_bias": self.mlp_bias,
            "qk_norm": self.qk_norm,
            "rope": {
                "inv_freq": list(self.rope.inv_freq),
                "attention_scaling": self.rope.attention_scaling,
            },
            "layers": [
                {"heads": layer.heads, "kv_heads": layer.kv_heads, "ffn_size": layer.ffn_size}
                for layer in self.layers
            ],
            "bos_token_id": self.bos_token_id,
            "eos_token_ids": list(self.eos_token_ids),
        }

    @classmethod
    def from_dict(cls, data: object) -> ModelSpec:
        """Read the JSON object strictly: every field once, none unknown.

        Raises:
            BundleError: ``bundle-model-spec``, naming the field.
        """
        fields = _Fields(data, "")
        spec = cls(
            architecture=fields.text("architecture"),
            hidden_size=fields.size("hidden_size"),
            vocab_size=fields.size("vocab_size"),
            head_dim=fields.size("head_dim"),
            rms_norm_eps=fields.number("rms_norm_eps"),
            max_positions=fields.size("max_positions"),
            tied_embeddings=fields.flag("tied_embeddings"),
            attention_bias=fields.flag("attention_bias"),
            output_bias=fields.flag("output_bias"),
            mlp_bias=fields.flag("mlp_bias"),
            qk_norm=fields.flag("qk_norm"),
            rope=_rope(fields.take("rope")),
            layers=tuple(
                _layer(item, f"layers[{index}]")
                for index, item in enumerate(fields.sequence("layers"))
            ),
            bos_token_id=_optional_token(fields.take("bos_token_id"), "bos_token_id"),
            eos_token_ids=tuple(
                _token(item, f"eos_token_ids[{index}]")
                for index, item in enumerate(fields.sequence("eos_token_ids"))
            ),
        )
        fields.finish()
        if len(spec.rope.inv_freq) * 2 != spec.head_dim:
            raise _invalid(
                "rope.inv_freq", f"has {len(spec.rope.inv_freq)} entries, not head_dim/2"
            )
        if not spec.layers:
            raise _invalid("layers", "is empty")
        return spec


def expected_tensors(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Return every tensor the model asks for, canonical name -> shape, in decode order.

    Embedding, layers 0 to n-1, final norm, head. A matrix is (outputs, inputs), a vector (n,).
    """
    hidden, vocab = spec.hidden_size, spec.vocab_size
    tensors: dict[str, tuple[int, ...]] = {"embed.weight": (vocab, hidden)}
    for index, layer in enumerate(spec.layers):
        prefix = f"layers.{index}."
        q_size = layer.heads * spec.head_dim
        kv_size = layer.kv_heads * spec.head_dim
        shapes: dict[str, tuple[int, ...]] = {"attn_norm.weight": (hidden,)}
        for name, rows in (("q", q_size), ("k", kv_size), ("v", kv_size)):
            shapes[f"{name}.weight"] = (rows, hidden)
            if spec.attention_bias:
                shapes[f"{name}.bias"] = (rows,)
        if spec.qk_norm:
            shapes["q_norm.weight"] = (spec.head_dim,)
            shapes["k_norm.weight"] = (spec.head_dim,)
        shapes["o.weight"] = (hidden, q_size)
        if spec.output_bias:
            shapes["o.bias"] = (hidden,)
        shapes["mlp_norm.weight"] = (hidden,)
        for name, rows, columns in (
            ("gate", layer.ffn_size, hidden),
            ("up", layer.ffn_size, hidden),
            ("down", hidden, layer.ffn_size),
        ):
            shapes[f"{name}.weight"] = (rows, columns)
            if spec.mlp_bias:
                shapes[f"{name}.bias"] = (rows,)
        tensors.update((prefix + name, shape) for name, shape in shapes.items())
    tensors["final_norm.weight"] = (hidden,)
    if not spec.tied_embeddings:
        tensors["head.weight"] = (vocab, hidden)
    return tensors


def _invalid(field: str, reason: str) -> BundleError:
    return BundleError("bundle-model-spec", field=field, reason=reason)


def _token(value: object, field: str) -> int:
    if type(value) is not int or value < 0:
        raise _invalid(field, f"is {value!r}, not a token id")
    return value


def _optional_token(value: object, field: str) -> int | None:
    return None if value is None else _token(value, field)


def _rope(data: object) -> RopeSpec:
    fields = _Fields(data, "rope.")
    inv_freq = []
    for index, item in enumerate(fields.sequence("inv_freq")):
        if type(item) not in (int, float) or not math.isfinite(item):  # type: ignore[arg-type]
            raise _invalid(f"rope.inv_freq[{index}]", f"is {item!r}, not a finite number")
        inv_freq.append(float(item))  # type: ignore[arg-type]
    spec = RopeSpec(tuple(inv_freq), fields.number("attention_scaling"))
    fields.finish()
    return spec


def _layer(data: object, where: str) -> LayerSpec:
    fields = _Fields(data, f"{where}.")
    layer = LayerSpec(fields.size("heads"), fields.size("kv_heads"), fields.size("ffn_size"))
    fields.finish()
    if layer.heads % layer.kv_heads:
        raise _invalid(f"{where}.heads", f"is {layer.heads}, no multiple of kv_heads")
    return layer


class _Fields:
    """Takes typed fields out of a JSON object; what is left over at the end is unknown."""

    def __init__(self, data: object, prefix: str) -> None:
        if not isinstance(data, Mapping):
            raise _invalid(prefix.rstrip(".") or "model", "is not an object")
        self._left: dict[str, object] = dict(data)
        self._prefix = prefix

    def take(self, name: str) -> object:
        if name not in self._left:
            raise _invalid(self._prefix + name, "is missing")
        return self._left.pop(name)

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise _invalid(self._prefix + name, f"is {value!r}, not a string")
        return value

    def size(self, name: str) -> int:
        value = self.take(name)
        if type(value) is not int or value < 1:
            raise _invalid(self._prefix + name, f"is {value!r}, not a positive integer")
        return value

    def number(self, name: str) -> float:
        value = self.take(name)
        if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
            raise _invalid(self._prefix + name, f"is {value!r}, not a finite number")
        return float(value)  # type: ignore[arg-type]

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise _invalid(self._prefix + name, f"is {value!r}, neither true nor false")
        return value

    def sequence(self, name: str) -> list[object]:
        value = self.take(name)
        if not isinstance(value, list | tuple):
            raise _invalid(self._prefix + name, "is not a list")
        return list(value)

    def finish(self) -> None:
        if self._left:
            raise _invalid(self._prefix + next(iter(self._left)), "is not a known field")
