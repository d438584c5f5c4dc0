"""A ``config.json`` as transformers reads it, for a model whose spec is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketr1 import arch
from pocketr1.arch import Architecture, ModelSpec
from pocketr1.checkpoint.files import read_json
from pocketr1.errors import CheckpointError, CompressionError, UsageError

__all__ = ["config_for", "read_config"]

_CLASSES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}
#: Scalings of the published distills: a spec holds frequencies, not the rule that gave them.
_SCALINGS: tuple[dict[str, Any] | None, ...] = (
    None,
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
)


def config_for(spec: ModelSpec, where: Path) -> tuple[dict[str, Any], Architecture]:
    """Return a ``config.json`` that gives exactly this spec, and the names of its tensors.

    where: the bundle, for errors.

    Raises:
        CompressionError: ``export-layers-differ`` where layers have different sizes, which no
            ``config.json`` can say; ``export-config-needed`` where the rule behind the rotary
            frequencies is not known (give the source's ``config.json``).
    """
    if len(set(spec.layers)) > 1:
        raise CompressionError("export-layers-differ", path=where)
    layer = spec.layers[0]
    base: dict[str, Any] = {
        "architectures": [_CLASSES[spec.architecture]],
        "model_type": spec.architecture,
        "hidden_act": "silu",
        "hidden_size": spec.hidden_size,
        "num_hidden_layers": len(spec.layers),
        "num_attention_heads": layer.heads,
        "num_key_value_heads": layer.kv_heads,
        "head_dim": spec.head_dim,
        "intermediate_size": layer.ffn_size,
        "max_position_embeddings": spec.max_positions,
        "rms_norm_eps": spec.rms_norm_eps,
        "tie_word_embeddings": spec.tied_embeddings,
        "vocab_size": spec.vocab_size,
        "bos_token_id": spec.bos_token_id,
        "eos_token_id": list(spec.eos_token_ids) if spec.eos_token_ids else None,
        "use_cache": True,
    }
    if spec.architecture != "qwen2":
        base["attention_bias"] = spec.attention_bias
    if spec.architecture == "llama":
        base["mlp_bias"] = spec.mlp_bias
    for scaling in _SCALINGS:
        for theta in _bases(spec):
            config = base | {"rope_theta": theta, "rope_scaling": scaling}
            try:
                found = arch.from_config(config, where)
            except CheckpointError:
                continue
            if found.spec == spec:
                return config, found
    raise CompressionError("export-config-needed", path=where)


def read_config(path: Path, spec: ModelSpec) -> tuple[dict[str, Any], Architecture]:
    """Read a ``config.json`` and check that it describes this model.

    Token ids are the spec's, whatever the file says. What it says of a quantization or an element
    type is left out.

    Raises:
        CheckpointError: it cannot be read.
        UsageError: ``export-config-differs``, naming what it says otherwise.
    """
    config = read_json(path)
    for key in ("quantization_config", "compression_config", "dtype", "torch_dtype"):
        config.pop(key, None)
    found = arch.from_config(config, path)
    ours, theirs = spec.to_dict(), found.spec.to_dict()
    differing = [
        key
        for key in ours
        if key not in ("bos_token_id", "eos_token_ids", "tied_embeddings")
        and ours[key] != theirs[key]
    ]
    if differing:
        raise UsageError("export-config-differs", path=path, keys=", ".join(differing))
    if spec.tied_embeddings != found.spec.tied_embeddings:  # the weights had the last word
        config["tie_word_embeddings"] = spec.tied_embeddings
        found = arch.from_config(config, path)
    return config, replace(found, spec=spec)


def _bases(spec: ModelSpec) -> Iterator[float]:
    """Yield bases that a frequency may stem from, round ones first."""
    seen = set()
    for index in (len(spec.rope.inv_freq) - 1, 1):
        if index < 1:
            yield 10000.0
            return
        # A scaling divides the slowest frequencies; 8 and 4 are those of _SCALINGS.
        for factor in (1.0, 8.0, 4.0) if index > 1 else (1.0,):
            frequency = spec.rope.inv_freq[index] * factor
            if frequency <= 0:
                continue
            exact = float(frequency) ** (-spec.head_dim / (2 * index))
            for digits in (1, 2, 3, 4, 5, 6, 7, 9):
                theta = float(f"{exact:.{digits - 1}e}")
                if theta not in seen and abs(theta / exact - 1) < 1e-4:
                    seen.add(theta)
                    yield theta
