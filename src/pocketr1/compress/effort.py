"""How long calibrating takes and what memory, from the speed of one layer."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketr1 import _core, arch, checkpoint
from pocketr1.bundle.report import kv_bytes_per_token
from pocketr1.compress.calibration import (
    CALIBRATION_TOKENS,
    GATE_TOKENS,
    REASONING_BATCH,
    Prompts,
    longest_sample,
)
from pocketr1.compress.equalized import EQUALIZING_TOKENS
from pocketr1.compress.original import original_places
from pocketr1.compress.partial_model import PartialModel, Place
from pocketr1.compress.sensitivity import SENSITIVITY_TOKENS, first_layer
from pocketr1.compress.units import Packed, Unit
from pocketr1.compress.work import Work

__all__ = ["Effort", "measure_effort"]

_ROWS = 64  # that run through a layer together while states are gathered and measured
_REASONER = "w8g128"  # what the model reasons in


@dataclass(frozen=True)
class Effort:
    """What calibrating takes beside rounding, at most.

    seconds: all of it; sensitivity_seconds: of these, measuring what each matrix is worth;
    memory_bytes: at the fullest moment.
    """

    seconds: float
    sensitivity_seconds: float
    memory_bytes: int


def measure_effort(
    source: checkpoint.Checkpoint,
    prompts: Prompts,
    samples: int,
    threads: int,
    *,
    probes: int = 0,
) -> Effort:
    """Foretell from one layer, run as it is and in 8 bits, how long calibrating takes.

    Args:
        source: a checkpoint.
        prompts: to calibrate with; what is a question is continued.
        samples: sequences.
        threads: of the engine.
        probes: formats in which every matrix is quantized and measured alone.

    Little is written, and deleted again. Attention to what lies far back is not counted.
    """
    exact, packed = _seconds_per_product(source, threads)
    tokens = min(samples * longest_sample(samples), CALIBRATION_TOKENS + GATE_TOKENS)
    gate = min(GATE_TOKENS, tokens)
    work = Work.of(source, max(tokens - gate, 0), gate, min(EQUALIZING_TOKENS, tokens))
    layers = work.layers
    calibrating = work.total * exact / 4  # which counts those in full precision four times
    reasoning = 0.0
    if prompts.questions and len(prompts.texts) < samples:
        reasoning = tokens * (layers * work.layer + work.head) * packed
    names = [name for name, shape in arch.expected_tensors(source.spec).items() if len(shape) == 2]
    probed = probes * sum(work.gated(first_layer(name, layers)) for name in names)
    measured = SENSITIVITY_TOKENS * probed * exact / 4
    return Effort(
        seconds=reasoning + measured + calibrating,
        sensitivity_seconds=measured,
        memory_bytes=max(
            _reasoning_memory(source, samples), _layer_memory(source), _gate_memory(source)
        ),
    )


def _seconds_per_product(source: checkpoint.Checkpoint, threads: int) -> tuple[float, float]:
    """Return the seconds a weight takes with one token: as the source holds it, and in 8 bits."""
    spec = source.spec
    names = [name for name in source.tensors if name.startswith("layers.0.")]
    weights = sum(math.prod(source.tensors[name].shape) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        zeros = Path(folder) / "zeros"
        zeros.write_bytes(bytes(4 * spec.hidden_size))
        places = original_places(source, Path(folder) / "original", names=names)

        def seconds(where: Mapping[str, Place], lengths: list[int]) -> float:
            model = PartialModel(
                spec, where, range(1), zeros=zeros, threads=threads, longest=max(lengths)
            )
            shape = (sum(lengths), spec.hidden_size)
            states = np.random.default_rng(0).standard_normal(shape, np.float32)
            out = np.empty_like(states)
            model.forward(states, lengths, out=out)  # the weights are in memory behind it
            taken = _timed(lambda: model.forward(states, lengths, out=out))
            return taken / (len(states) * weights)

        exact = seconds(places, [_ROWS])
        packed = {name: _rounded(source, name, threads) for name in names}
        unit = Unit.write(Path(folder) / "layer", packed)
        return exact, seconds({**places, **unit.places()}, [1] * REASONING_BATCH)


def _rounded(source: checkpoint.Checkpoint, name: str, threads: int) -> Packed:
    tensor = source.tensors[name]
    weight_format = _REASONER if len(tensor.shape) == 2 else "f32"
    rows = source.read_rows(name)
    data, *_ = _core.quantize_rows(rows, tensor.dtype, weight_format, threads, name)
    return Packed(weight_format, tensor.shape, data, np.zeros((0, 3)))


def _reasoning_memory(source: checkpoint.Checkpoint, samples: int) -> int:
    """The model in 8 bits, and the keys and values of the answers written together."""
    tokens = min(samples, REASONING_BATCH) * 2 * longest_sample(samples)
    return source.parameters + source.parameters // 50 + tokens * kv_bytes_per_token(source.spec)


def _layer_memory(source: checkpoint.Checkpoint) -> int:
    """A layer in float32 and packed twice, its Gram matrices, and the factor of the largest."""
    spec = source.spec
    layer = spec.layers[0]
    inputs = (spec.hidden_size, layer.heads * spec.head_dim, spec.hidden_size, layer.ffn_size)
    sizes = [
        math.prod(tensor.shape)
        for name, tensor in source.tensors.items()
        if name.startswith("layers.0.")
    ]
    grams = 4 * sum(size * size for size in inputs)
    return 6 * sum(sizes) + grams + 2 * 4 * max(inputs) ** 2 + 3 * 4 * max(sizes)


def _gate_memory(source: checkpoint.Checkpoint) -> int:
    """The model in 8 bits, a layer in float32 and packed twice, and some rows of logits."""
    sizes = (
        math.prod(tensor.shape)
        for name, tensor in source.tensors.items()
        if name.startswith("layers.0.")
    )
    logits = 4 * 4 * _ROWS * source.spec.vocab_size
    return source.parameters + source.parameters // 50 + 6 * sum(sizes) + logits


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
