"""Random small models and their logits by transformers, in float32 and in true float64.

Shared by make_models.py and the live oracle tests. Knows nothing of Pocket R1.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
CHUNK = 256  # tokens a forward pass; keeps the attention scores of 8,000 positions small


def random_model(config: dict[str, Any], seed: int, key_outlier: float = 0.0) -> Any:
    """Build a float32 model whose attention is sharp and whose norms and biases matter.

    transformers' own initialisation (sigma 0.02, unit norms, zero biases) would hide most faults:
    attention would be flat, so that positions hardly counted. Here scores have a spread of 2 to 3.
    ``key_outlier`` is the size of two channels of every key bias, as large ones are in Qwen2.
    """
    torch.manual_seed(seed)
    settings = {**config, "_attn_implementation": "eager"}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings)).float().eval()
    hidden = config["hidden_size"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                parameter.copy_(1.5 + 0.4 * noise)
            elif "norm" in name:
                parameter.copy_(1.0 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.5 * noise)
                if "k_proj" in name and key_outlier:
                    parameter[torch.randperm(len(parameter))[:2]] = key_outlier * noise[:2].sign()
            elif "embed_tokens" in name or "lm_head" in name:
                # A tied head that is large would answer each token with itself.
                scale = 0.3 if config["tie_word_embeddings"] else 2.0
                parameter.copy_(noise * scale / hidden**0.5)
            elif "q_proj" in name or "k_proj" in name:
                parameter.copy_(noise * 1.6 / parameter.shape[1] ** 0.5)
            else:
                parameter.copy_(noise / parameter.shape[1] ** 0.5)
    return model


def save_model(
    model: Any, directory: Path, config: dict[str, Any], dtype: str, shards: int = 1
) -> None:
    """Write config.json and weights, and round the model itself to what was written.

    Several shards are cut in the middle of a layer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    state = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            stored = parameter.to(DTYPES[dtype])
            parameter.copy_(stored.float())
            state[name] = stored.contiguous().clone()
    names = list(state)
    if shards == 1:
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
        return
    cuts = [len(names) * i // shards + (i % shards > 0) for i in range(shards + 1)]
    weight_map = {}
    for number in range(shards):
        part = names[cuts[number] : cuts[number + 1]]
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        save_file({n: state[n] for n in part}, directory / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def in_float64(model: Any) -> Any:
    """Turn a float32 model into one that computes in float64 throughout.

    ``model.double()`` alone leaves RMS norm and softmax in float32, and takes cosines of float32
    accuracy. What stays float32 is part of the model's definition: the inverse frequencies, and the
    product position * inv_freq.
    """
    model = model.double()
    module = importlib.import_module(type(model).__module__)
    for layer in model.modules():
        if type(layer).__name__.endswith("RMSNorm"):
            layer.forward = _norm64.__get__(layer)
        elif type(layer).__name__.endswith("RotaryEmbedding"):
            layer.forward = _rotary64.__get__(layer)
    module.eager_attention_forward = _dispatch_attention(module.eager_attention_forward)
    return model


def _norm64(self: Any, hidden: torch.Tensor) -> torch.Tensor:
    mean_square = hidden.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden / torch.sqrt(mean_square + self.variance_epsilon))


def _rotary64(
    self: Any, x: torch.Tensor, position_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    angles = (position_ids[..., None].float() * self.inv_freq.float()).double()
    angles = torch.cat((angles, angles), dim=-1)
    scaling = float(np.float32(self.attention_scaling))
    return angles.cos() * scaling, angles.sin() * scaling


def _dispatch_attention(original: Any) -> Any:
    if getattr(original, "in_float64", False):
        return original

    def forward(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if query.dtype != torch.float64:
            return original(module, query, key, value, attention_mask, scaling, **options)
        groups = module.num_key_value_groups
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.transpose(2, 3) * scaling
        if attention_mask is not None:
            scores = scores + attention_mask
        weights = torch.softmax(scores, dim=-1)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    forward.in_float64 = True  # type: ignore[attr-defined]
    return forward


@torch.no_grad()
def logits(model: Any, ids: NDArray[Any], keep: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return the logits (kept positions, vocab) of one sequence, all positions by default."""
    cache = DynamicCache(config=model.config)
    rows = []
    for start in range(0, len(ids), CHUNK):
        chunk = torch.tensor(ids[start : start + CHUNK].astype(np.int64))[None]
        out = model(chunk, past_key_values=cache, use_cache=True).logits[0].numpy()
        if keep is None:
            rows.append(out)
        else:
            wanted = keep[(keep >= start) & (keep < start + len(out))] - start
            rows.append(out[wanted].copy())
    return np.concatenate(rows)


@torch.no_grad()
def greedy(model: Any, prompt: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the most likely tokens one after another, and how far each was ahead of the next."""
    cache = DynamicCache(config=model.config)
    ids, gaps = [], []
    step = torch.tensor(prompt.astype(np.int64))[None]
    for _ in range(count):
        row = model(step, past_key_values=cache, use_cache=True).logits[0, -1]
        best = torch.topk(row, 2)
        ids.append(int(best.indices[0]))
        gaps.append(float(best.values[0] - best.values[1]))
        step = best.indices[:1][None]
    return np.array(ids), np.array(gaps)


def reference(
    model: Any, prompt: NDArray[Any], greedy_count: int, long: NDArray[Any], keep: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Return everything a test compares with; the model is float64 afterwards.

    ``error`` and ``long_error`` are the largest differences between transformers' own float32
    logits and the float64 ones.
    """
    rotary = model.model.rotary_emb
    short32 = logits(model, prompt)
    long32 = logits(model, long, keep) if len(long) else np.empty((0, 0))
    model = in_float64(model)
    short64 = logits(model, prompt)
    long64 = logits(model, long, keep) if len(long) else np.empty((0, 0))
    tokens, gaps = greedy(model, prompt, greedy_count)
    return {
        "inv_freq": rotary.inv_freq.float().numpy(),
        "attention_scaling": np.float32(rotary.attention_scaling),
        "prompt": prompt,
        "logits": short64,
        "error": np.abs(short32 - short64).max(),
        "greedy": tokens,
        "greedy_gaps": gaps,
        "long": long,
        "long_keep": keep,
        "long_logits": long64,
        "long_error": np.abs(long32 - long64).max() if len(long) else np.float64(0),
    }
