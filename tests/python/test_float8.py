"""FP8 (f8e4m3): what is stored, what is carried, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketr1
from pocketr1 import _core, bundle, checkpoint
from pocketr1.bundle.layout import CHUNK_BYTES
from pocketr1.checkpoint.fp8 import E4M3
from pocketr1.errors import BundleError

GOLDEN = Path(__file__).parents[1] / "golden" / "quantized"
TINY = Path(__file__).parents[2] / "models" / "tiny-r1"
Floats = np.ndarray[Any, np.dtype[np.float32]]
POSITIVE = E4M3[:127].astype(np.float64)


def nearest(values: Floats) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The code of the nearest E4M3 value, of two the even one; the largest beyond the end."""
    size = np.abs(values.astype(np.float64))
    above = np.searchsorted(POSITIVE, size).clip(1, 126)
    low, high = POSITIVE[above - 1], POSITIVE[above]
    middle = (low + high) / 2
    up = (size > middle) | ((size == middle) & (above % 2 == 0))
    code = np.where(up, above, above - 1).astype(np.uint8)
    return np.where(np.signbit(values), code | 0x80, code).astype(np.uint8)


def random_rows(rows: int, cols: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return (0.02 * rng.standard_t(5, (rows, cols))).astype(np.float32)


@pytest.mark.parametrize("cols", [1, 127, 128, 300])
def test_codes_are_the_nearest_for_the_scale_that_was_chosen(cols: int) -> None:
    weights = random_rows(33, cols, cols)
    part, wrong, all_, largest = _core.quantize_rows(weights, "f32", "f8e4m3")
    codes, scales, zeros = _core.unpack_rows(part, "f8e4m3", 33, cols)
    assert not zeros.any()
    groups = np.arange(cols) // 128
    with np.errstate(invalid="ignore"):
        assert np.array_equal(codes, nearest(weights / scales[:, groups]))
    stored = _core.dequantize_rows(part, "f8e4m3", 33, cols)
    assert np.array_equal(stored, E4M3[codes] * scales[:, groups])
    error = np.abs(weights.astype(np.float64) - stored)
    assert wrong == pytest.approx((error**2).sum(), rel=1e-12)
    assert all_ == pytest.approx((weights.astype(np.float64) ** 2).sum(), rel=1e-12)
    assert largest == error.max()


def test_the_search_beats_the_scale_that_clips_nothing() -> None:
    weights = random_rows(64, 512, 1)
    _, wrong, all_, _ = _core.quantize_rows(weights, "f32", "f8e4m3", 2)
    groups = weights.reshape(64, 4, 128)
    plain = np.abs(groups).max(-1, keepdims=True) / np.float32(448)
    error = E4M3[nearest(groups / plain)] * plain - groups
    assert wrong < 0.85 * (error.astype(np.float64) ** 2).sum()
    assert np.sqrt(wrong / all_) < 0.024


@pytest.mark.parametrize("threads", [1, 3])
def test_bf16_and_f16_rows_give_what_their_numbers_give(threads: int) -> None:
    weights = random_rows(20, 200, 2)
    bf16 = (weights.view(np.uint32) >> 16).astype(np.uint16)
    numbers = (bf16.astype(np.uint32) << 16).view(np.float32)
    from_numbers = _core.quantize_rows(numbers, "f32", "f8e4m3")
    assert np.array_equal(_core.quantize_rows(bf16, "bf16", "f8e4m3", threads)[0], from_numbers[0])


@pytest.mark.parametrize("case", ["fp8-blocks", "ct-fp8-channel", "ct-fp8-tensor"])
def test_fp8_checkpoints_are_carried_bit_for_bit(tmp_path: Path, case: str) -> None:
    report = pocketr1.Quantizer(
        GOLDEN / case, output_path=tmp_path / "out", bits="f8", embedding_bits=16, head_bits=16
    ).run()
    assert (report.carried_tensors, report.requantized_tensors) == (7, 0)
    expected = json.loads((GOLDEN / case / "weights.json").read_text())
    opened = checkpoint.open(GOLDEN / case)
    for name, tensor in opened.tensors.items():
        if tensor.decoder is None:
            continue
        weights = bundle.read_weights(tmp_path / "out", name)
        module = tensor.source_name.rpartition(".")[0]
        digest = hashlib.sha256(weights.tobytes()).hexdigest()
        assert digest == expected[f"{module}.weight"]
        unpacked = bundle.unpack(tmp_path / "out", name)
        assert np.array_equal(unpacked.dequantize(), weights)
    assert bundle.inspect(tmp_path / "out", verify=True).verified


def test_fp8_mixes_with_integers_in_one_plan(tmp_path: Path) -> None:
    report = pocketr1.Quantizer(
        TINY,
        output_path=tmp_path / "out",
        bits=4,
        group_size=64,
        embedding_bits=8,
        head_bits="f8",
    ).run()
    formats = {t.name: t.format for t in report.bundle.tensors}
    assert formats["embed.weight"] == "w8g64"
    assert formats["layers.0.q.weight"] == "w4g64"
    assert formats["head.weight"] == "f8e4m3"
    logits = []
    for isa in pocketr1.isas():
        with pocketr1.load(tmp_path / "out", threads=2, isa=isa) as engine:
            logits.append(engine.logits([5, 6, 7, 8, 9]).tobytes())
    assert len(set(logits)) == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float8") / "out"
    pocketr1.Quantizer(GOLDEN / "fp8-blocks", output_path=path, bits="f8").run()
    return path


@pytest.mark.parametrize(
    ("array", "value", "code", "words"),
    [
        ("codes", b"\x7f", "bundle-codes", "not a number"),
        ("codes", b"\xff", "bundle-codes", "not a number"),
        ("scales", np.float32(-1).tobytes(), "bundle-scales", "negative"),
        ("scales", np.float32(np.nan).tobytes(), "bundle-scales", "not finite"),
        ("scales", np.float32(np.inf).tobytes(), "bundle-scales", "not finite"),
        ("scales", np.float32(2.0**120).tobytes(), "bundle-scales", "2^119"),
    ],
)
def test_bad_values_in_a_bundle_are_refused_by_name(
    whole: Path, tmp_path: Path, array: str, value: bytes, code: str, words: str
) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "bad"))
    shard = path / "blocks" / "00000.safetensors"
    data = bytearray(shard.read_bytes())
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + size])[f"layers.0.up.weight.{array}"]
    assert entry["dtype"] == {"codes": "F8_E4M3", "scales": "F32"}[array]
    at = 8 + size + entry["data_offsets"][0] + 3 * entry["shape"][1] * len(value)
    data[at : at + len(value)] = value
    shard.write_bytes(data)
    metadata = json.loads((path / "bundle.json").read_text())
    for number, chunk in enumerate(metadata["shards"][0]["chunks"]):
        piece = data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        chunk["sha256"] = hashlib.sha256(piece).hexdigest()
    (path / "bundle.json").write_text(json.dumps(metadata))
    with pytest.raises(BundleError) as caught:
        bundle.inspect(path, verify=True)
    assert caught.value.code == code
    for word in (words, "layers.0.up.weight", "row 3"):
        assert word in str(caught.value)
    with pocketr1.load(path, mmap=False) as engine, pytest.raises(BundleError):
        engine.logits([1])


def test_an_option_that_is_no_width_is_refused() -> None:
    for value in ("f4", "8", True, 6):
        with pytest.raises(pocketr1.UsageError) as caught:
            pocketr1.Quantizer(TINY, output_path="out", bits=value)
        assert caught.value.code == "compress-option"
        assert "f8" in caught.value.mend
