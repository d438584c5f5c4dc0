"""Models written as GGUF: the bytes are what the format says, and come back unchanged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import TINY as SMALL
from checkpoint_files import random_tensors, tiny_shapes, write_checkpoint
from compress_support import files

import pocketr1
from pocketr1 import Quantizer, bundle, checkpoint
from pocketr1.checkpoint.gguf import read_header
from pocketr1.checkpoint.gguf.blocks import TENSOR_TYPES
from pocketr1.cli.app import main
from pocketr1.engine import locate
from pocketr1.errors import CompressionError, UsageError
from pocketr1.export import ExportProgress, export_gguf

MODELS = Path(__file__).parents[1] / "golden" / "models"
TINY = locate("tiny").path
CASES = ["llama-llama3-gqa3", "llama-biases-tied", "qwen2-two-shards", "qwen3-yarn-gqa2"]


def weights(path: Path, name: str) -> np.ndarray[Any, Any]:
    """The numbers of a checkpoint's or GGUF file's tensor."""
    opened = checkpoint.open(path)
    return checkpoint.as_float32(opened.read_rows(name), opened.tensors[name].dtype)


@pytest.fixture(scope="module")
def int4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny R1 in 4 bits, groups of 64, embedding and head in 8."""
    path = tmp_path_factory.mktemp("export") / "int4"
    Quantizer(TINY, output_path=path, bits=4, group_size=64, embedding_bits=8, head_bits=8).run()
    return path


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, case: str) -> None:
    if not MODELS.is_dir():
        pytest.skip("the source distribution comes without golden files")
    path = tmp_path / "m.gguf"
    report = export_gguf(MODELS / case, path)
    assert report.exact == report.matrices
    before, after = checkpoint.open(MODELS / case), checkpoint.open(path)
    for name in before.tensors:
        assert np.array_equal(weights(path, name), weights(MODELS / case, name)), name
    ours, theirs = after.spec.to_dict(), before.spec.to_dict()
    for spec in (ours, theirs):
        rope: Any = spec.pop("rope")
        spec["rope"] = np.array([*rope["inv_freq"], rope["attention_scaling"]], np.float32)
        del spec["bos_token_id"], spec["eos_token_ids"]  # of a tokenizer, which these lack
        spec["rms_norm_eps"] = np.float32(spec["rms_norm_eps"])
    assert np.allclose(ours.pop("rope"), theirs.pop("rope"), rtol=3e-7, atol=0)
    assert ours == theirs


@pytest.mark.parametrize(("kind", "number"), [("f16", 1), ("q8_0", 8), ("q4_0", 2)])
def test_types_are_what_was_asked_for(tmp_path: Path, kind: str, number: int) -> None:
    path = tmp_path / "m.gguf"
    report = export_gguf(TINY, path, kind)
    tensors = read_header(path).tensors
    kinds = {name: tensor.type for name, tensor in tensors.items() if len(tensor.shape) == 2}
    assert kinds.pop("output.weight") == (8 if kind == "q4_0" else number)
    assert set(kinds.values()) == {number}
    assert all(tensor.type == 0 for tensor in tensors.values() if len(tensor.shape) == 1)
    assert report.file_bytes == path.stat().st_size
    limits = {"f16": 1e-3, "q8_0": 0.01, "q4_0": 0.12}
    for name in ("embed.weight", "layers.3.down.weight", "layers.0.k.weight"):
        ours, original = weights(path, name), weights(TINY, name)
        error = np.linalg.norm(ours - original) / np.linalg.norm(original)
        assert error < limits[kind], name


def test_a_bundle_s_codes_are_taken_over(tmp_path: Path, int4: Path) -> None:
    path = tmp_path / "m.gguf"
    report = export_gguf(int4, path)
    assert report.exact == report.matrices == 30
    assert dict(report.types) == {"Q8_0": 2, "Q4_0": 28}
    for name in ("layers.1.q.weight", "layers.2.down.weight", "head.weight"):
        assert np.array_equal(weights(path, name), bundle.read_weights(int4, name))


def test_asked_for_the_same_bits_nothing_is_quantized_again(tmp_path: Path, int4: Path) -> None:
    report = export_gguf(int4, tmp_path / "m.gguf", "q4_0")
    assert report.exact == 29  # all but the embedding, which has 8 bits
    report = export_gguf(int4, tmp_path / "n.gguf", "q8_0")
    assert report.exact == report.matrices


def test_zero_points_become_minima(tmp_path: Path) -> None:
    Quantizer(TINY, output_path=tmp_path / "z", bits=4, group_size=32, symmetric=False).run()
    report = export_gguf(tmp_path / "z", tmp_path / "m.gguf")
    assert report.types["Q4_1"] > 25 and report.exact < report.matrices
    name = "layers.1.q.weight"
    ours, original = weights(tmp_path / "m.gguf", name), bundle.read_weights(tmp_path / "z", name)
    largest = np.abs(original).max()
    assert np.abs(ours - original).max() <= largest * 2**-10


def test_gguf_in_and_out_is_the_same_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q8_0 and Q4_0, with scales of both signs, survive a bundle."""
    monkeypatch.setenv("POCKETR1_CACHE", str(tmp_path / "cache"))
    for kind in ("q8_0", "q4_0"):
        first, second = tmp_path / "m.gguf", tmp_path / "again" / "m.gguf"
        export_gguf(TINY, first, kind, overwrite=True)
        data = bytearray(first.read_bytes())
        tensor = read_header(first).tensors["blk.1.ffn_up.weight"]
        size = TENSOR_TYPES[tensor.type].block_bytes
        data[tensor.offset + 1 : tensor.offset + 40 * size : size] = b"\xa2" * 40  # negative
        first.write_bytes(data)
        place = pocketr1.import_gguf(first)
        report = export_gguf(place, second, overwrite=True)
        assert report.exact == report.matrices
        names = list(checkpoint.open(first).tensors)
        for name in names:
            assert np.array_equal(weights(first, name), weights(second, name)), name
        export_gguf(first, second, overwrite=True)
        for name in names:
            assert np.array_equal(weights(first, name), weights(second, name)), name


def test_tokenizer_and_template_come_along(tmp_path: Path, int4: Path) -> None:
    for model in (TINY, int4):
        export_gguf(model, tmp_path / "m.gguf", overwrite=True)
        metadata = read_header(tmp_path / "m.gguf").metadata
        settings = json.loads((TINY / "tokenizer_config.json").read_text("utf-8"))
        assert metadata["tokenizer.chat_template"] == settings["chat_template"].encode()
        assert metadata["tokenizer.ggml.pre"] == b"deepseek-r1-qwen"
        assert metadata["tokenizer.ggml.add_bos_token"] is True
        assert len(metadata["tokenizer.ggml.tokens"]) == 4000
        kinds = metadata["tokenizer.ggml.token_type"]
        # <｜User｜> is a tag of the template, <think> is text that is cut out first.
        assert (kinds[3994], kinds[3998], kinds[0]) == (3, 4, 1)


def test_rows_that_fill_no_block_stay_f16(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "small", {**SMALL, "head_dim": 4})
    report = export_gguf(tmp_path / "small", tmp_path / "m.gguf", "q8_0")
    assert dict(report.types) == {"F16": 16}


def test_an_output_that_is_there_is_left_alone(tmp_path: Path, int4: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"precious")
    with pytest.raises(CompressionError) as caught:
        export_gguf(int4, path)
    assert caught.value.code == "export-exists" and path.read_bytes() == b"precious"
    with pytest.raises(CompressionError) as caught:
        export_gguf(int4, tmp_path, overwrite=True)
    assert caught.value.code == "export-exists"


def test_a_stopped_export_leaves_nothing(tmp_path: Path, int4: Path) -> None:
    def stop(progress: ExportProgress) -> None:
        if progress.done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_gguf(int4, tmp_path / "out" / "m.gguf", progress=stop)
    assert files(tmp_path / "out") == {}


def test_what_gguf_cannot_say_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        export_gguf(TINY, tmp_path / "m.gguf", "q3_k")
    assert caught.value.code == "export-type"
    tensors = random_tensors(tiny_shapes(SMALL), "F32")
    shape = tiny_shapes(SMALL)["model.embed_tokens.weight"]
    large = np.full(shape, 70_000, "<f4").tobytes()
    tensors["model.embed_tokens.weight"] = ("F32", shape, large)
    write_checkpoint(tmp_path / "large", SMALL, tensors)
    with pytest.raises(CompressionError) as failed:
        export_gguf(tmp_path / "large", tmp_path / "m.gguf", "f16")
    assert failed.value.code == "export-gguf-range"
    assert failed.value.params["tensor"] == "embed.weight"
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tree: tree["model"].update(type="Unigram"), "byte-level BPE"),
        (lambda tree: tree.update(pre_tokenizer={"type": "Whitespace"}), "cuts text"),
        (lambda tree: tree["model"]["vocab"].update(more=9999), "a token 9999"),
        (lambda tree: tree.update(model=3), "not as expected"),
    ],
)
def test_another_tokenizer_is_an_error(tmp_path: Path, change: Any, reason: str) -> None:
    shutil.copytree(TINY, tmp_path / "model")
    tree = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    change(tree)
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(tree), "utf-8")
    with pytest.raises(CompressionError) as caught:
        export_gguf(tmp_path / "model", tmp_path / "m.gguf")
    assert caught.value.code == "export-gguf-tokenizer"
    assert reason in str(caught.value.params["reason"])


def test_the_command_prints_what_it_wrote(
    tmp_path: Path, int4: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "m.gguf")
    assert main(["export", str(int4), "--format", "gguf", "-o", out]) == 0
    printed = capsys.readouterr().out
    assert out in printed and "Q4_0 (28)" in printed and "30 / 30" in printed
    assert main(["export", str(int4), "-o", out, "--type", "q8_0", "--overwrite", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["types"] == {"Q8_0": 30} and document["format"] == "gguf"
    assert main(["export", str(int4), "-o", out]) == 1
    assert "error[export-exists]" in capsys.readouterr().err
    assert main(["export", str(int4), "-o", out, "--format", "onnx"]) == 2
    assert "error[export-format]" in capsys.readouterr().err


def test_what_is_quantized_in_a_way_of_its_own_becomes_q8_0(tmp_path: Path) -> None:
    """A Q4_1 tensor has codes that no format of ours holds; F32 would be eight times its size."""
    Quantizer(TINY, output_path=tmp_path / "z", bits=4, group_size=32, symmetric=False).run()
    export_gguf(tmp_path / "z", tmp_path / "q4_1.gguf")
    report = export_gguf(tmp_path / "q4_1.gguf", tmp_path / "again.gguf")
    assert set(report.types) <= {"Q8_0", "Q4_0"} and report.types["Q8_0"] > 25
