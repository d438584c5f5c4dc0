"""The models that may fit a device, and what each needs: exact, from its published shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pocketr1 import arch
from pocketr1.bundle import BundleLayout, plan_layout
from pocketr1.bundle.report import kv_bytes_per_token
from pocketr1.compress import Recipe

__all__ = [
    "CONTEXT",
    "MODELS",
    "QUANTIZATIONS",
    "USUAL_BITS",
    "Candidate",
    "PublishedModel",
    "candidates",
    "token_weight_bytes",
]

CONTEXT = 4096  # tokens whose K/V counts, in F16: a question and a few pages of reasoning
#: Bits and group size of the formats that are advised, the closer to the original first. Rounded to
#: 2 bits a model does not reason any more, and a calibrated bundle is no pull away.
QUANTIZATIONS = ((8, 128), (4, 64), (3, 64))
#: The fewest bits that are advised where anything fits in so many: 3, rounded, lose much.
USUAL_BITS = 4

_SHORT_CONTEXT = 512  # tokens whose K/V a decoded token reads in the figures of speed
_SHARD = 9 * 10**9  # bytes; DeepSeek's largest safetensors file is somewhat smaller
_METADATA = (
    8 * 10**6
)  # bytes of tokenizer and bundle.json: 7 MB in R1-Distill-Qwen, Llama some more
# Interpreter, libraries, tokenizer, activations and logits. Beside the weights it touched and K/V,
# `pocketr1 bench` of the 1.5B shape took about 70 MB, of the 7B shape 120 MB.
_OVERHEAD = 150 * 10**6
_BUDGET_STEP = 100 * 10**6


@dataclass(frozen=True)
class PublishedModel:
    """A model `pocketr1 pull` knows by a short name.

    aime_2024: percent of AIME 2024 solved at the first try, by DeepSeek's model cards: the order
        of ability, of which compression takes a little.
    shape: the keys of its config.json that give sizes.
    """

    alias: str
    aime_2024: float
    shape: MappingProxyType[str, object]

    @property
    def spec(self) -> arch.ModelSpec:
        """The model as the engine sees it; positions and norms are not the published ones."""
        return arch.from_config(self.shape, Path(self.alias)).spec


def _model(
    alias: str,
    aime_2024: float,
    model_type: str,
    vocabulary: int,
    *,
    hidden: int,
    ffn: int,
    layers: int,
    heads: int,
    kv_heads: int,
) -> PublishedModel:
    shape = {
        "model_type": model_type,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    }
    return PublishedModel(alias, aime_2024, MappingProxyType(shape))


#: The ablest first.
MODELS = (
    _model(
        "r1-qwen3-8b", 86.0, "qwen3", 151936,
        hidden=4096, ffn=12288, layers=36, heads=32, kv_heads=8,
    ),
    _model(
        "r1-14b", 69.7, "qwen2", 152064,
        hidden=5120, ffn=13824, layers=48, heads=40, kv_heads=8,
    ),
    _model(
        "r1-7b", 55.5, "qwen2", 152064,
        hidden=3584, ffn=18944, layers=28, heads=28, kv_heads=4,
    ),
    _model(
        "r1-llama-8b", 50.4, "llama", 128256,
        hidden=4096, ffn=14336, layers=32, heads=32, kv_heads=8,
    ),
    _model(
        "r1-1.5b", 28.9, "qwen2", 151936,
        hidden=1536, ffn=8960, layers=28, heads=12, kv_heads=2,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One model at one precision. Sizes are bytes."""

    alias: str
    bits: int
    group_size: int
    parameters: int
    source_bytes: int  # the checkpoint in BF16
    bundle_bytes: int  # all files of the bundle
    weight_bytes: int
    memory_bytes: int  # weights, K/V of CONTEXT tokens in F16, and the process around them
    # At the fullest moment of `pull --compress`: the bundle, a shard, and the rest of the shard
    # before, which is part of a layer. At most: where the shards are cut is not known here.
    storage_bytes: int
    token_bytes: int  # what decoding one token reads: decoder, head, and K/V of 512 tokens

    @property
    def format(self) -> str:
        """The weight format of its matrices."""
        return f"w{self.bits}g{self.group_size}"

    @property
    def run_budget(self) -> int:
        """The memory to reckon with: ``memory_bytes`` rounded up."""
        return -(-self.memory_bytes // _BUDGET_STEP) * _BUDGET_STEP


@cache
def candidates() -> tuple[Candidate, ...]:
    """Return every model at every precision, the ablest model first, more bits first."""
    return tuple(
        _candidate(model.alias, model.spec, bits, group_size)
        for model in MODELS
        for bits, group_size in QUANTIZATIONS
    )


def token_weight_bytes(spec: arch.ModelSpec, bits: int, group_size: int) -> int:
    """Return the bytes of weights that a token goes through, all matrices at these bits.

    The embedding is looked up, one row a token, and does not count; a tied one is the head as well.
    """
    sizes = _sizes(spec, bits, group_size)[1]
    return sum(sizes.values()) - (0 if spec.tied_embeddings else sizes["embed.weight"])


def _sizes(spec: arch.ModelSpec, bits: int, group_size: int) -> tuple[BundleLayout, dict[str, int]]:
    shapes = arch.expected_tensors(spec)
    recipe = Recipe(bits=bits, group_size=group_size)
    dtypes = dict.fromkeys(shapes, "bf16")
    layout = plan_layout(recipe.tensors(shapes, dtypes, spec.tied_embeddings))
    return layout, dict(zip(shapes, layout.tensor_bytes(), strict=True))


def _candidate(alias: str, spec: arch.ModelSpec, bits: int, group_size: int) -> Candidate:
    shapes = arch.expected_tensors(spec)
    layout, sizes = _sizes(spec, bits, group_size)
    weights = sum(sizes.values())
    parameters = sum(tensor.parameters for tensor in layout.tensors)
    kv = kv_bytes_per_token(spec)
    layer = 2 * sum(
        math.prod(shape) for name, shape in shapes.items() if name.startswith("layers.0.")
    )
    bundle = layout.file_bytes + _METADATA
    return Candidate(
        alias=alias,
        bits=bits,
        group_size=group_size,
        parameters=parameters,
        source_bytes=2 * parameters,
        bundle_bytes=bundle,
        weight_bytes=weights,
        memory_bytes=weights + CONTEXT * kv + _OVERHEAD,
        storage_bytes=min(2 * parameters, _SHARD + layer) + bundle,
        token_bytes=token_weight_bytes(spec, bits, group_size) + _SHORT_CONTEXT * kv,
    )
