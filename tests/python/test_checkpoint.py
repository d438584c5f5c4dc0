"""Hugging Face checkpoints: what is read, and what is refused by name."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import (
    TINY,
    Tensors,
    random_tensors,
    tiny_shapes,
    write_checkpoint,
    write_safetensors,
)

from pocketr1 import checkpoint
from pocketr1.errors import CheckpointError

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
INDEX = "model.safetensors.index.json"


def refusal(path: Path, **options: Any) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.open(path, **options)
    assert caught.value.mend
    return caught.value


def halves(names: Any) -> list[list[str]]:
    """Cut the tensors in two shards, in the middle of a layer."""
    names = list(names)
    middle = names.index("model.layers.0.self_attn.v_proj.bias")
    return [names[:middle], names[middle:]]


def test_every_tensor_is_found_and_read_bit_for_bit(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path)
    opened = checkpoint.open(tmp_path)
    assert {t.source_name for t in opened.tensors.values()} == set(written)
    for name, tensor in opened.tensors.items():
        _, shape, data = written[tensor.source_name]
        assert tensor.shape == shape
        rows = opened.read_rows(name)
        assert rows.dtype == np.uint16
        assert rows.shape == shape
        assert rows.tobytes() == data


def test_tensors_come_in_decode_order(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    names = list(checkpoint.open(tmp_path).tensors)
    assert names[0] == "embed.weight"
    assert names[-2:] == ["final_norm.weight", "head.weight"]
    assert names.index("layers.0.down.weight") < names.index("layers.1.attn_norm.weight")


def test_slabs_of_rows_join_to_the_tensor(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    opened = checkpoint.open(tmp_path)
    whole = opened.read_rows("head.weight")
    slabs = [opened.read_rows("head.weight", at, min(at + 7, 40)) for at in range(0, 40, 7)]
    assert np.array_equal(np.concatenate(slabs), whole)
    assert opened.read_rows("layers.0.q.bias", 3, 5).shape == (2,)
    assert opened.read_rows("head.weight", 40, 40).shape == (0, 12)
    with pytest.raises(IndexError):
        opened.read_rows("head.weight", 0, 41)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_each_number_type_becomes_the_same_float32(tmp_path: Path, dtype: str) -> None:
    tensors = random_tensors(tiny_shapes(TINY), dtype)
    write_checkpoint(tmp_path, tensors=tensors)
    opened = checkpoint.open(tmp_path)
    info = opened.tensors["embed.weight"]
    assert info.dtype == dtype.lower()
    numbers = checkpoint.as_float32(opened.read_rows("embed.weight"), info.dtype)
    original = random_tensors(tiny_shapes(TINY), "F32")[EMBEDDING][2]
    exact = np.frombuffer(original, np.float32).reshape(40, 12)
    assert numbers.dtype == np.float32
    tolerance = {"BF16": 2**-7, "F16": 2**-11, "F32": 0.0}[dtype]  # bf16 is cut, f16 rounded
    assert np.all(np.abs(numbers - exact) <= tolerance * np.abs(exact) + 1e-7 * (dtype == "F16"))


def test_a_layer_may_span_two_shards(tmp_path: Path) -> None:
    names = list(tiny_shapes(TINY))
    written = write_checkpoint(tmp_path, shards=halves(names))
    opened = checkpoint.open(tmp_path)
    assert [path.name[:11] for path in opened.files] == ["model-00001", "model-00002"]
    layer = [t for n, t in opened.tensors.items() if n.startswith("layers.0.")]
    assert len({t.file for t in layer}) == 2
    for tensor in layer:
        assert opened.read_rows(tensor.name).tobytes() == written[tensor.source_name][2]


def test_reading_a_slab_allocates_the_slab_alone(tmp_path: Path) -> None:
    config = {**TINY, "vocab_size": 65536}
    write_checkpoint(tmp_path, config)
    opened = checkpoint.open(tmp_path)
    slab_bytes = 64 * 12 * 2
    tracemalloc.start()
    try:
        opened.read_rows("embed.weight", 1000, 1064)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < slab_bytes + 16384
    assert opened.tensors["embed.weight"].nbytes == 65536 * 12 * 2


def test_missing_shards_are_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=halves(tiny_shapes(TINY)))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    error = refusal(tmp_path)
    assert error.code == "checkpoint-shard-missing"
    assert "model-00002-of-00002.safetensors" in str(error)


def test_shards_may_arrive_one_by_one(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path, shards=halves(tiny_shapes(TINY)))
    late = tmp_path / "model-00002-of-00002.safetensors"
    arriving = tmp_path / "late"
    late.rename(arriving)
    opened = checkpoint.open(tmp_path, allow_missing=True)
    assert opened.missing_shards == (late,)
    assert opened.awaited["head.weight"] == late
    assert not set(opened.tensors) & set(opened.awaited)
    assert opened.read_rows("embed.weight").tobytes() == written[EMBEDDING][2]
    with pytest.raises(CheckpointError) as caught:
        opened.read_rows("head.weight")
    assert caught.value.code == "checkpoint-shard-missing"
    arriving.rename(late)
    assert checkpoint.open(tmp_path).read_rows("head.weight").tobytes() == written[HEAD][2]


def test_files_may_be_links_as_in_the_hub_cache(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for file in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(file)
    assert checkpoint.open(tmp_path / "snapshot").tensors


def test_config_may_lie_elsewhere(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "weights")
    config = (tmp_path / "weights" / "config.json").rename(tmp_path / "config.json")
    assert refusal(tmp_path / "weights").code == "checkpoint-config-missing"
    opened = checkpoint.open(tmp_path / "weights" / "model.safetensors", config_path=config)
    assert opened.spec.hidden_size == 12


def test_tokenizer_files_and_generation_config_are_found(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "chat_template.jinja").write_text("")
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    opened = checkpoint.open(tmp_path)
    assert [path.name for path in opened.tokenizer_files] == [
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
    ]
    assert opened.spec.eos_token_ids == (2, 3)


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "a.ckpt"])
def test_pickles_are_refused_unopened(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    fuse = tmp_path / "exploded"
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(fuse)))
    for path in (tmp_path, tmp_path / name):
        error = refusal(path)
        assert error.code == "checkpoint-pickle"
        assert "safetensors" in error.mend
    assert not fuse.exists()


def test_a_pickle_named_safetensors_is_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    fuse = tmp_path / "exploded"
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb(fuse)))
    assert refusal(tmp_path).code == "safetensors-invalid"
    assert not fuse.exists()


def test_a_directory_of_gguf_is_refused_and_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.Q4_0.gguf").write_bytes(b"GGUF")
    assert refusal(tmp_path).code == "checkpoint-gguf"
    assert refusal(tmp_path / "model.Q4_0.gguf").code == "checkpoint-gguf-invalid"


def test_nothing_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").code == "checkpoint-not-found"
    assert refusal(tmp_path).code == "checkpoint-no-weights"


def without(tensors: Tensors) -> Tensors:
    return {name: item for name, item in tensors.items() if not name.endswith("k_proj.bias")}


def with_extra(tensors: Tensors) -> Tensors:
    return {**tensors, "model.layers.0.self_attn.q_proj.lora_A.weight": tensors[HEAD]}


def with_wrong_shape(tensors: Tensors) -> Tensors:
    dtype, (rows, columns), data = tensors["model.layers.1.mlp.up_proj.weight"]
    wrong = (dtype, (columns, rows), data)
    return {**tensors, "model.layers.1.mlp.up_proj.weight": wrong}


def with_wrong_type(tensors: Tensors) -> Tensors:
    shape = tensors["model.norm.weight"][1]
    return {**tensors, "model.norm.weight": ("F64", shape, b"\0" * 8 * shape[0])}


@pytest.mark.parametrize(
    ("change", "code", "tensor"),
    [
        (without, "checkpoint-tensor-missing", "model.layers.0.self_attn.k_proj.bias"),
        (with_extra, "checkpoint-tensor-unknown", "model.layers.0.self_attn.q_proj.lora_A.weight"),
        (with_wrong_shape, "checkpoint-tensor-shape", "model.layers.1.mlp.up_proj.weight"),
        (with_wrong_type, "checkpoint-tensor-type", "model.norm.weight"),
    ],
)
def test_a_wrong_tensor_is_named_with_its_file(
    tmp_path: Path, change: Callable[[Tensors], Tensors], code: str, tensor: str
) -> None:
    write_checkpoint(tmp_path, tensors=change(random_tensors(tiny_shapes(TINY))))
    error = refusal(tmp_path)
    assert error.code == code
    assert error.params["tensor"] == tensor
    assert "model.safetensors" in str(error)


def test_old_rotary_buffers_are_ignored(tmp_path: Path) -> None:
    tensors = random_tensors(tiny_shapes(TINY))
    buffer = "model.layers.0.self_attn.rotary_emb.inv_freq"
    tensors[buffer] = ("F32", (2,), b"\0" * 8)
    write_checkpoint(tmp_path, tensors=tensors)
    opened = checkpoint.open(tmp_path)
    assert opened.ignored == (buffer,)
    assert len(opened.tensors) == len(tensors) - 1


def test_a_tied_head_that_equals_the_embedding_is_ignored(tmp_path: Path) -> None:
    config = {**TINY, "tie_word_embeddings": True}
    tensors = random_tensors(tiny_shapes(config))
    write_checkpoint(tmp_path, config, {**tensors, HEAD: tensors[EMBEDDING]})
    opened = checkpoint.open(tmp_path)
    assert opened.spec.tied_embeddings
    assert opened.ignored == (HEAD,)
    assert "head.weight" not in opened.tensors


def test_a_tied_head_that_differs_unties_the_model(tmp_path: Path) -> None:
    config = {**TINY, "tie_word_embeddings": True}
    tensors = random_tensors(tiny_shapes({**config, "tie_word_embeddings": False}))
    write_checkpoint(tmp_path, config, tensors)
    opened = checkpoint.open(tmp_path)
    assert not opened.spec.tied_embeddings
    assert opened.read_rows("head.weight").tobytes() == tensors[HEAD][2]


def test_a_tied_head_without_an_embedding_serves_as_both(tmp_path: Path) -> None:
    config = {**TINY, "tie_word_embeddings": True}
    tensors = random_tensors(tiny_shapes(config))
    tensors[HEAD] = tensors.pop(EMBEDDING)
    write_checkpoint(tmp_path, config, tensors)
    opened = checkpoint.open(tmp_path)
    assert opened.spec.tied_embeddings
    assert opened.tensors["embed.weight"].source_name == HEAD


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", 7, "w.npz", "a\\b"]
)
def test_an_index_cannot_lead_out_of_the_directory(tmp_path: Path, name: object) -> None:
    write_checkpoint(tmp_path / "model", shards=halves(tiny_shapes(TINY)))
    index = tmp_path / "model" / INDEX
    content = json.loads(index.read_text())
    content["weight_map"][HEAD] = name
    index.write_text(json.dumps(content))
    error = refusal(tmp_path / "model")
    assert error.code == "checkpoint-index-invalid"
    assert HEAD in str(error)


def test_an_index_of_pickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {HEAD: "pytorch_model.bin"}}))
    assert refusal(tmp_path).code == "checkpoint-pickle"


def test_index_and_shards_must_agree(tmp_path: Path) -> None:
    shards = halves(tiny_shapes(TINY))
    tensors = write_checkpoint(tmp_path, shards=shards)
    index = tmp_path / INDEX
    original = index.read_text()

    content = json.loads(original)
    del content["weight_map"][HEAD]
    index.write_text(json.dumps(content))
    assert refusal(tmp_path).code == "checkpoint-index-invalid"

    content = json.loads(original)
    content["weight_map"][HEAD] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    assert refusal(tmp_path).code == "checkpoint-tensor-missing"

    index.write_text(original)
    both = {name: tensors[name] for name in [*shards[0], HEAD]}
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", both)
    assert refusal(tmp_path).code == "checkpoint-tensor-twice"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"model_type": "qwen2"',
        b'{"a": 1, "a": 2}',
        b'{"rms_norm_eps": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: bytes) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "config.json").write_bytes(text)
    error = refusal(tmp_path)
    assert error.code == "checkpoint-json-invalid"
    assert "config.json" in str(error)


def test_a_file_cut_short_is_refused_at_opening(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert refusal(tmp_path).code == "safetensors-invalid"


def test_a_file_that_shrinks_or_vanishes_later_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    opened = checkpoint.open(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    last = max(opened.tensors.values(), key=lambda tensor: tensor.offset)
    with pytest.raises(CheckpointError) as caught:
        opened.read_rows(last.name)
    assert caught.value.code == "checkpoint-read"
    assert last.source_name in str(caught.value)
    weights.unlink()
    with pytest.raises(CheckpointError):
        opened.read_rows("embed.weight")


def test_core_arguments_name_every_tensor_once(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=halves(tiny_shapes(TINY)))
    opened = checkpoint.open(tmp_path)
    spec, files, tensors = opened.core_arguments()
    assert json.loads(spec) == opened.spec.to_dict()
    assert [Path(file) for file in files] == list(opened.files)
    for name, dtype, shape, file, offset in tensors:
        info = opened.tensors[name]
        assert (dtype, tuple(shape), Path(files[file]), offset) == (
            info.dtype,
            info.shape,
            info.file,
            info.offset,
        )
    assert len(tensors) == len(opened.tensors)


def test_parameters_count_a_tied_head_once(tmp_path: Path) -> None:
    config = {**TINY, "tie_word_embeddings": True}
    tensors = write_checkpoint(tmp_path, config)
    total = sum(int(np.prod(shape)) for _, shape, _ in tensors.values())
    assert checkpoint.open(tmp_path).parameters == total
