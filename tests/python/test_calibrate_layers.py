"""Layers run apart, channels equalized, distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import checkpoint
from pocketr1.compress.calibration import CalibrationText, Sample
from pocketr1.compress.distance import Distance, Sequences
from pocketr1.compress.equalize import equalize_layer, key_factors
from pocketr1.compress.equalized import Equalized
from pocketr1.compress.gram import GramObserver
from pocketr1.compress.packing import pack, read
from pocketr1.compress.partial_model import PartialModel, Place, checkpoint_places
from pocketr1.compress.units import Unit

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"


@pytest.fixture
def source() -> checkpoint.Checkpoint:
    return checkpoint.open(TINY)


@pytest.fixture
def zeros(tmp_path: Path, source: checkpoint.Checkpoint) -> Path:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(4 * source.spec.hidden_size))
    return path


IDS = [[1, 5, 9, 700, 3, 2000, 8], [40, 41, 42], [7] * 300]


def embedded(source: checkpoint.Checkpoint) -> np.ndarray:
    table = checkpoint.as_float32(source.read_rows("embed.weight"), "bf16")
    return table[np.concatenate([np.array(ids) for ids in IDS])]


def test_layers_run_apart_give_the_logits_of_the_whole_bit_for_bit(
    source: checkpoint.Checkpoint, zeros: Path
) -> None:
    places = checkpoint_places(source)
    lengths = [len(ids) for ids in IDS]
    states = embedded(source)
    for layers in (range(0, 1), range(1, 3)):
        out = np.empty_like(states)
        model = PartialModel(source.spec, places, layers, zeros=zeros, threads=2, longest=512)
        model.forward(states, lengths, out=out)
        states = out
    last = PartialModel(
        source.spec, places, range(3, 4), head=True, zeros=zeros, threads=1, longest=512
    )
    got = np.concatenate([logits for _, logits in last.logits(states, lengths)])
    with pocketr1.load(TINY) as engine:
        want = np.concatenate([engine.logits(ids) for ids in IDS])
    assert (got == want).all()


def test_a_reference_is_what_the_whole_model_says(
    source: checkpoint.Checkpoint, zeros: Path, tmp_path: Path
) -> None:
    text = Sequences.of([Sample(tuple(ids), 1) for ids in IDS], prompts=True)
    places = checkpoint_places(source)
    told: list[int] = []
    distance = Distance(
        source.spec,
        places,
        lambda: embedded(source),
        text,
        tmp_path / "reference.npy",
        zeros,
        2,
        told.append,
    )
    # Made layer by layer and kept in float16, from which all the layers together are that far.
    assert distance.measure(places, 0, embedded(source)) < 1e-5
    assert sum(told) == len(text.ids) * len(source.spec.layers)
    with pocketr1.load(TINY) as engine:
        logits = np.concatenate([engine.logits(ids)[:-1] for ids in IDS]).astype(np.float64)
    want = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    want -= logits.max(1, keepdims=True)
    assert np.abs(np.load(tmp_path / "reference.npy") - want).max() < 0.02


def test_the_equalized_twin_in_8_bits_says_what_the_original_says(
    twin: Path, zeros: Path, tmp_path: Path
) -> None:
    source = checkpoint.open(twin)
    samples = tuple(Sample(tuple(ids), 1) for ids in IDS)
    original = checkpoint_places(source)
    matrices = [name for name, tensor in source.tensors.items() if len(tensor.shape) == 2]
    text = CalibrationText(samples, samples, "", None)
    formats = dict.fromkeys(matrices, "w4g64")
    equalized = Equalized(source, original, formats, text, tmp_path / "equalized", 2)
    told: list[int] = []
    equalized.make(told.append)
    assert sum(told) == equalized.tokens * len(source.spec.layers)
    rounded = Unit.write(
        tmp_path / "rounded",
        {name: pack(name, read(source, name), "w8g128", 2) for name in matrices},
    )
    distance = Distance(
        source.spec,
        original,
        lambda: embedded(source),
        Sequences.of(samples, prompts=True),
        tmp_path / "reference.npy",
        zeros,
        2,
        lambda rows: None,
    )
    plain, fitted = (
        distance.measure({**original, **places}, 0, embedded(source))
        for places in (rounded.places(), equalized.places())
    )
    assert fitted < 0.2 * plain
    # What is made stays; what has been removed is not needed again.
    equalized.remove(0)
    equalized.make(lambda rows: pytest.fail("made again"))
    assert "layers.0.q.weight" not in equalized.places()


def test_an_equalized_layer_computes_the_same(
    source: checkpoint.Checkpoint, zeros: Path, tmp_path: Path
) -> None:
    places = checkpoint_places(source)
    lengths = [len(ids) for ids in IDS]
    states = embedded(source)
    observer = GramObserver()
    want = np.empty_like(states)
    model = PartialModel(source.spec, places, range(1), zeros=zeros, threads=2, longest=512)
    model.forward(states, lengths, visit=observer, out=want)
    grams = {name.split(".")[2]: gram.take() for name, gram in observer.grams.items()}
    prefix = "layers.0."
    tensors = {
        name[len(prefix) :]: checkpoint.as_float32(source.read_rows(name), "bf16")
        for name in places
        if name.startswith(prefix)
    }
    before = {name: values.copy() for name, values in tensors.items()}
    layer = source.spec.layers[0]
    formats = dict.fromkeys(tensors, "w4g64")
    energies = {reads: gram.diagonal() for reads, gram in grams.items()}
    keys = key_factors(tensors, grams["q"], layer, source.spec.head_dim)
    factors = equalize_layer(tensors, formats, energies, layer, keys, 2)
    assert any(share is not None for share in factors.shares.values())
    factors.apply(tensors, layer)
    assert any((before[name] != tensors[name]).any() for name in tensors)
    changed = dict(places)
    for name, values in tensors.items():
        file = tmp_path / name
        file.write_bytes(np.ascontiguousarray(values, np.float32).tobytes())
        changed[prefix + name] = Place("f32", values.shape, file, 0)
    got = np.empty_like(states)
    model = PartialModel(source.spec, changed, range(1), zeros=zeros, threads=2, longest=512)
    model.forward(states, lengths, out=got)
    # Keys and values are stored in F16, so that the factors move their rounding.
    assert np.abs(got - want).max() < 2e-3 * np.abs(want).max()
