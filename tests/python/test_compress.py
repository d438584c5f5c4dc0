"""A checkpoint goes in, a bundle comes out: options, values, errors, report."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quantize_reference as reference
from checkpoint_files import TINY, random_tensors, tiny_shapes, write_checkpoint
from compress_support import bf16, compress, files

from pocketr1 import _core, bundle, messages
from pocketr1.bundle import layout
from pocketr1.compress import DEFAULTS, Progress, Quantizer
from pocketr1.compress import source as compress_source
from pocketr1.errors import BundleError, CompressionError, PocketR1Error, UsageError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small checkpoint with a tokenizer."""
    path = tmp_path / "source"
    write_checkpoint(path)
    (path / "tokenizer.json").write_text('{"version": "1.0"}')
    config = {"chat_template": "{{ messages }}"}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("options", "matrix"),
    [
        ({"bits": 8, "group_size": 128}, "w8g128"),
        ({"bits": 4, "group_size": 32}, "w4g32"),
        ({"bits": 4, "group_size": 64, "symmetric": False}, "w4g64z"),
        ({"bits": 3, "group_size": 64}, "w3g64"),
        ({"bits": 2, "group_size": 32, "symmetric": False}, "w2g32z"),
    ],
)
def test_each_tensor_is_the_reference_s_rounding_of_its_source(
    tmp_path: Path, source: Path, options: dict[str, Any], matrix: str
) -> None:
    compress(source, tmp_path / "out", **options)
    tensors = random_tensors(tiny_shapes(TINY))
    for name, ours in (
        ("model.embed_tokens.weight", "embed.weight"),
        ("model.layers.1.mlp.down_proj.weight", "layers.1.down.weight"),
        ("lm_head.weight", "head.weight"),
    ):
        _, shape, data = tensors[name]
        want = reference.quantize(bf16(data, shape), matrix)
        got = bundle.unpack(tmp_path / "out", ours)
        assert got.format == matrix
        assert (got.codes == want.codes).all() and (got.scales == want.scales).all()
        assert (got.zeros == want.zeros).all()
        weights = bundle.read_weights(tmp_path / "out", ours)
        assert (weights == want.dequantize(layout.group_size(matrix))).all()
        assert (weights == got.dequantize()).all()
    norm = bundle.read_weights(tmp_path / "out", "layers.0.attn_norm.weight")
    _, shape, data = tensors["model.layers.0.input_layernorm.weight"]
    assert norm.shape == (12,) and (norm == bf16(data, shape)).all()


def test_the_bundle_verifies_and_reports_what_it_holds(tmp_path: Path, source: Path) -> None:
    made = compress(source, tmp_path / "out", bits=4, group_size=32).bundle
    report = bundle.inspect(tmp_path / "out", verify=True)
    assert report.verified and not made.verified
    assert report.plan == {
        "method": "rtn-search",
        "bits": 4,
        "group_size": 32,
        "symmetric": True,
        "embedding_bits": 4,
        "head_bits": 4,
    }
    assert report.parameters == sum(int(np.prod(s)) for s in tiny_shapes(TINY).values())
    # embed (40, 12): 3 blocks of 16 rows and one group of 32 inputs: 3 * (256 + 32) bytes.
    embed = report.tensors[0]
    assert (embed.name, embed.format, embed.bytes) == ("embed.weight", "w4g32", 864)
    assert embed.bits_per_weight == 8 * 864 / 480
    whole = sum(t.bytes for t in report.tensors)
    assert report.bits_per_weight == 8 * whole / report.parameters
    assert report.decoder_bits_per_weight == 8 * (whole - 2 * 864) / (report.parameters - 960)
    assert report.kv_bytes_per_token == 2 * 2 * 2 * 1 * 4
    (row,) = report.source
    data = (source / "model.safetensors").read_bytes()
    assert row == {
        "file": "model.safetensors",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert json.loads(json.dumps(report.to_dict()))["segments"] == report.segments
    _, shape, data = random_tensors(tiny_shapes(TINY))["lm_head.weight"]
    weights = bf16(data, shape).astype(np.float64)
    error = weights - bundle.read_weights(tmp_path / "out", "head.weight")
    head = report.tensors[-1]
    assert head.name == "head.weight" and head.relative_rms is not None
    assert head.relative_rms == pytest.approx(
        np.sqrt((error**2).sum() / (weights**2).sum()), rel=1e-6
    )
    assert head.max_abs == pytest.approx(np.abs(error).max(), rel=1e-6)


def test_tokenizer_files_are_copied_byte_for_byte(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "out")
    made = files(tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert made[name] == (source / name).read_bytes()
    record = json.loads(made["bundle.json"])["tokenizer"]
    assert record["files"].keys() == {"tokenizer.json", "tokenizer_config.json"}
    template = hashlib.sha256(b"{{ messages }}").hexdigest()
    assert record["chat_template_sha256"] == template


def test_any_safetensors_reader_can_list_it(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "out")
    data = (tmp_path / "out/blocks/00000.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    entry = header["layers.0.q.weight.codes"]
    assert entry["dtype"] == "U8" and entry["shape"] == [1, 4, 64]


def test_slabs_and_segments_do_not_change_a_weight(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compress(source, tmp_path / "whole", symmetric=False)
    monkeypatch.setattr(compress_source, "SLAB_BYTES", 16 * 24)
    compress(source, tmp_path / "slabs", symmetric=False)
    assert files(tmp_path / "slabs") == files(tmp_path / "whole")
    monkeypatch.setattr(layout, "SEGMENT_LIMIT", 700)
    monkeypatch.setattr(layout, "SHARD_LIMIT", 60_000)
    compress(source, tmp_path / "cut", symmetric=False)
    report = bundle.inspect(tmp_path / "cut", verify=True)
    assert report.shards > 1 and report.largest_segment <= 700
    for tensor in report.tensors:
        if len(tensor.shape) == 2:
            one = bundle.unpack(tmp_path / "whole", tensor.name)
            two = bundle.unpack(tmp_path / "cut", tensor.name)
            assert (one.codes == two.codes).all() and (one.scales == two.scales).all()
    errors = [[t.relative_rms for t in bundle.inspect(tmp_path / n).tensors] for n in
              ("whole", "cut")]  # fmt: skip
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)


@pytest.mark.isa
@pytest.mark.parametrize(
    "options",
    [
        {"bits": 8, "group_size": 32},
        {"bits": 4, "group_size": 64},
        {"bits": 4, "group_size": 32, "symmetric": False},
        {"bits": 16},
    ],
)
def test_every_instruction_set_and_thread_count_writes_the_same_bytes(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("POCKETR1_ISA", "scalar")
    compress(source, tmp_path / "scalar", threads=1, **options)
    want = files(tmp_path / "scalar")
    assert len(want) == 4
    for isa in _core.isas():
        monkeypatch.setenv("POCKETR1_ISA", isa)
        compress(source, tmp_path / isa, threads=3, overwrite=True, **options)
        assert files(tmp_path / isa) == want, isa


@pytest.mark.parametrize(("dtype", "matrix"), [("BF16", "bf16"), ("F16", "f16"), ("F32", "f16")])
def test_16_bits_keep_the_weights(tmp_path: Path, dtype: str, matrix: str) -> None:
    tensors = random_tensors(tiny_shapes(TINY), dtype)
    write_checkpoint(tmp_path / "source", tensors=tensors)
    report = compress(tmp_path / "source", tmp_path / "out", bits=16).bundle
    assert report.plan["method"] == "none"
    assert {t.format for t in report.tensors} == {matrix, "f32"}
    _, shape, data = tensors["lm_head.weight"]
    got = bundle.read_weights(tmp_path / "out", "head.weight")
    if dtype == "BF16":
        assert (got == bf16(data, shape)).all()
    else:
        kind = np.float16 if dtype == "F16" else np.float32
        want = np.frombuffer(data, kind).reshape(shape).astype(np.float16)
        assert (got == want.astype(np.float32)).all()


def test_embedding_and_head_can_have_bits_of_their_own(tmp_path: Path, source: Path) -> None:
    for number, (bits, embedding, head, embed_format, head_format) in enumerate(
        [(4, 16, 8, "bf16", "w8g32"), (4, 2, 3, "w2g32", "w3g32"), (3, 4, 8, "w4g32", "w8g32")]
    ):
        options = {"bits": bits, "embedding_bits": embedding, "head_bits": head}
        report = compress(source, tmp_path / str(number), **options).bundle
        formats = {tensor.name: tensor.format for tensor in report.tensors}
        assert (formats["embed.weight"], formats["head.weight"]) == (embed_format, head_format)
        assert formats["layers.0.up.weight"] == f"w{bits}g32"


def test_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    config = {**TINY, "tie_word_embeddings": True}
    write_checkpoint(tmp_path / "source", config, random_tensors(tiny_shapes(config)))
    report = compress(tmp_path / "source", tmp_path / "out", embedding_bits=8).bundle
    assert "head.weight" not in {tensor.name for tensor in report.tensors}
    assert report.model["tied_embeddings"] is True and report.plan["head_bits"] == 8
    with pytest.raises(UsageError) as caught:
        compress(tmp_path / "source", tmp_path / "other", head_bits=8)
    assert caught.value.code == "compress-tied-head"
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize(("bad", "dtype"), [(np.nan, "F32"), (np.inf, "F16"), (70000.0, "F32")])
def test_a_weight_that_cannot_be_stored_names_tensor_and_row(
    tmp_path: Path, bad: float, dtype: str
) -> None:
    kind = np.float32 if dtype == "F32" else np.float16
    tensors = random_tensors(tiny_shapes(TINY), dtype)
    name = "model.layers.1.mlp.up_proj.weight"
    _, shape, data = tensors[name]
    values = np.frombuffer(data, kind).copy().reshape(shape)
    values[17, 3] = bad
    tensors[name] = (dtype, shape, values.tobytes())
    write_checkpoint(tmp_path / "source", tensors=tensors)
    with pytest.raises(CompressionError) as caught:
        compress(tmp_path / "source", tmp_path / "out", bits=16)
    assert "layers.1.up.weight" in caught.value.what and "row 17" in caught.value.what
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"bits": 5}, "compress-option"),
        ({"bits": True}, "compress-option"),
        ({"bits": "8"}, "compress-option"),
        ({"group_size": 48}, "compress-option"),
        ({"embedding_bits": 5}, "compress-option"),
        ({"head_bits": 0}, "compress-option"),
        ({"symmetric": 1}, "compress-option"),
        ({"bits": 8, "symmetric": False}, "compress-asymmetric"),
        ({"threads": 0}, "threads-value"),
        ({"output_path": None}, "compress-output-missing"),
    ],
)
def test_wrong_options_are_refused_in_both_languages(
    tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Quantizer(tmp_path, **{"output_path": tmp_path / "out", **options})
    assert caught.value.code == code
    english = str(caught.value)
    messages.set_language("zh")
    try:
        assert str(caught.value) != english and any(ord(c) > 0x4E00 for c in str(caught.value))
    finally:
        messages.set_language(None)


def test_the_brief_s_own_call_refuses_the_pickle_with_a_mend(tmp_path: Path) -> None:
    weights = tmp_path / "fp32_model.bin"
    weights.write_bytes(b"\x80\x02")
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    with pytest.raises(PocketR1Error) as caught:
        Quantizer(
            model_path=str(weights),
            config_path=str(tmp_path / "config.json"),
            output_path=str(tmp_path / "int8_model"),
            bits=8,
            group_size=128,
        ).run()
    assert caught.value.code == "checkpoint-pickle" and "safetensors" in caught.value.mend
    assert not list(tmp_path.glob("int8_model*"))


def test_defaults_are_int8_in_groups_of_128(tmp_path: Path) -> None:
    made = Quantizer(tmp_path, output_path=tmp_path / "out")
    assert (made.recipe.bits, made.recipe.group_size, made.recipe.symmetric) == (8, 128, True)
    assert (DEFAULTS.bits, DEFAULTS.group_size) == (8, 128)


def test_progress_covers_the_source_twice(tmp_path: Path, source: Path) -> None:
    seen: list[Progress] = []
    compress(source, tmp_path / "out", progress=seen.append)
    stages = [step.stage for step in seen]
    assert stages == sorted(stages, reverse=True)  # hash, then compress
    hashed = [step for step in seen if step.stage == "hash"]
    assert hashed[-1].done == hashed[-1].total == (source / "model.safetensors").stat().st_size
    compressed = [step for step in seen if step.stage == "compress"]
    assert [s.done for s in compressed] == sorted(s.done for s in compressed)
    assert compressed[-1].done == compressed[-1].total
    assert compressed[-1].tensor == "head.weight"


def test_the_estimate_is_what_comes_out(tmp_path: Path, source: Path) -> None:
    job = Quantizer(source, output_path=tmp_path / "deep/out", bits=4, group_size=64, threads=1)
    before = files(tmp_path)
    guess = job.estimate()
    assert files(tmp_path) == before and not (tmp_path / "deep").exists()
    report = job.run().bundle
    assert guess.weight_bytes == report.weight_bytes
    assert guess.bits_per_weight == report.bits_per_weight
    assert guess.decoder_bits_per_weight == report.decoder_bits_per_weight
    assert guess.output_bytes == pytest.approx(report.file_bytes, rel=0.05)
    assert guess.disk_needed_bytes >= 0.95 * report.file_bytes
    assert guess.seconds > 0 and guess.disk_free_bytes > 0
    assert guess.run_memory_bytes == report.weight_bytes + 4096 * report.kv_bytes_per_token


def test_unpack_says_what_it_cannot_do(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "out")
    with pytest.raises(PocketR1Error) as caught:
        bundle.unpack(tmp_path / "out", "layers.9.q.weight")
    assert caught.value.code == "bundle-no-tensor"
    with pytest.raises(PocketR1Error) as caught:
        bundle.unpack(tmp_path / "out", "final_norm.weight")
    assert caught.value.code == "bundle-row-major"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["model"].pop("layers"),
        lambda m: m["model"].update(hidden_size="12"),
        lambda m: m["model"].update(hidden_size=13),
        lambda m: m["model"]["layers"].append(m["model"]["layers"][0]),
        lambda m: m["model"]["layers"].pop(),
        lambda m: m["model"].update(tied_embeddings=True),
        lambda m: m["model"].update(qk_norm=True),
    ],
)
def test_a_bundle_that_is_not_its_model_is_refused(
    tmp_path: Path, source: Path, change: Any
) -> None:
    compress(source, tmp_path / "out")
    path = tmp_path / "out/bundle.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))
    with pytest.raises(BundleError):
        bundle.inspect(tmp_path / "out")


@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, [[]], {"a": 1}, True])
@pytest.mark.parametrize("key", ["plan", "source", "created_by", "calibration", "error"])
def test_what_only_informs_may_be_anything(
    tmp_path: Path, source: Path, key: str, junk: object
) -> None:
    compress(source, tmp_path / "out")
    path = tmp_path / "out/bundle.json"
    metadata = json.loads(path.read_text())
    if key == "error":
        metadata["tensors"][0]["error"] = junk
        metadata["tensors"][1]["error"] = {"relative_rms": junk, "max_abs": junk}
    else:
        metadata[key] = junk
    path.write_text(json.dumps(metadata))
    assert bundle.inspect(tmp_path / "out").to_dict()["tensors"][0]["name"] == "embed.weight"
