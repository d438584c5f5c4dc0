"""GGUF files described as models: the same logits as transformers, and clear refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import TINY, random_tensors, tiny_shapes
from gguf_files import (
    ARRAY,
    F32,
    STRING,
    U32,
    Entry,
    Tensors,
    convert,
    gguf_name,
    model_entries,
    tokenizer_entries,
    write_gguf,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle_support import bound, greedy, start

import pocketr1
from pocketr1 import Quantizer, _core, checkpoint
from pocketr1.chat.tokenizer import load_tokenizer
from pocketr1.errors import CheckpointError, EngineError, PocketR1Error

MODELS = Path(__file__).parents[1] / "golden" / "models"
CASES = [
    "llama-biases-tied",
    "llama-f16",
    "llama-llama3-gqa3",
    "qwen2-gqa6-key-outliers",
    "qwen2-tied-mha",
    "qwen3-yarn-gqa2",
]


def written(path: Path, entries: list[Entry] | None = None, drop: str = "", **more: Any) -> Path:
    """The smallest Qwen2 as GGUF in F32, with entries replaced, keys dropped or tensors changed."""
    tensors: Tensors = {
        gguf_name(name): (0, shape, np.zeros(shape, "<f4").tobytes())
        for name, (_, shape, _) in random_tensors(tiny_shapes(TINY)).items()
    }
    tensors |= more.get("tensors", {})
    for name in more.get("without", []):
        del tensors[name]
    given = {entry[0]: entry for entry in [*model_entries(TINY), *(entries or [])]}
    given.pop(drop, None)
    write_gguf(path, list(given.values()), tensors)
    return path


def code_of(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(path)
    assert str(path) in caught.value.what
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_made_of_gguf_gives_transformers_logits(tmp_path: Path, case: str) -> None:
    if not MODELS.is_dir():
        pytest.skip("the source distribution comes without golden files")
    path = tmp_path / f"{case}.gguf"
    convert(MODELS / case, path)
    with np.load(MODELS / case / "reference.npz") as stored:
        reference = dict(stored)
    Quantizer(path, output_path=tmp_path / "bundle", bits="keep").run()
    model = _core.Model.open_bundle(str(tmp_path / "bundle"))
    session = _core.Session(model, threads=1, max_context=64, kv_format="f32")
    count = len(reference["prompt"])
    logits = session.step(
        np.full(count, session.create_sequence(), np.int32),
        np.arange(count, dtype=np.int32),
        reference["prompt"].astype(np.int32),
        np.arange(count, dtype=np.int32),
    )
    if case != "llama-f16":  # whose F16 weights the test writes as BF16
        error = np.abs(logits - reference["logits"]).max()
        assert error <= bound(reference["error"], reference["logits"])
    spec = checkpoint.open(path).spec
    original = checkpoint.open(MODELS / case).spec
    ours = np.array(spec.rope.inv_freq)
    assert np.allclose(ours, original.rope.inv_freq, rtol=3e-7, atol=0)
    assert spec.rope.attention_scaling == pytest.approx(original.rope.attention_scaling, rel=1e-7)
    assert [*checkpoint.open(path).tensors] == [*checkpoint.open(MODELS / case).tensors]


@pytest.mark.parametrize("case", ["qwen2-gqa6-key-outliers"])
def test_a_file_of_plain_elements_could_run_as_it_lies(tmp_path: Path, case: str) -> None:
    if not MODELS.is_dir():
        pytest.skip("the source distribution comes without golden files")
    convert(MODELS / case, tmp_path / "m.gguf")
    with np.load(MODELS / case / "reference.npz") as stored:
        prompt, expected = stored["prompt"], stored["greedy"]
    assert greedy(start(tmp_path / "m.gguf", 256), prompt, 128) == expected.tolist()


def test_encoded_tensors_do_not_run_as_they_lie(tmp_path: Path) -> None:
    shape = (TINY["vocab_size"], TINY["hidden_size"])
    shape = (40, 32)
    config = {**TINY, "hidden_size": 32, "num_attention_heads": 2, "head_dim": 16}
    tensors: Tensors = {
        gguf_name(name): (0, s, np.zeros(s, "<f4").tobytes())
        for name, s in tiny_shapes(config).items()
    }
    tensors["token_embd.weight"] = (8, shape, bytes(34 * 40))
    write_gguf(tmp_path / "m.gguf", model_entries(config), tensors)
    opened = checkpoint.open(tmp_path / "m.gguf")
    with pytest.raises(CheckpointError) as caught:
        opened.core_arguments()
    assert caught.value.code == "checkpoint-encoded-run"
    assert caught.value.params["tensor"] == "token_embd.weight"


def test_loading_a_gguf_file_says_what_makes_a_bundle_of_it(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf")
    with pytest.raises(EngineError) as caught:
        pocketr1.load(path)
    assert caught.value.code == "model-gguf"
    assert "import_gguf" in caught.value.mend


def test_inspect_shows_the_types_of_the_file(tmp_path: Path) -> None:
    config = {**TINY, "hidden_size": 32, "num_attention_heads": 2, "head_dim": 16}
    tensors: Tensors = {
        gguf_name(name): (0, s, np.zeros(s, "<f4").tobytes())
        for name, s in tiny_shapes(config).items()
    }
    tensors["token_embd.weight"] = (8, (40, 32), bytes(34 * 40))
    write_gguf(tmp_path / "m.gguf", model_entries(config), tensors)
    report = pocketr1.inspect(tmp_path / "m.gguf")
    assert report.kind == "gguf"
    formats = {tensor.name: tensor.format for tensor in report.tensors}
    assert formats["embed.weight"] == "Q8_0" and formats["head.weight"] == "f32"
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    "key",
    [
        "general.architecture",
        "qwen2.context_length",
        "qwen2.embedding_length",
        "qwen2.block_count",
        "qwen2.feed_forward_length",
        "qwen2.attention.head_count",
        "qwen2.attention.layer_norm_rms_epsilon",
    ],
)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    error = code_of(written(tmp_path / "m.gguf", drop=key))
    assert error.code == "checkpoint-gguf-key"
    assert error.params["key"] == key and "missing" in str(error.params["reason"])


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (("general.architecture", STRING, "gptj"), "checkpoint-architecture"),
        (("general.architecture", U32, 1), "checkpoint-gguf-key"),
        (("general.architecture", STRING, b"\xff"), "checkpoint-gguf-key"),
        (("qwen2.block_count", STRING, "2"), "checkpoint-gguf-key"),
        (("qwen2.block_count", U32, 0), "checkpoint-gguf-key"),
        (("qwen2.block_count", U32, 2**32 - 1), "checkpoint-gguf-key"),
        (("qwen2.block_count", U32, 3), "checkpoint-tensor-missing"),
        (("qwen2.block_count", U32, 60_000), "checkpoint-gguf-key"),
        (("qwen2.attention.head_count", ARRAY, (U32, [3, 1])), "checkpoint-gguf-key"),
        (("qwen2.block_count", U32, 100_000), "checkpoint-gguf-key"),
        (("qwen2.attention.head_count_kv", U32, 2), "checkpoint-gguf-key"),
        (("qwen2.attention.head_count", U32, 5), "checkpoint-gguf-key"),
        (("qwen2.attention.key_length", U32, 5), "checkpoint-gguf-key"),
        (("qwen2.attention.layer_norm_rms_epsilon", F32, 0.0), "checkpoint-gguf-key"),
        (("qwen2.rope.freq_base", F32, 1.0), "checkpoint-gguf-key"),
        (("qwen2.attention.value_length", U32, 2), "checkpoint-gguf-key"),
        (("qwen2.rope.dimension_count", U32, 2), "checkpoint-gguf-key"),
        (("qwen2.rope.freq_base", F32, float("nan")), "checkpoint-gguf-key"),
        (("qwen2.rope.scaling.type", STRING, "longrope"), "checkpoint-config-unsupported"),
        (("qwen2.rope.scaling.factor", F32, 4.0), "checkpoint-config-unsupported"),
        (("qwen2.expert_count", U32, 8), "checkpoint-experts"),
        (("qwen2.embedding_length", U32, 24), "checkpoint-tensor-shape"),
        (("qwen2.feed_forward_length", U32, 24), "checkpoint-tensor-shape"),
        (("split.count", U32, 3), "checkpoint-gguf-split"),
        (("tokenizer.ggml.eos_token_id", U32, 40), "checkpoint-gguf-key"),
        (("tokenizer.ggml.bos_token_id", STRING, "<s>"), "checkpoint-gguf-key"),
        (("tokenizer.ggml.tokens", ARRAY, (STRING, ["x"] * 41)), "checkpoint-gguf-key"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, entry: Entry, code: str) -> None:
    assert code_of(written(tmp_path / "m.gguf", [entry])).code == code


def test_one_size_for_all_layers_may_be_an_array(tmp_path: Path) -> None:
    entry = ("qwen2.attention.head_count", ARRAY, (U32, [3, 3]))
    assert checkpoint.open(written(tmp_path / "m.gguf", [entry])).spec.layers[0].heads == 3


def test_missing_unknown_and_unread_tensors_are_named(tmp_path: Path) -> None:
    error = code_of(written(tmp_path / "a.gguf", without=["blk.1.ffn_up.weight"]))
    assert error.code == "checkpoint-tensor-missing"
    assert error.params["tensor"] == "blk.1.ffn_up.weight"
    strange: Tensors = {"blk.0.\x1b[2Jattn.weight": (0, (4,), bytes(16))}
    error = code_of(written(tmp_path / "b.gguf", tensors=strange))
    assert error.code == "checkpoint-tensor-unknown"
    assert "\x1b" not in error.what
    other: Tensors = {"token_embd.weight": (18, (40, 12), bytes(4096))}
    error = code_of(written(tmp_path / "c.gguf", tensors=other))
    assert error.code == "checkpoint-gguf-type"
    assert "IQ3_XXS" in error.what and "Q4_K" in error.what
    vector: Tensors = {"output_norm.weight": (8, (32,), bytes(34))}
    error = code_of(written(tmp_path / "d.gguf", tensors=vector))
    assert error.code == "checkpoint-tensor-shape"


def test_without_a_head_it_is_tied(tmp_path: Path) -> None:
    opened = checkpoint.open(written(tmp_path / "m.gguf", without=["output.weight"]))
    assert opened.spec.tied_embeddings and "head.weight" not in opened.tensors


def test_keys_that_nobody_needs_are_ignored(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("general.quantization_version", U32, 2),
        ("general.description", STRING, b"\xff\xfe not text"),
        ("quantize.imatrix.file", STRING, "somewhere"),
    ]
    assert checkpoint.open(written(tmp_path / "m.gguf", entries)).spec.hidden_size == 12


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_model_with_bytes_changed_is_made_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Tokenizer and weights included: a changed file gives an error of ours or a whole bundle."""
    config = {**TINY, "hidden_size": 32, "num_attention_heads": 2, "head_dim": 16}
    config["num_hidden_layers"] = 1
    tree = {"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}, "added_tokens": []}
    tensors: Tensors = {}
    for name, shape in tiny_shapes(config).items():
        blocks = np.zeros((int(np.prod(shape)) // 32, 34), np.uint8)
        plain = (0, shape, np.zeros(shape, "<f4").tobytes())
        packed = len(shape) == 2 and shape[1] % 32 == 0
        tensors[gguf_name(name)] = (8, shape, blocks.tobytes()) if packed else plain
    path = tmp_path / "m.gguf"
    entries = [*model_entries(config), *tokenizer_entries(tree, 40, "qwen2")]
    write_gguf(path, entries, tensors)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        # Mostly in the header, sometimes among the weights.
        place = data.draw(st.integers(0, 4000) | st.integers(0, len(content) - 1))
        content[min(place, len(content) - 1)] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(tmp_path / "out.partial", ignore_errors=True)
    try:
        Quantizer(path, output_path=out, bits="keep").run()
        load_tokenizer(out)
    except PocketR1Error as error:
        assert error.what and error.mend
