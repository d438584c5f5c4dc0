"""Calibration: bits shared out, whole jobs."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_support import files, kill_after

import pocketr1
from pocketr1 import bundle, checkpoint
from pocketr1.compress import Quantizer, Target, TargetEstimate
from pocketr1.compress import sensitivity as sensitivity_module
from pocketr1.compress import target as target_module
from pocketr1.compress.allocate import Sensitivity, choose
from pocketr1.errors import CompressionError, UsageError

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"


def sensitivities(count: int, seed: int) -> list[Sensitivity]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        size, worth = int(random.integers(50, 500)), float(random.random())
        found.append(
            Sensitivity(
                f"m{number}",
                {"w2": 2 * size, "w3": 3 * size, "w4": 4 * size, "w8": 8 * size},
                {"w2": worth, "w3": worth / 3, "w4": worth / 14, "w8": worth / 5000},
            )
        )
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_as_good_as_any_of_its_size(seed: int) -> None:
    found = sensitivities(5, seed)
    limit = int(3.4 * sum(each.bytes["w2"] for each in found) / 2)
    choice = choose(found, limit_bytes=limit)
    assert choice is not None and choice.bytes <= limit
    best = min(
        sum(each.divergence[name] for each, name in zip(found, names, strict=True))
        for names in itertools.product(("w2", "w3", "w4", "w8"), repeat=5)
        if sum(each.bytes[name] for each, name in zip(found, names, strict=True)) <= choice.bytes
    )
    # Exact at its own size: it lies on the hull of all choices, but for the last step's remainder.
    assert choice.divergence <= 1.2 * best
    assert choice.bytes == sum(each.bytes[choice.formats[each.name]] for each in found)


def test_the_fewest_bytes_within_a_divergence_and_what_cannot_be() -> None:
    found = sensitivities(8, 1)
    tight, loose = (choose(found, limit_divergence=limit) for limit in (0.05, 0.5))
    assert tight is not None and loose is not None
    assert tight.divergence <= 0.05 and loose.divergence <= 0.5
    assert tight.bytes > loose.bytes
    assert choose(found, limit_divergence=1e-9) is None
    assert choose(found, limit_bytes=10) is None


# Whole jobs, on the shipped model and its outlier twin, with a text that is cut into pieces.


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()[:16]
    questions = [{"question": json.loads(line)["question"]} for line in lines]
    path.write_text("\n".join(map(json.dumps, questions)))
    return path


def job(source: Path, output: Path, prompts: Path, **options: Any) -> Quantizer:
    options = {"bits": 4, "group_size": 64, "calibration_samples": 16, **options}
    return Quantizer(source, output_path=output, calibration_data=prompts, threads=2, **options)


def divergence(model: Path) -> float:
    """From the original, on replies that are none of the prompts'."""
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()[100:112]
    text = "\n".join(json.loads(line)["question"] for line in lines)
    with pocketr1.load(TINY) as reference, pocketr1.load(model) as engine:
        ids = pocketr1.chat.load_tokenizer(TINY).encode_text(text)
        compared = pocketr1.measure.compare(reference, engine, ids, window=128)
    return compared.divergence.mean


def test_calibration_brings_the_outlier_twin_near_the_original(
    twin: Path, prompts: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "text.txt"
    report = job(twin, tmp_path / "fitted", prompts, calibration_text=saved).run()
    Quantizer(twin, output_path=tmp_path / "plain", bits=4, group_size=64).run()
    assert divergence(tmp_path / "fitted") < 0.5 * divergence(tmp_path / "plain")
    assert report.bundle.bits_per_weight == pytest.approx(
        bundle.inspect(tmp_path / "plain").bits_per_weight
    )
    record = bundle.inspect(tmp_path / "fitted", verify=True).calibration
    assert record is not None
    assert record["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert record["file"] == "prompts.jsonl" and record["samples"] > 8
    assert len(record["steps"]) == 5  # four layers and the head
    for step in record["steps"]:
        kept, other = ("gptq", "rtn") if step["kept"] == "gptq" else ("rtn", "gptq")
        assert step["kld"][kept] <= step["kld"][other]
    assert not (tmp_path / "fitted.partial").exists()


def test_other_widths_go_along(prompts: Path, tmp_path: Path) -> None:
    report = job(TINY, tmp_path / "out", prompts, head_bits="f8", embedding_bits=16).run()
    formats = {tensor.name: tensor.format for tensor in report.bundle.tensors}
    assert formats["head.weight"] == "f8e4m3" and formats["embed.weight"] == "bf16"
    assert formats["layers.1.down.weight"] == "w4g64"
    plan = {"bits": 4, "group_size": 64, "head_bits": "f8", "embedding_bits": 16}
    Quantizer(TINY, output_path=tmp_path / "plain", **plan).run()
    assert divergence(tmp_path / "out") < 1.5 * divergence(tmp_path / "plain")
    source = checkpoint.as_float32(checkpoint.open(TINY).read_rows("embed.weight"), "bf16")
    assert (bundle.read_weights(tmp_path / "out", "embed.weight") == source).all()


def test_a_tied_head_is_measured_as_it_will_be(prompts: Path, tmp_path: Path) -> None:
    source = checkpoint.open(TINY)
    tied = tmp_path / "tied"
    shutil.copytree(TINY, tied)
    config = json.loads((tied / "config.json").read_text("utf-8"))
    (tied / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in source.tensors.items():
        if name == "head.weight":
            continue
        rows = source.read_rows(name).tobytes()
        header[tensor.source_name] = {
            "dtype": "BF16",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(rows)],
        }
        data += rows
    text = json.dumps(header).encode()
    (tied / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    report = job(tied, tmp_path / "out", prompts, bits=3, embedding_bits=2).run()
    record = report.bundle.calibration
    assert record is not None and len(record["steps"]) == 4  # no head of its own
    # The head's two bits are seen from the first layer on.
    wide = job(tied, tmp_path / "wide", prompts, bits=3, embedding_bits=8).run().bundle.calibration
    assert wide is not None
    first, other = (each["steps"][0]["kld"]["rtn"] for each in (record, wide))
    assert first > 2 * other


def test_a_killed_calibration_goes_on_and_makes_the_same_bundle(
    prompts: Path, tmp_path: Path
) -> None:
    job(TINY, tmp_path / "want", prompts).run()
    # While it reasons, while layers are at work, and once more behind where that was.
    for count in (120, 250, 60):
        assert kill_after(count, lambda: job(TINY, tmp_path / "got", prompts).run())
    begun: list[str] = []
    again = job(TINY, tmp_path / "got", prompts)
    again._progress = lambda progress: begun.append(progress.stage)
    again.run()
    assert "reason" not in begun  # the text is an earlier run's
    assert files(tmp_path / "got") == files(tmp_path / "want")


def test_a_target_is_kept_and_bits_differ(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []

    def once(*arguments: Any) -> Any:
        if not measured:
            measured.append(sensitivity_module.measure_sensitivities(*arguments))
        return measured[0]

    monkeypatch.setattr(target_module, "measure_sensitivities", once)
    report = job(TINY, tmp_path / "out", prompts, target=Target(bits_per_weight=3.4)).run()
    assert 3.3 < report.bundle.bits_per_weight <= 3.4
    formats = {tensor.format for tensor in report.bundle.tensors if len(tensor.shape) == 2}
    assert len(formats) > 1

    source = checkpoint.open(TINY)

    def plans(target: Target) -> tuple[bundle.TensorPlan, ...]:
        return target_module.allocate(source, {}, target, None, tmp_path, 2, lambda *_: None)

    aside = sum(len(file.read_bytes()) for file in source.tokenizer_files)
    for size in (2_200_000 + aside, 3_100_000 + aside):
        assert bundle.plan_layout(plans(Target(size=size))).file_bytes + aside <= size
    for impossible in (Target(bits_per_weight=1.5), Target(size=10_000), Target(divergence=1e-12)):
        with pytest.raises(CompressionError) as caught:
            plans(impossible)
        assert caught.value.code == "compress-target-impossible"


def test_what_a_target_may_be_is_told_before_anything_is_measured(
    prompts: Path, tmp_path: Path
) -> None:
    found = job(TINY, tmp_path / "out", prompts, target=Target(divergence=0.02)).estimate()
    assert isinstance(found, TargetEstimate)
    assert list(tmp_path.iterdir()) == []
    assert found.matrices == sum(
        len(tensor.shape) == 2 for tensor in checkpoint.open(TINY).tensors.values()
    )
    # The smallest and the largest that can be asked for are those of plain jobs of these bits.
    smallest = tmp_path / "smallest"
    Quantizer(TINY, output_path=smallest, bits=2, group_size=128).run()
    assert found.smallest_bits_per_weight == bundle.inspect(smallest).bits_per_weight
    made = sum(map(len, files(smallest).values()))
    assert made <= found.smallest_bytes <= made + 2_000 * 60
    largest = Quantizer(TINY, output_path=tmp_path / "out", bits=8, group_size=64).estimate()
    assert found.largest_bits_per_weight == largest.bits_per_weight
    assert 0 < found.sensitivity_seconds < found.seconds
    assert found.disk_needed_bytes > found.output_bytes


@pytest.mark.parametrize("asked", [2.5, 3.3, 40.0])
def test_the_estimate_of_a_target_bounds_the_bundle(
    asked: float, prompts: Path, tmp_path: Path
) -> None:
    def of(target: Target) -> TargetEstimate:
        found = job(TINY, tmp_path / "out", prompts, target=target).estimate()
        assert isinstance(found, TargetEstimate)
        return found

    bits = of(Target(bits_per_weight=asked))
    assert bits.target == {"bits_per_weight": asked}
    assert bits.smallest_bytes < bits.output_bytes <= bits.largest_bytes
    size = of(Target(size=int(asked * 1e6)))
    assert size.output_bytes == min(int(asked * 1e6), size.largest_bytes)


def test_a_target_that_cannot_be_met_is_refused_before_the_work_and_the_least_is_possible(
    prompts: Path, tmp_path: Path
) -> None:
    for target, option in ((Target(size=1000), "size"), (Target(bits_per_weight=2), "bpw")):
        quantizer = job(TINY, tmp_path / "out", prompts, target=target)
        begun: list[Any] = []
        quantizer._progress = begun.append
        for work in (quantizer.estimate, quantizer.run):
            with pytest.raises(CompressionError) as caught:
                work()
            assert caught.value.code == "compress-target-impossible"
        assert begun == []
        least = float(caught.value.params["least"].split()[0])
        again = {"size": int(least * 1e6)} if option == "size" else {"bits_per_weight": least}
        job(TINY, tmp_path / "out", prompts, target=Target(**again)).estimate()


def test_calibrating_is_part_of_the_estimate(prompts: Path, tmp_path: Path) -> None:
    plain = Quantizer(TINY, output_path=tmp_path / "out", bits=4, group_size=64).estimate()
    found = job(TINY, tmp_path / "out", prompts).estimate()
    assert found.output_bytes == plain.output_bytes
    assert found.disk_needed_bytes > plain.disk_needed_bytes + 2 * 4_096 * 2048
    assert found.peak_memory_bytes > plain.peak_memory_bytes


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (lambda path: {"discard_source": True}, "compress-calibration-source"),
        (lambda path: {"bits": 16}, "compress-calibration-bits"),
        (lambda path: {"calibration_samples": 1}, "compress-option"),
        (lambda path: {"calibration_samples": "many"}, "compress-option"),
        (lambda path: {"calibration_data": path / "none.txt"}, "calibration-file"),
        (lambda path: {"calibration_data": _written(path, "a.txt", " \n")}, "calibration-empty"),
        (lambda path: {"calibration_data": _written(path, "a.jsonl", "\n")}, "calibration-empty"),
        (lambda path: {"calibration_data": _written(path, "a.jsonl", "{}")}, "calibration-line"),
        (lambda path: {"calibration_data": _written(path, "a.jsonl", "{")}, "task-line"),
        (lambda path: {"target": Target(size=1), "head_bits": 8}, "compress-target-bits"),
    ],
)
def test_what_cannot_calibrate_is_refused_by_name(
    options: Callable[[Path], dict[str, Any]], code: str, tmp_path: Path, prompts: Path
) -> None:
    given = {"bits": 4, "calibration_data": prompts, **options(tmp_path)}
    with pytest.raises(UsageError) as caught:
        Quantizer(TINY, output_path=tmp_path / "out", **given)
    assert caught.value.code == code


def _written(path: Path, name: str, text: str) -> Path:
    (path / name).write_text(text)
    return path / name


@pytest.mark.parametrize(
    "values", [{}, {"size": 5, "divergence": 0.1}, {"size": 0}, {"bits_per_weight": -1.0}]
)
def test_a_target_is_one_number_above_zero(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Target(**values)
