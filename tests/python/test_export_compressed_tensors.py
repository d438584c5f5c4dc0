"""Bundles as compressed-tensors checkpoints: the same codes, read again by our own reader.

What transformers makes of them is in test_oracle_export.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketr1
from pocketr1 import arch, bundle, checkpoint
from pocketr1.errors import PocketR1Error
from pocketr1.export import ExportProgress, compressed_tensors, export_compressed_tensors
from pocketr1.export.huggingface import config_for

MODELS = Path(__file__).parents[1] / "golden" / "models"
TINY = Path(__file__).parents[2] / "models" / "tiny-r1"
PLANS: dict[str, dict[str, Any]] = {
    "int4": {"bits": 4, "group_size": 64},
    "int4-zeros": {"bits": 4, "group_size": 128, "symmetric": False},
    "int8": {"bits": 8, "group_size": 32},
    "float8": {"bits": "f8"},
    "mixed": {"bits": 4, "group_size": 64, "head_bits": 8, "embedding_bits": "f8"},
    "part": {"bits": 8, "head_bits": 16, "embedding_bits": 16},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("bundles")
    for name, options in PLANS.items():
        pocketr1.Quantizer(TINY, output_path=directory / name, **options).run()
    return {name: directory / name for name in PLANS}


def refusal(*arguments: Any, **options: Any) -> PocketR1Error:
    with pytest.raises(PocketR1Error) as caught:
        export_compressed_tensors(*arguments, **options)
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize("name", PLANS)
def test_codes_and_scales_come_back_as_they_were(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    report = export_compressed_tensors(made[name], tmp_path / "out")
    opened = checkpoint.open(tmp_path / "out")
    formats = {t.name: t.format for t in bundle.inspect(made[name]).tensors}
    for tensor in opened.tensors.values():
        weights = bundle.read_weights(made[name], tensor.name)
        raw = opened.read_rows(tensor.name)
        numbers = checkpoint.as_float32(raw, tensor.dtype)
        if tensor.name == "embed.weight" and formats[tensor.name] not in ("bf16", "f16"):
            weights = weights.astype(np.float16).astype(np.float32)
        assert np.array_equal(numbers, weights)
        if tensor.decoder is not None:
            assert tensor.decoder.exact_format == formats[tensor.name]
    assert report.matrices == 30
    assert report.exact == (30 if name == "part" else 29)
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (
        TINY / "tokenizer.json"
    ).read_bytes()


def test_a_slab_at_a_time_gives_the_same_file(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_compressed_tensors(made["int4-zeros"], tmp_path / "whole")
    monkeypatch.setattr(compressed_tensors, "_SLAB", 1)
    export_compressed_tensors(made["int4-zeros"], tmp_path / "slabs")
    first, second = (tmp_path / d / "model.safetensors" for d in ("whole", "slabs"))
    assert first.read_bytes() == second.read_bytes()


def test_a_large_model_is_written_in_several_files(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed_tensors, "_SHARD_LIMIT", 1_000_000)
    export_compressed_tensors(made["int4"], tmp_path / "out")
    opened = checkpoint.open(tmp_path / "out")
    assert len(opened.files) > 3
    assert np.array_equal(
        opened.read_rows("layers.3.down.weight"),
        bundle.read_weights(made["int4"], "layers.3.down.weight"),
    )


def test_progress_counts_every_byte(made: dict[str, Path], tmp_path: Path) -> None:
    seen: list[ExportProgress] = []
    export_compressed_tensors(made["mixed"], tmp_path / "out", progress=seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == seen[-1].total


def test_a_stopped_export_leaves_nothing(made: dict[str, Path], tmp_path: Path) -> None:
    def stop(_: ExportProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_compressed_tensors(made["int4"], tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_when_asked(made: dict[str, Path], tmp_path: Path) -> None:
    export_compressed_tensors(made["int4"], tmp_path / "out")
    assert refusal(made["int8"], tmp_path / "out").code == "export-exists"
    export_compressed_tensors(made["int8"], tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    (tmp_path / "mine").mkdir()
    assert refusal(made["int8"], tmp_path / "mine", overwrite=True).code == "export-exists"


def test_only_a_bundle_is_exported(tmp_path: Path) -> None:
    assert refusal(TINY, tmp_path / "out").code == "export-not-bundle"


@pytest.mark.parametrize("case", sorted(path.name for path in MODELS.iterdir()))
def test_a_config_describes_the_model_exactly_or_is_asked_for(case: str) -> None:
    opened = checkpoint.open(MODELS / case)
    try:
        config, architecture = config_for(opened.spec, MODELS / case)
    except PocketR1Error as error:
        assert error.code == "export-config-needed"
        rule = json.loads((MODELS / case / "config.json").read_text())
        assert rule.get("rope_scaling") or rule.get("rope_parameters")
        return
    assert architecture.spec == opened.spec
    assert arch.from_config(config, Path("config.json")).spec == opened.spec


def test_the_published_rotary_scalings_are_found_again() -> None:
    base = json.loads((MODELS / "llama-f16" / "config.json").read_text())
    llama = base | {
        "rope_theta": 500000.0,
        "max_position_embeddings": 131072,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    }
    yarn = base | {
        "model_type": "qwen3",
        "head_dim": 128,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 131072,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32768,
        },
    }
    for config in (llama, yarn):
        spec = arch.from_config(config, Path("config.json")).spec
        found, _ = config_for(spec, Path("bundle"))
        assert found["rope_theta"] == config["rope_theta"]
        assert found["rope_scaling"]["factor"] == config["rope_scaling"]["factor"]


def test_an_unknown_scaling_needs_the_source_s_config(tmp_path: Path) -> None:
    source = Path(shutil.copytree(MODELS / "llama-llama3-gqa3", tmp_path / "source"))
    pocketr1.Quantizer(source, output_path=tmp_path / "b", bits=16).run()
    assert refusal(tmp_path / "b", tmp_path / "out").code == "export-config-needed"
    export_compressed_tensors(tmp_path / "b", tmp_path / "out", config=source / "config.json")
    assert checkpoint.open(tmp_path / "out").spec == checkpoint.open(source).spec
    config = json.loads((source / "config.json").read_text())
    config["rms_norm_eps"] = 0.25
    (source / "config.json").write_text(json.dumps(config))
    error = refusal(tmp_path / "b", tmp_path / "other", config=source / "config.json")
    assert error.code == "export-config-differs"
    assert "rms_norm_eps" in str(error)


def test_inputs_that_do_not_fill_their_groups_are_named(tmp_path: Path) -> None:
    source = MODELS / "llama-f16"
    pocketr1.Quantizer(source, output_path=tmp_path / "b", bits=8, group_size=128).run()
    error = refusal(tmp_path / "b", tmp_path / "out")
    assert error.code == "export-group-tail"
    assert "layers.0." in str(error) or "head" in str(error)
