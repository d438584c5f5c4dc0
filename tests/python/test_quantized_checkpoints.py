"""Checkpoints that others quantized: FP8, GPTQ, AWQ and compressed-tensors.

tests/golden/quantized holds one small model in each encoding, and the SHA-256 of the weights that
compressed-tensors, transformers or AutoGPTQ's own arithmetic make of it (make_quantized.py).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import write_safetensors
from quantized_files import e4m3_values, write_gptq

import pocketr1
from pocketr1 import bundle, checkpoint
from pocketr1.errors import CheckpointError

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"
GOLDEN = Path(__file__).parents[1] / "golden" / "quantized"
#: The format that holds each as it is, in its q projection.
EXACT = {
    "awq-g32": "w4g32z",
    "ct-fp8-channel": "f8e4m3",
    "ct-fp8-tensor": "f8e4m3",
    "ct-int4-g32": "w4g32",
    "ct-int4-g64-zeros": "w4g64z",
    "ct-int8-channel": None,  # there are codes of -128
    "ct-int8-g32": None,
    "fp8-blocks": "f8e4m3",
    "gptq-int4-g32": "w4g32",
    "gptq-int4-g32-order": None,  # a group's inputs lie anywhere
    "gptq-int4-g32-zeros-v2": "w4g32z",
    "gptq-int8-g32": None,
}
Q = "model.layers.0.self_attn.q_proj"


def test_every_encoding_is_known_here() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(EXACT)


@pytest.mark.parametrize("case", EXACT)
def test_weights_are_those_the_others_read_bit_for_bit(case: str) -> None:
    opened = checkpoint.open(GOLDEN / case)
    expected = json.loads((GOLDEN / case / "weights.json").read_text())
    names = {t.source_name.rpartition(".")[0]: n for n, t in opened.tensors.items() if t.decoder}
    assert {f"{module}.weight" for module in names} == set(expected)
    for module, name in names.items():
        weights = opened.read_rows(name)
        assert weights.dtype == np.float32
        assert weights.shape == opened.tensors[name].shape
        digest = hashlib.sha256(np.ascontiguousarray(weights).tobytes()).hexdigest()
        assert digest == expected[f"{module}.weight"]
        slabs = [opened.read_rows(name, at, min(at + 13, 32)) for at in range(0, 32, 13)]
        assert np.array_equal(np.concatenate(slabs), weights[:32])


@pytest.mark.parametrize("case", EXACT)
def test_what_our_formats_hold_is_found_out(case: str) -> None:
    decoder = checkpoint.open(GOLDEN / case).tensors["layers.0.q.weight"].decoder
    assert decoder is not None
    assert decoder.exact_format == EXACT[case]


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("awq-g32", {"bits": 4, "group_size": 32, "symmetric": False}),
        ("ct-int4-g32", {"bits": 4, "group_size": 32}),
        ("ct-int4-g64-zeros", {"bits": 4, "group_size": 64, "symmetric": False}),
        ("gptq-int4-g32", {"bits": 4, "group_size": 32}),
        ("gptq-int4-g32-zeros-v2", {"bits": 4, "group_size": 32, "symmetric": False}),
    ],
)
def test_codes_that_fit_are_carried_without_any_change(
    tmp_path: Path, case: str, options: dict[str, Any]
) -> None:
    report = pocketr1.Quantizer(GOLDEN / case, output_path=tmp_path / "out", **options).run()
    assert (report.carried_tensors, report.requantized_tensors) == (7, 0)
    opened = checkpoint.open(GOLDEN / case)
    for name, tensor in opened.tensors.items():
        if tensor.decoder is not None:
            carried = bundle.read_weights(tmp_path / "out", name)
            assert np.array_equal(carried, opened.read_rows(name))
    errors = {t.name: t.relative_rms for t in report.bundle.tensors}
    assert errors["layers.0.q.weight"] == 0.0


def test_every_kind_of_carriage_runs(tmp_path: Path) -> None:
    pocketr1.Quantizer(
        GOLDEN / "awq-g32", output_path=tmp_path / "out", bits=4, group_size=32, symmetric=False
    ).run()
    assert bundle.inspect(tmp_path / "out", verify=True).verified


@pytest.mark.parametrize(
    ("case", "limit"),
    [("gptq-int4-g32-order", 0.08), ("ct-int8-channel", 0.004), ("gptq-int8-g32", 0.004)],
)
def test_what_does_not_fit_is_quantized_anew_and_told(
    tmp_path: Path, case: str, limit: float
) -> None:
    bits = 4 if "int4" in case else 8
    report = pocketr1.Quantizer(
        GOLDEN / case, output_path=tmp_path / "out", bits=bits, group_size=32
    ).run()
    assert (report.carried_tensors, report.requantized_tensors) == (0, 7)
    opened = checkpoint.open(GOLDEN / case)
    for name, tensor in opened.tensors.items():
        if tensor.decoder is not None:
            exact = opened.read_rows(name)
            wrong = np.linalg.norm(bundle.read_weights(tmp_path / "out", name) - exact)
            assert 0 < wrong <= limit * np.linalg.norm(exact)


def test_the_report_says_what_would_have_carried_the_codes(tmp_path: Path) -> None:
    report = pocketr1.Quantizer(
        GOLDEN / "awq-g32", output_path=tmp_path / "out", bits=4, group_size=64
    ).run()
    assert (report.carried_tensors, report.requantized_tensors) == (0, 7)
    assert report.carrying_format == "w4g32z"


def test_codes_of_eight_bits_are_carried_where_none_is_the_lowest(tmp_path: Path) -> None:
    source = edited(tmp_path, "ct-int8-g32")
    for name in list(source.tensors):
        if name.endswith("weight_packed"):
            codes = np.frombuffer(source.tensors[name][2], np.uint8).copy()
            codes[codes == 0] = 1
            source.put(name, codes)
    source.write()
    report = pocketr1.Quantizer(source.path, output_path=tmp_path / "b", bits=8, group_size=32)
    assert report.run().carried_tensors == 7
    opened = checkpoint.open(source.path)
    assert np.array_equal(
        bundle.read_weights(tmp_path / "b", "layers.0.up.weight"),
        opened.read_rows("layers.0.up.weight"),
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_of_any_width_is_read_as_autogptq_lays_it_out(
    tmp_path: Path, bits: int, symmetric: bool
) -> None:
    meant = write_gptq(TINY, tmp_path / "gptq", bits, symmetric=symmetric)
    opened = checkpoint.open(tmp_path / "gptq")
    encoded = {
        t.source_name.rpartition(".")[0] + ".weight": name
        for name, t in opened.tensors.items()
        if t.decoder is not None
    }
    assert set(encoded) == set(meant) and len(meant) == 28
    for stored, name in encoded.items():
        assert np.array_equal(opened.read_rows(name), meant[stored])
        assert np.array_equal(opened.read_rows(name, 17, 42), meant[stored][17:42])


@pytest.mark.parametrize("bits", [2, 3])
def test_gptq_of_few_bits_is_decoded_and_quantized_anew(tmp_path: Path, bits: int) -> None:
    meant = write_gptq(TINY, tmp_path / "gptq", bits)
    report = pocketr1.Quantizer(
        tmp_path / "gptq", output_path=tmp_path / "out", bits=8, group_size=32
    ).run()
    assert (report.carried_tensors, report.requantized_tensors) == (0, 28)
    weights = meant["model.layers.2.mlp.down_proj.weight"]
    wrong = bundle.read_weights(tmp_path / "out", "layers.2.down.weight") - weights
    assert np.linalg.norm(wrong) < 0.01 * np.linalg.norm(weights)


def test_scales_that_are_powers_of_two_are_read_and_carried(tmp_path: Path) -> None:
    """E8M0 is a power of two's exponent with bias 127 (OCP Microscaling 1.0, section 5.4.1)."""
    source = edited(tmp_path, "fp8-blocks")
    source.scheme["scale_fmt"] = "ue8m0"
    exponents = {}
    for number, name in enumerate(n for n in source.tensors if n.endswith("_scale_inv")):
        shape = source.tensors[name][1]
        codes = (100 + number + np.arange(np.prod(shape))).astype(np.uint8).reshape(shape)
        exponents[name] = codes
        source.put(name, codes, "F8_E8M0")
    opened = checkpoint.open(source.write())
    out = tmp_path / "out"
    report = pocketr1.Quantizer(source.path, output_path=out, bits="f8", head_bits=16).run()
    assert report.carried_tensors == len(exponents) == 7
    values = e4m3_values()
    for name, tensor in opened.tensors.items():
        if tensor.decoder is None:
            continue
        _, shape, data = source.tensors[tensor.source_name]
        codes = np.frombuffer(data, np.uint8).reshape(shape)
        numbers = np.where(codes < 128, 1, -1) * values[codes & 127].astype(np.float64)
        exponent = exponents[f"{tensor.source_name}_scale_inv"].astype(int) - 127
        wide = exponent.repeat(128, 0).repeat(128, 1)[: shape[0], : shape[1]]
        assert np.array_equal(opened.read_rows(name), numbers * 2.0**wide)
        assert np.array_equal(bundle.read_weights(out, name), numbers * 2.0**wide)


@pytest.mark.parametrize("code", [0, 254])
def test_the_ends_of_e8m0_are_numbers_and_255_is_none(tmp_path: Path, code: int) -> None:
    source = edited(tmp_path, "fp8-blocks")
    name = f"{Q}.weight_scale_inv"
    shape = source.tensors[name][1]
    ones = np.zeros(source.tensors[f"{Q}.weight"][1], np.uint8)
    ones[0, 0] = 0x38  # 1.0
    source.put(f"{Q}.weight", ones)
    source.put(name, np.full(shape, code, np.uint8), "F8_E8M0")
    rows = checkpoint.open(source.write()).read_rows("layers.0.q.weight")
    assert rows[0, 0] == 2.0 ** (code - 127) and not rows[1:].any()
    source.put(name, np.full(shape, 255, np.uint8))
    source.write()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.path).read_rows("layers.0.q.weight")
    assert caught.value.code == "checkpoint-encoded-value"
    assert caught.value.params["tensor"] == name


class Edited:
    """A copy of a golden checkpoint that a test changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = json.loads((path / "config.json").read_text())
        data = (path / "model.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        self.tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
        for name, row in header.items():
            begin, end = (8 + size + at for at in row["data_offsets"])
            self.tensors[name] = (row["dtype"], tuple(row["shape"]), data[begin:end])

    @property
    def scheme(self) -> dict[str, Any]:
        scheme: dict[str, Any] = self.config["quantization_config"]
        return scheme

    def put(self, name: str, data: np.ndarray[Any, Any], dtype: str = "") -> None:
        old, shape, _ = self.tensors[name]
        shape = shape if not dtype else data.shape
        self.tensors[name] = (dtype or old, shape, data.tobytes())

    def write(self) -> Path:
        (self.path / "config.json").write_text(json.dumps(self.config))
        write_safetensors(self.path / "model.safetensors", self.tensors)
        return self.path


def edited(tmp_path: Path, case: str) -> Edited:
    return Edited(Path(shutil.copytree(GOLDEN / case, tmp_path / "source")))


@pytest.mark.parametrize(
    ("case", "key", "value"),
    [
        ("gptq-int4-g32", "quant_method", "bitsandbytes"),
        ("gptq-int4-g32", "bits", 5),
        ("gptq-int4-g32", "bits", "4"),
        ("gptq-int4-g32", "group_size", 0),
        ("gptq-int4-g32", "checkpoint_format", "marlin"),
        ("gptq-int4-g32", "dynamic", {"-:.*down.*": {}}),
        ("awq-g32", "version", "gemv"),
        ("awq-g32", "bits", 3),
        ("fp8-blocks", "fmt", "e5m2"),
        ("fp8-blocks", "weight_block_size", [128]),
        ("fp8-blocks", "weight_block_size", [0, 128]),
        ("ct-int4-g32", "format", "marlin-24"),
        ("ct-int4-g32", "transform_config", {"config_groups": {"R1": {}}}),
        ("ct-int4-g32", "sparsity_config", {"format": "sparse-24-bitmask"}),
        ("ct-int4-g32", "config_groups", []),
        ("ct-int4-g32", "config_groups", {"group_0": {"targets": ["Linear"]}}),
        ("ct-int4-g32", "config_groups", {"g": {"weights": {"num_bits": 3}}}),
        ("ct-fp8-channel", "config_groups", {"g": {"weights": {"num_bits": 4, "type": "float"}}}),
        ("ct-fp8-channel", "config_groups", {"g": {"weights": {"type": "float", "symmetric": 0}}}),
        ("ct-int8-channel", "config_groups", {"g": {"weights": {"strategy": "block"}}}),
    ],
)
def test_a_scheme_that_is_not_read_is_named(
    tmp_path: Path, case: str, key: str, value: object
) -> None:
    source = edited(tmp_path, case)
    source.scheme[key] = value
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-quantized"
    assert "config.json" in caught.value.params["where"]
    assert key in caught.value.params["key"] or "config_groups" in caught.value.params["key"]


def without(part: str) -> Callable[[Edited], str]:
    def change(source: Edited) -> str:
        del source.tensors[f"{Q}.{part}"]
        return part

    return change


def reshaped(part: str) -> Callable[[Edited], str]:
    def change(source: Edited) -> str:
        dtype, shape, data = source.tensors[f"{Q}.{part}"]
        source.tensors[f"{Q}.{part}"] = (dtype, (*shape, 1), data)
        return part

    return change


def retyped(part: str, dtype: str) -> Callable[[Edited], str]:
    def change(source: Edited) -> str:
        _, shape, data = source.tensors[f"{Q}.{part}"]
        source.tensors[f"{Q}.{part}"] = (dtype, shape, data)
        return part

    return change


@pytest.mark.parametrize(
    ("case", "change", "code"),
    [
        ("gptq-int4-g32", without("scales"), "checkpoint-tensor-missing"),
        ("gptq-int4-g32", without("qzeros"), "checkpoint-tensor-missing"),
        ("gptq-int4-g32-order", without("g_idx"), "checkpoint-tensor-missing"),
        ("awq-g32", without("qzeros"), "checkpoint-tensor-missing"),
        ("fp8-blocks", without("weight_scale_inv"), "checkpoint-tensor-missing"),
        ("ct-int4-g32", without("weight_shape"), "checkpoint-tensor-missing"),
        ("ct-int4-g32", without("weight_scale"), "checkpoint-tensor-missing"),
        ("ct-int4-g64-zeros", without("weight_zero_point"), "checkpoint-tensor-missing"),
        ("gptq-int4-g32", reshaped("qzeros"), "checkpoint-tensor-shape"),
        ("gptq-int4-g32", reshaped("qweight"), "checkpoint-tensor-shape"),
        ("awq-g32", reshaped("scales"), "checkpoint-tensor-shape"),
        ("fp8-blocks", reshaped("weight_scale_inv"), "checkpoint-tensor-shape"),
        ("ct-int4-g32", reshaped("weight_scale"), "checkpoint-tensor-shape"),
        ("ct-int4-g64-zeros", reshaped("weight_zero_point"), "checkpoint-tensor-shape"),
        ("ct-fp8-channel", reshaped("weight_scale"), "checkpoint-tensor-shape"),
        ("gptq-int4-g32", retyped("qweight", "F32"), "checkpoint-encoded-type"),
        ("awq-g32", retyped("scales", "I16"), "checkpoint-encoded-type"),
        ("ct-fp8-channel", retyped("weight", "F8_E5M2"), "checkpoint-encoded-type"),
        ("fp8-blocks", retyped("weight", "I8"), "checkpoint-encoded-type"),
    ],
)
def test_a_part_that_is_not_as_the_config_says_is_named(
    tmp_path: Path, case: str, change: Callable[[Edited], str], code: str
) -> None:
    source = edited(tmp_path, case)
    part = change(source)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == code
    assert caught.value.params["tensor"] == f"{Q}.{part}"
    assert "model.safetensors" in caught.value.params["where"]


def test_a_group_size_that_does_not_fit_the_scales_is_refused(tmp_path: Path) -> None:
    source = edited(tmp_path, "gptq-int4-g32")
    source.scheme["group_size"] = 64
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-tensor-shape"


@pytest.mark.parametrize(
    ("case", "part", "data"),
    [
        ("fp8-blocks", "weight", np.full(64 * 64, 0x7F, np.uint8)),
        ("fp8-blocks", "weight", np.full(64 * 64, 0xFF, np.uint8)),
        ("fp8-blocks", "weight_scale_inv", np.array([np.inf], np.float32)),
        ("ct-int4-g32", "weight_scale", np.full((64, 2), 0x7FC0, np.uint16)),
        ("gptq-int4-g32", "scales", np.full((2, 64), np.nan, np.float16)),
        ("gptq-int4-g32-order", "g_idx", np.full(64, 2, np.int32)),
        ("gptq-int4-g32-order", "g_idx", np.full(64, -1, np.int32)),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, case: str, part: str, data: np.ndarray[Any, Any]
) -> None:
    source = edited(tmp_path, case)
    source.put(f"{Q}.{part}", data)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write()).read_rows("layers.0.q.weight")
    assert caught.value.code == "checkpoint-encoded-value"
    assert caught.value.params["tensor"] == f"{Q}.{part}"


def test_a_shape_that_the_words_do_not_fill_is_refused(tmp_path: Path) -> None:
    source = edited(tmp_path, "ct-int4-g32")
    source.put(f"{Q}.weight_shape", np.array([64, 128], np.int64))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-tensor-shape"


def test_a_module_the_model_does_not_have_is_refused_by_its_stored_name(tmp_path: Path) -> None:
    source = edited(tmp_path, "awq-g32")
    for part in ("qweight", "qzeros", "scales"):
        source.tensors[f"model.extra.{part}"] = source.tensors[f"{Q}.{part}"]
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-tensor-unknown"
    assert caught.value.params["tensor"] == "model.extra.qweight"


def test_a_weight_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    source = edited(tmp_path, "awq-g32")
    source.tensors[f"{Q}.weight"] = ("F16", (64, 64), bytes(64 * 64 * 2))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-tensor-twice"
    assert caught.value.params["tensor"] == f"{Q}.weight"


def test_inspect_says_how_weights_are_stored() -> None:
    formats = {t.name: t.format for t in pocketr1.inspect(GOLDEN / "awq-g32").tensors}
    assert formats["layers.0.q.weight"] == "int4"
    assert formats["embed.weight"] == "bf16"
    fp8 = {t.name: t.format for t in pocketr1.inspect(GOLDEN / "fp8-blocks").tensors}
    assert fp8["layers.0.q.weight"] == "fp8"


def test_a_bias_of_zeros_that_the_model_does_not_have_is_ignored(tmp_path: Path) -> None:
    source = edited(tmp_path, "gptq-int4-g32")
    bias = "model.layers.0.self_attn.o_proj.bias"
    source.tensors[bias] = ("F16", (64,), bytes(128))
    assert bias in checkpoint.open(source.write()).ignored
    source.tensors[bias] = ("F16", (64,), b"\x00\x3c" * 64)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(source.write())
    assert caught.value.code == "checkpoint-tensor-unknown"


def test_what_older_tools_wrote_beside_the_config_is_read(tmp_path: Path) -> None:
    source = edited(tmp_path, "gptq-int4-g32")
    scheme = source.config.pop("quantization_config")
    del scheme["quant_method"], scheme["checkpoint_format"]
    (source.path / "quantize_config.json").write_text(json.dumps(scheme))
    before = checkpoint.open(GOLDEN / "gptq-int4-g32").read_rows("layers.0.q.weight")
    assert np.array_equal(checkpoint.open(source.write()).read_rows("layers.0.q.weight"), before)


def test_a_quantized_checkpoint_does_not_run_as_it_lies() -> None:
    with pytest.raises(CheckpointError) as caught:
        pocketr1.load(GOLDEN / "fp8-blocks")
    assert caught.value.code == "checkpoint-encoded-run"
    assert "pocketr1 compress" in caught.value.mend


def test_a_quantized_source_is_not_deleted_while_it_is_read(tmp_path: Path) -> None:
    source = shutil.copytree(GOLDEN / "awq-g32", tmp_path / "source")
    with pytest.raises(pocketr1.UsageError) as caught:
        pocketr1.Quantizer(source, output_path=tmp_path / "out", discard_source=True).run()
    assert caught.value.code == "compress-encoded-discard"
    assert (tmp_path / "source" / "model.safetensors").exists()


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    source = edited(tmp_path, "awq-g32")
    path = source.write() / "model.safetensors"
    opened = checkpoint.open(source.path)
    path.write_bytes(path.read_bytes()[:2000])
    for at in (0, 40):
        with pytest.raises(CheckpointError) as caught:
            opened.read_rows("layers.0.down.weight", at, at + 3)
        assert caught.value.code == "checkpoint-read"
