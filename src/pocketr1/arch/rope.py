"""Rotary frequencies from ``rope_theta``, ``rope_scaling``, ``rope_parameters``, as transformers.

RoPE: Su et al., "RoFormer", arXiv:2104.09864. YaRN: Peng et al., arXiv:2309.00071. llama3: the
frequency scaling Meta published with Llama 3.1.

The arithmetic is float32, operation by operation as in transformers, with one exception: the power
``theta ** (2i / dim)`` is taken in float64 and rounded to float32. PyTorch's own float32 power
differs between instruction sets by an ulp (its scalar, AVX2 and AVX-512 code disagree with each
other on about 1% of the entries); the correctly rounded value is the one they agree on most, and it
is the same on every machine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.arch.config import Config
from pocketr1.arch.spec import RopeSpec

__all__ = ["rope_spec"]

_SUPPORTED = "default, llama3, yarn"
_DEFAULT_THETA = 10000.0
_F32 = np.float32
_Array = NDArray[np.float32]


def rope_spec(config: Config, head_dim: int, max_positions: int) -> RopeSpec:
    """Resolve the rotary embedding of a model.

    Both spellings are read: ``rope_theta`` with ``rope_scaling`` (``type`` or ``rope_type``), and
    ``rope_parameters``. Where both are given, ``rope_scaling`` wins, as in transformers. An entry
    transformers does not know, such as the ``attn_factor`` of DeepSeek-R1-0528-Qwen3-8B, has no
    effect there and none here.

    Raises:
        CheckpointError: ``checkpoint-config-unsupported`` or ``-invalid``, naming the key.
    """
    parameters, key = _parameters(config)
    rope = Config(parameters, config.where, f"{key}.")
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    if kind not in ("default", "llama3", "yarn"):
        raise rope.unsupported("rope_type", kind, _SUPPORTED)
    for source in (rope, config):
        if source.get("partial_rotary_factor") not in (None, 1):
            partial = source.get("partial_rotary_factor")
            raise source.unsupported("partial_rotary_factor", partial, "1.0")
    theta = rope.number("rope_theta", config.number("rope_theta", _DEFAULT_THETA))
    if theta <= 1:
        raise config.invalid("rope_theta", f"is {theta!r}, not greater than 1")
    powers = _powers(theta, head_dim)
    scaling = 1.0
    if kind == "default":
        inv_freq = _F32(1) / powers
    else:
        original = _original_positions(config, rope, max_positions)
        if kind == "llama3":
            inv_freq = _llama3(rope, _F32(1) / powers, original)
        else:
            inv_freq, scaling = _yarn(rope, powers, theta, head_dim, original, max_positions)
    if not np.isfinite(inv_freq).all() or not math.isfinite(scaling):
        raise config.invalid(key, "gives rotary frequencies that are not finite")
    return RopeSpec(tuple(float(value) for value in inv_freq), float(_F32(scaling)))


def _parameters(config: Config) -> tuple[dict[str, Any], str]:
    for key in ("rope_scaling", "rope_parameters"):
        value = config.get(key)
        if value:
            if not isinstance(value, dict):
                raise config.invalid(key, "is not an object")
            if any(isinstance(item, dict) for item in value.values()):
                raise config.unsupported(key, "one entry per layer type", "one for all layers")
            return {name: item for name, item in value.items() if item is not None}, key
    return {}, "rope_scaling"


def _original_positions(config: Config, rope: Config, max_positions: int) -> int:
    """Return the context length before scaling; a top-level entry goes before the nested one."""
    key = "original_max_position_embeddings"
    if config.get(key) is not None:
        return config.size(key)
    return rope.size(key, max_positions)


def _powers(theta: float, dim: int) -> _Array:
    """Return theta ** (2i / dim) for i = 0 .. dim/2 - 1; (dim/2,) float32, correctly rounded."""
    exponents = np.arange(0, dim, 2).astype(_F32) / _F32(dim)
    base = float(_F32(theta))
    return np.array([math.pow(base, float(e)) for e in exponents]).astype(_F32)


def _llama3(rope: Config, inv_freq: _Array, original: int) -> _Array:
    """Slow the low frequencies by ``factor``, keep the high ones, blend between (Llama 3.1)."""
    factor = rope.number("factor")
    low = rope.number("low_freq_factor")
    high = rope.number("high_freq_factor")
    if factor <= 0 or low <= 0 or high <= low:
        raise rope.invalid(
            "high_freq_factor", "must be greater than low_freq_factor, and both and factor than 0"
        )
    # A number divided by a tensor is number * (1 / tensor) in PyTorch: two roundings.
    wavelength = _F32(2 * math.pi) * (_F32(1) / inv_freq)
    is_low = wavelength > _F32(original / low)
    is_high = wavelength < _F32(original / high)
    scaled = np.where(is_low, inv_freq / _F32(factor), inv_freq)
    smooth = (_F32(original) * (_F32(1) / wavelength) - _F32(low)) / _F32(high - low)
    blended = (_F32(1) - smooth) * scaled / _F32(factor) + smooth * scaled
    return np.where(~is_low & ~is_high, blended, scaled).astype(_F32)


def _yarn(
    rope: Config, powers: _Array, theta: float, dim: int, original: int, max_positions: int
) -> tuple[_Array, float]:
    """Interpolate the dimensions that turn rarely, keep those that turn often (YaRN, 3.2)."""
    factor = rope.number("factor", max_positions / original)
    if factor <= 0:
        raise rope.invalid("factor", f"is {factor!r}, not greater than 0")
    scaling = rope.get("attention_factor")
    if scaling is None:
        mscale, mscale_all_dim = rope.number("mscale", 0), rope.number("mscale_all_dim", 0)
        if mscale and mscale_all_dim:
            scaling = _yarn_scale(factor, mscale) / _yarn_scale(factor, mscale_all_dim)
        else:
            scaling = _yarn_scale(factor, 1)
    else:
        scaling = rope.number("attention_factor")
    # Dimension index at which a frequency makes `turns` turns over the original context.
    fast = rope.number("beta_fast", 0) or 32
    slow = rope.number("beta_slow", 0) or 1
    if fast <= 0 or slow <= 0:
        raise rope.invalid("beta_fast", "and beta_slow must be greater than 0")
    first, last = (
        dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))
        for turns in (fast, slow)
    )
    if rope.flag("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, dim - 1)
    if first == last:
        last += 0.001
    index = np.arange(dim // 2, dtype=_F32)
    ramp = np.clip((index - _F32(first)) / _F32(last - first), _F32(0), _F32(1))
    kept = _F32(1) - ramp
    interpolated = _F32(1) / (_F32(factor) * powers)
    inv_freq = interpolated * (_F32(1) - kept) + (_F32(1) / powers) * kept
    return inv_freq.astype(_F32), scaling


def _yarn_scale(factor: float, mscale: float) -> float:
    """Return the factor on cosine and sine that YaRN recommends (equation 22)."""
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0
