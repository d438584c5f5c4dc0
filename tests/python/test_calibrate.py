"""Calibration: error feedback, equal channels, layers run apart, bits shared out, whole jobs."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_support import files, kill_after

import pocketr1
from pocketr1 import _core, bundle, checkpoint
from pocketr1.compress import Quantizer, Target, TargetEstimate
from pocketr1.compress import sensitivity as sensitivity_module
from pocketr1.compress import target as target_module
from pocketr1.compress.allocate import Sensitivity, choose
from pocketr1.compress.equalize import equalize_layer, key_factors
from pocketr1.compress.gptq import Feedback, cholesky, quantize_matrix
from pocketr1.compress.gram import Gram, GramObserver
from pocketr1.compress.partial_model import PartialModel, Place, checkpoint_places
from pocketr1.errors import CompressionError, UsageError

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny-r1"
sys.path.insert(0, str(ROOT / "training"))

from tiny_r1 import outliers  # noqa: E402


def inputs(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Correlated inputs of uneven energy, float32 (rows, cols)."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((rows, cols)) @ random.standard_normal((cols, cols))
    return (mixed * np.exp(random.standard_normal(cols))).astype(np.float32)


def gram_of(rows: np.ndarray) -> np.ndarray:
    gram = Gram(rows.shape[1])
    gram.add(rows)
    return gram.take()


def test_the_gram_matrix_is_the_mean_of_outer_products_however_rows_come() -> None:
    rows = inputs(2100, 70)
    gram = Gram(70)
    for piece in np.array_split(rows, 11):
        gram.add(piece)
    want = rows.T.astype(np.float64) @ rows / len(rows)
    got = gram.take()
    assert (got == got.T).all()
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("size", [1, 7, 256, 600])
def test_the_factor_in_place_is_numpys(size: int) -> None:
    matrix = gram_of(inputs(2 * size + 8, size)) + np.eye(size, dtype=np.float32)
    want = np.linalg.cholesky(matrix.astype(np.float64)).T
    cholesky(matrix)
    inner = np.triu_indices(size)
    assert np.abs(matrix[inner] - want[inner]).max() < 1e-4 * np.abs(want).max()


def gptq_by_the_paper(
    weights: np.ndarray, gram: np.ndarray, scales: np.ndarray, zeros: np.ndarray, group: int
) -> np.ndarray:
    """Codes of GPTQ's algorithm 1, with the inverse Hessian's factor, in float64, 4 bits."""
    energy = gram.diagonal()
    order = np.argsort(energy, kind="stable")[::-1]
    hessian = gram.astype(np.float64)[np.ix_(order, order)]
    hessian[np.diag_indices_from(hessian)] += 0.01 * energy.mean()
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    left = weights.astype(np.float64)[:, order]
    codes = np.zeros(weights.shape, np.uint8)
    for place, column in enumerate(order):
        scale, zero = scales[:, column // group], zeros[:, column // group]
        code = np.clip(np.rint(left[:, place] / scale + zero), 0, 15)
        error = (left[:, place] - (code - zero) * scale) / upper[place, place]
        left[:, place:] -= error[:, None] * upper[place, place:]
        codes[:, column] = code
    return codes


@pytest.mark.parametrize("weight_format", ["w4g32", "w4g64z"])
def test_error_feedback_chooses_the_codes_of_gptq(weight_format: str) -> None:
    rows = inputs(400, 128)
    gram = gram_of(rows)
    weights = np.random.default_rng(3).standard_normal((48, 128)).astype(np.float32)
    part = quantize_matrix(weights, weight_format, Feedback.of(gram), threads=2)
    codes, scales, zeros = _core.unpack_rows(part, weight_format, 48, 128)
    group = int(weight_format[3:].rstrip("z"))
    want = gptq_by_the_paper(weights, gram, scales, zeros.astype(np.float64), group)
    # Single precision decides a code otherwise where it lies half way between two.
    assert (codes == want).mean() > 0.995


@pytest.mark.parametrize("weight_format", ["w2g32", "w3g64z", "w4g64", "w8g128"])
def test_error_feedback_halves_the_error_of_the_outputs(weight_format: str) -> None:
    rows = inputs(600, 192)
    weights = np.random.default_rng(4).standard_normal((40, 192)).astype(np.float32)
    plain, *_ = _core.quantize_rows(weights, "f32", weight_format, 1)
    fitted = quantize_matrix(weights, weight_format, Feedback.of(gram_of(rows)), threads=2)

    def wrong(part: np.ndarray) -> float:
        stored = _core.dequantize_rows(part, weight_format, 40, 192)
        return float(np.square(rows @ (weights - stored).T).sum())

    assert wrong(fitted) < 0.5 * wrong(plain)


def test_codes_are_the_same_on_every_instruction_set_and_for_any_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feedback = Feedback.of(gram_of(inputs(300, 83)))
    weights = np.random.default_rng(5).standard_normal((37, 83)).astype(np.float32)
    made = []
    for isa in pocketr1.isas():
        monkeypatch.setenv("POCKETR1_ISA", isa)
        made += [quantize_matrix(weights, "w3g32", feedback, threads=n).tobytes() for n in (1, 3)]
    assert len(made) >= 2
    assert len(set(made)) == 1


def test_a_dead_input_and_too_few_rows_do_no_harm() -> None:
    rows = inputs(20, 96)  # far fewer rows than inputs
    rows[:, 11] = 0
    weights = np.random.default_rng(6).standard_normal((32, 96)).astype(np.float32)
    feedback = Feedback.of(gram_of(rows))
    assert np.isfinite(feedback.factor).all()
    stored = _core.dequantize_rows(
        quantize_matrix(weights, "w4g32", feedback, threads=1), "w4g32", 32, 96
    )
    plain, *_ = _core.quantize_rows(weights, "f32", "w4g32", 1)
    rounded = _core.dequantize_rows(plain, "w4g32", 32, 96)
    assert (
        np.square(rows @ (weights - stored).T).sum()
        < 0.2 * np.square(rows @ (weights - rounded).T).sum()
    )
    # What no row ever moved is still near what it was: another text may move it.
    assert np.abs(weights - stored)[:, 11].max() < 3 * np.abs(weights - rounded).max()


def test_inputs_that_are_all_zero_leave_rounding_to_nearest() -> None:
    weights = np.random.default_rng(7).standard_normal((16, 64)).astype(np.float32)
    feedback = Feedback.of(np.zeros((64, 64), np.float32))
    plain, *_ = _core.quantize_rows(weights, "f32", "w4g32", 1)
    assert quantize_matrix(weights, "w4g32", feedback, threads=1).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"order": np.zeros(8, np.uint32)},
        {"order": np.arange(7, dtype=np.uint32)},
        {"factor": np.zeros((8, 7), np.float32)},
        {"scales": np.ones((2, 2), np.float32)},
        {"weights": np.full((2, 8), np.nan, np.float32)},
        {"factor": np.full((8, 8), np.inf, np.float32)},
        {"group_size": 0},
        {"low": -200},
    ],
)
def test_feedback_refuses_what_does_not_fit(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "weights": np.ones((2, 8), np.float32),
        "order": np.arange(8, dtype=np.uint32),
        "factor": np.zeros((8, 8), np.float32),
        "scales": np.ones((2, 1), np.float32),
        "centres": np.zeros((2, 1), np.float32),
        "group_size": 8,
        "low": 0,
        "high": 15,
    }
    _core.round_with_feedback(**arguments)
    with pytest.raises(CompressionError) as caught:
        _core.round_with_feedback(**{**arguments, **change})
    assert caught.value.code in ("quantize-unsupported", "quantize-not-finite")


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
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("twin") / "twin"
    outliers.write_twin(TINY, path)
    return path


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
