"""Distilling with PyTorch: the student is the model, codes stay frozen, the divergence falls."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from compress_support import files
from oracle_support import bound, start

from pocketr1 import _core, bundle, checkpoint, compress
from pocketr1.bundle.layout import group_size
from pocketr1.compress import Quantizer
from pocketr1.compress.distill import Distiller, distiller
from pocketr1.errors import CompressionError

pytestmark = pytest.mark.oracle

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny-r1"
MODELS = ROOT / "tests" / "golden" / "models"
sys.path.insert(0, str(ROOT / "training"))

from tiny_r1.sample import training_problem  # noqa: E402

CASES = sorted(path.name for path in MODELS.iterdir())


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def student_logits(torch: Any, spec: Any, tensors: Any, ids: Any) -> np.ndarray:
    from pocketr1.compress.distill.student import Student

    student = Student(spec, tensors)
    with torch.no_grad():
        states = student.states(torch.from_numpy(np.array(ids, np.int64))[None])
        logits: np.ndarray = student.head()(states[0]).numpy()
    return logits


@pytest.mark.parametrize("case", CASES)
def test_the_student_says_what_transformers_and_the_engine_say(torch: Any, case: str) -> None:
    """All architectures, in full precision, within the bound of tests/golden/README.md."""
    from pocketr1.compress.distill.tensors import frozen

    with np.load(MODELS / case / "reference.npz") as stored:
        reference = dict(stored)
    source = checkpoint.open(MODELS / case)
    tensors = {
        name: frozen(source.read_rows(name), tensor.dtype)
        for name, tensor in source.tensors.items()
    }
    logits = student_logits(torch, source.spec, tensors, reference["prompt"])
    within = bound(reference["error"], reference["logits"])
    assert np.abs(logits - reference["logits"]).max() <= within
    engine = start(MODELS / case, 64).feed(reference["prompt"])
    assert np.abs(logits - engine).max() <= 2 * within


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 8, "group_size": 32},
        {"bits": 4, "group_size": 32, "symmetric": False},
        {"bits": 3, "group_size": 64},
        {"bits": 2, "group_size": 32},
        {"bits": "f8"},
        {"bits": 4, "group_size": 64, "embedding_bits": 16},
    ],
    ids=str,
)
@pytest.mark.parametrize("case", ["qwen2-tied-mha", "llama-llama3-gqa3", "qwen3-yarn-gqa2"])
def test_a_student_untrained_is_the_bundle_to_the_bit(
    torch: Any, tmp_path: Path, case: str, options: dict[str, Any]
) -> None:
    """Its weights are the engine's, and written again they are the very bytes."""
    from pocketr1.compress.distill.original import MadeBundle
    from pocketr1.compress.distill.student import Student
    from pocketr1.compress.distill.tensors import Rewriter, read_student

    made = tmp_path / "made"
    if checkpoint.open(MODELS / case).spec.tied_embeddings is False and "embedding_bits" in options:
        options = {**options, "head_bits": 3}
    Quantizer(MODELS / case, output_path=made, **options).run()
    opened = MadeBundle.open(made)
    tensors = read_student(opened)
    for plan in opened.tensors:
        with torch.no_grad():
            values = tensors[plan.name].value().numpy()
        assert np.array_equal(values, bundle.read_weights(opened.core, plan.name)), plan.name
    trained = {name: each.stored() for name, each in Student(opened.spec, tensors).trained()}
    layout = bundle.plan_layout(opened.tensors)
    rewriter = Rewriter(opened, layout.tensors, trained)
    for segment in layout.segments:
        for part, (data, _) in zip(segment.parts, rewriter.parts(segment), strict=True):
            name = layout.tensors[part.tensor].name
            assert np.array_equal(data, opened.core.part_bytes(name, 0)), name


def test_gradients_of_scales_are_the_finite_differences(torch: Any) -> None:
    """The hand-written backward pass of dequantizing; it is linear, so that steps may be long."""
    from pocketr1.compress.distill.student import _Dequantize

    random = np.random.default_rng(3)
    steps = torch.from_numpy(random.integers(-8, 8, (5, 3, 32)).astype(np.int8))
    scales = torch.from_numpy(random.standard_normal((5, 3)).astype(np.float32))
    towards = torch.from_numpy(random.standard_normal((5, 3, 32)).astype(np.float32))
    scales.requires_grad_()
    (_Dequantize.apply(steps, scales) * towards).sum().backward()
    for row in range(5):
        for group in range(3):
            moved = scales.detach().double().clone()
            moved[row, group] += 1
            change = ((moved - scales.detach()).unsqueeze(-1) * steps * towards).sum()
            assert float(scales.grad[row, group]) == pytest.approx(float(change), rel=1e-4)


def write_texts(path: Path) -> None:
    """Write right replies to problems like those Tiny R1 was trained on; nothing need be reasoned.

    A sequence is one problem and its reply.
    """
    source = Random(11)
    problems = [training_problem(source) for _ in range(32)]
    lines = (
        json.dumps({"text": f"{each.question}\n{each.thought}\n\n{each.reply}"})
        for each in problems
    )
    path.write_text("\n".join(lines) + "\n", "utf-8")


def distilled(made: Path, output: Path, **options: Any) -> compress.distill.DistillReport:
    """Distill with the texts that lie beside the bundle."""
    chosen: dict[str, Any] = {
        "epochs": 2,
        "calibration_data": made.parent / "texts.jsonl",
        "calibration_samples": 32,
        "threads": 1,
        **options,
    }
    return Distiller(made, TINY, output, **chosen).run()


@pytest.fixture(scope="module", params=[3, 2], ids=["3 bits", "2 bits"])
def pair(
    torch: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, compress.distill.DistillReport]:
    """A bundle of Tiny R1, the one distilled of it, and the report."""
    work = tmp_path_factory.mktemp("pair")
    made = work / "made"
    write_texts(work / "texts.jsonl")
    Quantizer(TINY, output_path=made, bits=request.param, group_size=32).run()
    report = distilled(made, work / "out", calibration_text=work / "text.txt")
    return made, work / "out", report


def test_the_divergence_falls_and_the_record_says_so(
    pair: tuple[Path, Path, compress.distill.DistillReport],
) -> None:
    _, out, report = pair
    assert report.kld_after < report.kld_before
    record = bundle.inspect(out, verify=True).distilled
    assert record is not None
    assert record["kld"] == {"before": report.kld_before, "after": report.kld_after}
    assert record["steps"] == report.steps > 0
    text = (out.parent / "text.txt").read_bytes()
    assert record["sha256"] == hashlib.sha256(text).hexdigest()
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "made",
        "out",
        "text.txt",
        "texts.jsonl",
    ]


def test_codes_and_zero_points_are_frozen_and_scales_are_not(
    pair: tuple[Path, Path, compress.distill.DistillReport],
) -> None:
    made, out, _ = pair
    one, other = (_core.Bundle.open(str(path)) for path in (made, out))
    changed = 0
    for name, weight_format, _, _ in one.tensors():
        if group_size(weight_format):
            before, after = (bundle.unpack(each, name) for each in (one, other))
            assert np.array_equal(before.codes, after.codes), name
            assert np.array_equal(before.zeros, after.zeros), name
            assert np.array_equal(np.sign(before.scales), np.sign(after.scales)), name
            changed += int((before.scales != after.scales).sum())
    assert changed > 0


def test_the_same_job_gives_the_same_bytes(
    pair: tuple[Path, Path, compress.distill.DistillReport], tmp_path: Path
) -> None:
    made, out, _ = pair
    distilled(made, tmp_path / "again")
    assert files(tmp_path / "again") == files(out)


def test_what_does_not_help_leaves_nothing(
    pair: tuple[Path, Path, compress.distill.DistillReport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps far too long: the gate sees that the model got worse."""
    made, _, _ = pair
    monkeypatch.setattr(distiller, "_RATE", 3.0)
    with pytest.raises(CompressionError) as raised:
        distilled(made, tmp_path / "worse", epochs=1)
    assert raised.value.code == "distill-no-gain"
    assert list(tmp_path.iterdir()) == []


def test_a_job_stopped_while_training_takes_up_its_text(
    pair: tuple[Path, Path, compress.distill.DistillReport], tmp_path: Path
) -> None:
    made, out, _ = pair

    def stop(step: Any) -> None:
        if step.stage == "distill" and step.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distilled(made, tmp_path / "out", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    stages = set()
    distilled(made, tmp_path / "out", progress=lambda step: stages.add(step.stage))
    assert "original" not in stages
    assert files(tmp_path / "out") == files(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_job_s_work_is_not_taken_up(
    pair: tuple[Path, Path, compress.distill.DistillReport], tmp_path: Path
) -> None:
    made, _, _ = pair

    def stop(step: Any) -> None:
        if step.stage == "original":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distilled(made, tmp_path / "out", progress=stop)
    with pytest.raises(CompressionError) as raised:
        distilled(made, tmp_path / "out", epochs=3)
    assert raised.value.code == "compress-job-differs"
