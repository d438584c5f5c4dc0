"""One file per ``model_type``: ``config.json`` -> :class:`ModelSpec` and tensor names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pocketr1.arch import llama, qwen2, qwen3
from pocketr1.arch.config import Config
from pocketr1.arch.decoder import Architecture
from pocketr1.arch.spec import LayerSpec, ModelSpec, RopeSpec, expected_tensors
from pocketr1.errors import CheckpointError

__all__ = [
    "SUPPORTED",
    "Architecture",
    "LayerSpec",
    "ModelSpec",
    "RopeSpec",
    "expected_tensors",
    "from_config",
]

_READERS: dict[str, Callable[[Config, Config], Architecture]] = {
    "llama": llama.read,
    "qwen2": qwen2.read,
    "qwen3": qwen3.read,
}
SUPPORTED = tuple(_READERS)


def from_config(
    config: Mapping[str, Any],
    where: Path,
    generation: Mapping[str, Any] | None = None,
) -> Architecture:
    """Read a Hugging Face ``config.json``.

    Args:
        config: the parsed file.
        where: its path, for errors.
        generation: the parsed ``generation_config.json``; its token ids go first.

    Raises:
        CheckpointError: the model is of another kind (``checkpoint-architecture``), has experts
            (``checkpoint-experts``), or a key is missing, wrong or not supported
            (``checkpoint-config-invalid``, ``-unsupported``).
    """
    keys = Config(config, where)
    model_type = keys.get("model_type")
    if not isinstance(model_type, str):
        raise keys.invalid("model_type", "is missing" if model_type is None else "is not a string")
    experts = next((key for key in _EXPERT_KEYS if keys.get(key)), None)
    if experts or model_type.endswith("_moe") or model_type in _EXPERT_TYPES:
        raise CheckpointError(
            "checkpoint-experts",
            where=str(where),
            key=experts or "model_type",
            value=str(keys.get(experts or "model_type")),
        )
    if model_type not in _READERS:
        raise CheckpointError(
            "checkpoint-architecture",
            where=str(where),
            value=model_type,
            supported=", ".join(SUPPORTED),
        )
    layer_types = keys.get("layer_types") or []
    if not isinstance(layer_types, list):
        raise keys.invalid("layer_types", "is not a list")
    for kind in layer_types:
        if kind != "full_attention":
            raise keys.unsupported("layer_types", kind, "full_attention")
    generation_keys = Config(generation or {}, where.with_name("generation_config.json"))
    return _READERS[model_type](keys, generation_keys)


_EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts")
_EXPERT_TYPES = ("mixtral", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dbrx")
