"""Calibration from checkpoints that are quantized already: their weights are the original."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_support import files, kill_after
from gguf_files import gguf_name, read_safetensors, write_tiny
from quantized_files import write_fp8, write_gptq

import pocketr1
from pocketr1 import bundle, checkpoint, measure
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.compress import Quantizer, Target, TargetEstimate
from pocketr1.compress.original import decoded_bytes, original_places
from pocketr1.errors import CompressionError

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny-r1"
GOLDEN = ROOT / "tests" / "golden" / "quantized"
sys.path.insert(0, str(ROOT / "training"))

from tiny_r1 import outliers  # noqa: E402

KINDS = ["fp8", "gptq", "gguf"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny R1's outlier twin, which rounds badly, in three encodings."""
    path = tmp_path_factory.mktemp("encoded")
    outliers.write_twin(TINY, path / "twin")
    write_fp8(path / "twin", path / "fp8")
    write_gptq(path / "twin", path / "gptq", 8)
    weights = read_safetensors(path / "twin" / "model.safetensors")
    write_tiny(path / "gguf.gguf", {gguf_name(name): array for name, array in weights.items()})
    return {"fp8": path / "fp8", "gptq": path / "gptq", "gguf": path / "gguf.gguf"}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the model wrote itself, about problems that nothing is measured on."""
    path = tmp_path_factory.mktemp("text") / "replies.jsonl"
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()[:24]
    template = ChatTemplate.load(TINY, load_tokenizer(TINY))
    with pocketr1.load(TINY) as engine:
        prompts = [
            template.encode([{"role": "user", "content": json.loads(line)["question"]}]).ids
            for line in lines
        ]
        sampling = pocketr1.Sampling(temperature=0.0)
        tokenizer = load_tokenizer(TINY)
        made = engine.generate_many(prompts, sampling, max_tokens=150, batch=24)
        texts = [
            tokenizer.decode([*prompts[each.index], *each.token_ids], skip_special=False)
            for each in made
        ]
    path.write_text("\n".join(json.dumps({"text": each}) for each in texts))
    return path


def job(source: Path, output: Path, text: Path, **options: Any) -> Quantizer:
    options = {"bits": 4, "group_size": 64, "calibration_samples": 24, **options}
    return Quantizer(source, output_path=output, calibration_data=text, threads=2, **options)


def divergence(model: Path, reference: Path) -> float:
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()[100:112]
    questions = "\n".join(json.loads(line)["question"] for line in lines)
    with pocketr1.load(reference) as original, pocketr1.load(model) as engine:
        ids = load_tokenizer(TINY).encode_text(questions)
        return measure.compare(original, engine, ids, window=128).divergence.mean


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_it_is_nearer_to_the_source_than_rounded(
    sources: dict[str, Path], text: Path, tmp_path: Path, kind: str
) -> None:
    source = sources[kind]
    # The weights that the codes stand for, in 16 bits.
    Quantizer(source, output_path=tmp_path / "source", bits=16).run()
    Quantizer(source, output_path=tmp_path / "plain", bits=4, group_size=64).run()
    report = job(source, tmp_path / "fitted", text).run()
    record = report.bundle.calibration
    assert record is not None and any(step["kept"] == "gptq" for step in record["steps"])
    fitted, plain = (
        divergence(tmp_path / which, tmp_path / "source") for which in ("fitted", "plain")
    )
    assert fitted < 0.5 * plain
    assert not (tmp_path / "fitted.partial").exists()


def test_killed_while_it_decodes_and_while_it_calibrates_it_goes_on(
    sources: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    job(sources["fp8"], tmp_path / "want", text, calibration_samples=8).run()
    stored = tmp_path / "got.partial" / "calibration" / "original"
    assert kill_after(
        60, lambda: job(sources["fp8"], tmp_path / "got", text, calibration_samples=8).run()
    )
    decoded = {path.name for path in stored.glob("layers*")}
    assert decoded  # it was killed among them
    kept = {path: path.stat().st_mtime_ns for path in stored.glob("layers*")}
    assert kill_after(
        200, lambda: job(sources["fp8"], tmp_path / "got", text, calibration_samples=8).run()
    )
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    job(sources["fp8"], tmp_path / "got", text, calibration_samples=8).run()
    assert files(tmp_path / "got") == files(tmp_path / "want")


def test_codes_that_the_bundle_holds_too_are_carried_and_the_others_calibrated(
    sources: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    source = checkpoint.open(sources["gguf"])
    report = job(
        sources["gguf"],
        tmp_path / "out",
        text,
        bits=8,
        group_size=32,
        head_bits=4,
        calibration_samples=8,
    ).run()
    formats = {tensor.name: tensor.format for tensor in report.bundle.tensors}
    assert formats["layers.0.q.weight"] == "w8g32" and formats["head.weight"] == "w4g32"
    for name in ("embed.weight", "layers.0.q.weight", "layers.3.down.weight"):
        assert np.array_equal(bundle.read_weights(tmp_path / "out", name), source.read_rows(name))
    assert report.requantized_tensors == 1


@pytest.mark.parametrize("case", [path.name for path in sorted(GOLDEN.iterdir())])
def test_decoded_files_hold_what_the_codes_stand_for(case: str, tmp_path: Path) -> None:
    source = checkpoint.open(GOLDEN / case)
    places = original_places(source, tmp_path / "original")
    found = 0
    for name, tensor in source.tensors.items():
        place = places[name]
        if tensor.decoder is None:
            assert place.file == tensor.file
            continue
        raw = np.fromfile(place.file, np.uint8)
        found += len(raw)
        weights = source.read_rows(name)
        if place.format == "f8e4m3":
            got = pocketr1._core.dequantize_rows(raw, place.format, *tensor.shape)
        else:
            got = raw.view(np.float32).reshape(tensor.shape)
        assert np.array_equal(got, weights)
    assert found == decoded_bytes(source)
    assert any(place.format == "f8e4m3" for place in places.values()) == ("fp8" in case)


def test_what_was_decoded_of_other_files_is_not_taken(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in (GOLDEN / "gptq-int4-g32").iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    places = original_places(checkpoint.open(source), tmp_path / "original")
    before = places["layers.0.q.weight"].file.read_bytes()
    for path in (GOLDEN / "gptq-int8-g32").iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    places = original_places(checkpoint.open(source), tmp_path / "original")
    assert places["layers.0.q.weight"].file.read_bytes() != before


def test_decoding_counts_in_what_the_disk_must_hold(
    sources: dict[str, Path], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantizer = job(sources["gptq"], tmp_path / "out", text)
    needed = quantizer.estimate().disk_needed_bytes
    assert needed > decoded_bytes(checkpoint.open(sources["gptq"])) > 10_000_000
    target = job(sources["gptq"], tmp_path / "out", text, target=Target(bits_per_weight=3.3))
    assert isinstance(target.estimate(), TargetEstimate)
    from pocketr1.compress import quantizer as module

    usage = module.shutil.disk_usage(tmp_path)
    short = usage._replace(free=decoded_bytes(checkpoint.open(sources["gptq"])))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: short)
    for each in (quantizer, target):
        with pytest.raises(CompressionError) as caught:
            each.run()
        assert caught.value.code == "compress-disk-space"


def test_taken_up_a_job_needs_no_room_for_what_it_has_decoded(
    sources: dict[str, Path], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Any) -> None:
        if progress.stage == "calibrate":
            raise KeyboardInterrupt

    first = job(sources["gptq"], tmp_path / "out", text, calibration_samples=8, progress=stop)
    needed = first.estimate().disk_needed_bytes
    with pytest.raises(KeyboardInterrupt):
        first.run()
    from pocketr1.compress import quantizer as module

    decoded = decoded_bytes(checkpoint.open(sources["gptq"]))
    usage = module.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        short = usage._replace(free=needed - decoded // 2)
        patch.setattr(module.shutil, "disk_usage", lambda path: short)
        with pytest.raises(CompressionError) as caught:
            job(sources["gptq"], tmp_path / "other", text, calibration_samples=8).run()
        assert caught.value.code == "compress-disk-space"
        assert job(sources["gptq"], tmp_path / "out", text, calibration_samples=8).run()


def test_bits_are_shared_out_among_weights_that_were_decoded(
    sources: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    options = {"target": Target(bits_per_weight=3.3), "calibration_samples": 8}
    report = job(sources["fp8"], tmp_path / "out", text, **options).run()
    assert 3.2 < report.bundle.bits_per_weight <= 3.3
