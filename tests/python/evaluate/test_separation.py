"""What measured a model is not what calibrated it, and the report proves it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import pocketr1
from pocketr1.evaluate import EvaluateOptions, EvaluationReport, evaluate_models

OPTIONS = EvaluateOptions(limit=10, max_tokens=400, max_drop=100)


@pytest.fixture
def calibrated(good: Path, task: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a bundle that records a calibration text, and that text: half of it is the task."""
    text = tmp_path / "calibration.txt"
    questions = [json.loads(line)["question"] for line in task.read_text("utf-8").splitlines()]
    text.write_text("\n".join(questions[:5]) + "\nand other words of no kind\n", "utf-8")
    bundle = tmp_path / "calibrated"
    shutil.copytree(good, bundle)
    tree = json.loads((bundle / "bundle.json").read_text("utf-8"))
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    tree["calibration"] = {"file": text.name, "sha256": digest, "samples": 5}
    (bundle / "bundle.json").write_text(json.dumps(tree), "utf-8")
    return bundle, text


def run(model: Path, task: Path, calibration: Path | None) -> EvaluationReport:
    return evaluate_models(model, "tiny", tasks=[task], calibration=calibration, options=OPTIONS)


def test_a_bundle_made_without_calibration_says_so(good: Path, task: Path) -> None:
    report = run(good, task, None)
    assert report.separation.status == "none"
    assert report.verdict == "pass"


def test_a_calibrated_bundle_without_its_text_is_not_proven(
    calibrated: tuple[Path, Path], task: Path
) -> None:
    report = run(calibrated[0], task, None)
    assert report.separation.status == "unknown"
    assert report.separation.calibration_sha256
    assert "evaluate-remark-calibration" in [remark.code for remark in report.remarks]


def test_measuring_on_the_calibration_text_fails(calibrated: tuple[Path, Path], task: Path) -> None:
    report = run(*[calibrated[0], task, calibrated[1]])
    assert report.separation.status == "shared"
    assert report.separation.overlap is not None and report.separation.overlap.share > 0.3
    assert [check.kind for check in report.checks if not check.passed] == ["separation"]
    assert report.verdict == "fail"
    assert [advice.code for advice in report.advice] == ["evaluate-advice-separation"]


def test_another_text_than_the_one_on_record_is_refused(
    calibrated: tuple[Path, Path], task: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("nothing of the kind", "utf-8")
    with pytest.raises(pocketr1.UsageError) as caught:
        run(calibrated[0], task, other)
    assert caught.value.code == "evaluate-calibration-differs"


def test_a_text_that_shares_nothing_proves_it(good: Path, task: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("nothing of the kind stands here " * 20, "utf-8")
    report = run(good, task, other)
    assert report.separation.status == "apart"
    assert report.separation.overlap is not None
    assert (report.separation.overlap.shared, report.separation.overlap.grams > 50) == (0, True)
