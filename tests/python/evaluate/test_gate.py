"""The gate of compress: what fails gets no name."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from compress_support import files, kill_after

import pocketr1
from pocketr1.compress import Judgement, Quantizer
from pocketr1.engine import ModelSource
from pocketr1.evaluate import EvaluateOptions, EvaluationGate, find_task

ROOT = Path(__file__).parents[3]
TINY = ROOT / "models" / "tiny-r1"


def passing(bundle: ModelSource) -> Judgement:
    return Judgement(True, {"verdict": "pass"}, report={"kind": "evaluation"})


def failing(bundle: ModelSource) -> Judgement:
    return Judgement(False, {"verdict": "fail"}, "It is bad.", "Take more bits.", {"kld": 1})


def quantizer(output: Path, gate: Any, bits: int = 8, **options: Any) -> Quantizer:
    return Quantizer(TINY, output_path=output, bits=bits, gate=gate, **options)


def refused(output: Path, gate: Any = failing, **options: Any) -> pocketr1.CompressionError:
    with pytest.raises(pocketr1.CompressionError) as caught:
        quantizer(output, gate, **options).run()
    assert caught.value.code == "compress-gate-failed"
    return caught.value


def test_a_bundle_that_passes_keeps_its_judgement(tmp_path: Path) -> None:
    report = quantizer(tmp_path / "out", passing).run()
    assert pocketr1.inspect(tmp_path / "out").gate == {"verdict": "pass"}
    assert report.evaluation == {"kind": "evaluation"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_but_for_the_judgement_the_bundle_is_the_same(tmp_path: Path) -> None:
    quantizer(tmp_path / "gated", passing).run()
    quantizer(tmp_path / "plain", None).run()
    gated, plain = files(tmp_path / "gated"), files(tmp_path / "plain")
    documents = [json.loads(each.pop("bundle.json")) for each in (gated, plain)]
    assert gated == plain
    assert documents[0].pop("gate") and documents[1].pop("gate") is None
    assert documents[0] == documents[1]


def test_a_bundle_that_fails_gets_no_name_and_loads_nowhere(tmp_path: Path) -> None:
    out = tmp_path / "out"
    error = refused(out)
    assert "It is bad." in error.what and "Take more bits." in error.mend
    assert not out.exists()
    partial = tmp_path / "out.partial"
    assert json.loads((partial / "failed.json").read_text()) == {"verdict": "fail"}
    for path in (partial, partial / "bundle"):
        with pytest.raises(pocketr1.EngineError):
            pocketr1.load(path)


def test_a_failed_job_is_judged_again_without_compressing_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(out)
    report = quantizer(out, passing).run()
    assert report.resumed_segments == report.bundle.segments
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_job_gives_way_to_other_options(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(out, bits=4)
    report = quantizer(out, passing, bits=8).run()
    assert report.resumed_segments == 0
    assert report.bundle.plan["bits"] == 8


def test_a_job_that_was_only_interrupted_does_not_give_way(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stopped(bundle: ModelSource) -> Judgement:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantizer(out, stopped, bits=4).run()
    assert not (tmp_path / "out.partial" / "bundle" / "bundle.json").exists()
    with pytest.raises(pocketr1.CompressionError) as caught:
        quantizer(out, passing, bits=8).run()
    assert caught.value.code == "compress-job-differs"
    assert quantizer(out, passing, bits=4).run().resumed_segments > 0


def test_the_user_may_keep_what_failed_and_it_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out"
    quantizer(out, failing, keep_failed=True).run()
    assert pocketr1.inspect(out).gate == {"verdict": "fail"}
    pocketr1.load(out).close()


def test_an_older_bundle_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    quantizer(out, None, bits=4).run()
    before = files(out)
    refused(out, overwrite=True)
    assert files(out) == before


def test_killed_while_it_is_judged_nothing_can_be_loaded(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def killed(bundle: ModelSource) -> Judgement:
        pocketr1.load(bundle).close()  # the gate itself can
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    assert kill_after(10**9, lambda: quantizer(out, killed).run())
    with pytest.raises(pocketr1.EngineError) as caught:
        pocketr1.load(tmp_path / "out.partial" / "bundle")
    assert caught.value.code == "model-unfinished"
    assert quantizer(out, passing).run().resumed_segments > 0


def test_killed_at_any_change_to_the_disk_around_the_judgement_it_goes_on(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    quantizer(reference, passing).run()
    for count in range(1, 400):
        out = tmp_path / f"out-{count}"
        # Compressed before, so that the changes counted are those around the judgement.
        with pytest.raises(KeyboardInterrupt):
            quantizer(out, _interrupt).run()
        if not kill_after(count, lambda out=out: quantizer(out, passing).run()):
            break
        if out.exists():
            assert files(out) == files(reference)
        else:
            quantizer(out, passing).run()
            assert files(out) == files(reference)
    else:
        pytest.fail("it never ends")
    assert count > 5


def _interrupt(bundle: ModelSource) -> Judgement:
    raise KeyboardInterrupt


def test_a_gate_needs_the_source(tmp_path: Path) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        quantizer(tmp_path / "out", passing, discard_source=True)
    assert caught.value.code == "compress-gate-source"


def test_a_directory_that_happens_to_be_called_bundle_loads(tmp_path: Path, good: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    (tmp_path / "bundle").symlink_to(good)
    pocketr1.load(tmp_path / "bundle").close()


# The gate that measures


def test_a_good_bundle_passes_the_measuring_gate(tmp_path: Path, task: Path) -> None:
    options = EvaluateOptions(max_drop=20, max_tokens=400)
    gate = EvaluationGate(TINY, tasks=[find_task(task)], options=options)
    quantizer(tmp_path / "out", gate).run()
    record = pocketr1.inspect(tmp_path / "out").gate
    assert record is not None and record["verdict"] == "pass"
    assert record["files"][0]["path"] == str(task)
    assert gate.report is not None
    assert gate.report.model.report.path == str((tmp_path / "out").resolve())


def test_a_limit_on_the_divergence_that_is_not_kept_fails(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("12×3=10×3+2×3=30+6=36。" * 60, "utf-8")
    options = EvaluateOptions(max_kld=1e-9)
    gate = EvaluationGate(TINY, text=text, options=options)
    error = refused(tmp_path / "out", gate, bits=4)
    assert "--group-size 64" in error.mend and "--bits 8" in error.mend


@pytest.mark.parametrize("with_text", [False, True])
def test_a_gate_with_nothing_to_judge_by_is_refused(tmp_path: Path, with_text: bool) -> None:
    text = tmp_path / "text.txt"
    text.write_text("some words", "utf-8")
    with pytest.raises(pocketr1.UsageError) as caught:
        EvaluationGate(TINY, text=text if with_text else None)
    assert caught.value.code == "evaluate-gate-nothing"


def test_a_gate_s_files_are_looked_at_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        EvaluationGate(TINY, tasks=[find_task(tmp_path / "nowhere.jsonl")])
    assert caught.value.code == "task-file"


# A gate of a job that calibrates

OTHER_WORDS = " ".join(f"thing{number} and then one more" for number in range(400))


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    path = tmp_path / "conversations.jsonl"
    line = {
        "question": "What is a prime?",
        "answer": "A number that only one and itself divide, " * 9,
    }
    path.write_text(json.dumps(line))
    return path


def calibrated(
    tmp_path: Path, words: str, progress: list[str] | None = None, **gate: Any
) -> Quantizer:
    data = tmp_path / "data.txt"
    data.write_text(words, "utf-8")
    options = EvaluateOptions(max_drop=100, max_kld=100, max_tokens=200, limit=10)
    return Quantizer(
        TINY,
        output_path=tmp_path / "out",
        bits=8,
        calibration_data=data,
        calibration_samples=8,
        gate=EvaluationGate(TINY, options=options, **gate),
        progress=lambda step: None if progress is None else progress.append(step.stage),
    )


def test_a_gate_is_shown_the_calibration_text_and_proves_that_it_measures_apart(
    tmp_path: Path, task: Path
) -> None:
    job = calibrated(tmp_path, OTHER_WORDS, tasks=[find_task(task)])
    evaluation = job.run().evaluation
    assert evaluation is not None
    assert evaluation["separation"]["status"] == "apart"
    assert evaluation["separation"]["overlap"]["grams"] > 0
    record = pocketr1.inspect(tmp_path / "out").calibration
    assert record is not None
    assert evaluation["separation"]["calibration_sha256"] == record["sha256"]
    assert [check["kind"] for check in evaluation["checks"]] == ["drop", "kld", "separation"]


@pytest.mark.parametrize("kind", ["task", "text", "conversations"])
def test_a_gate_that_measures_with_the_calibration_text_stops_the_job_before_the_work(
    tmp_path: Path, task: Path, conversations: Path, kind: str
) -> None:
    leaked = tmp_path / "leaked.txt"
    leaked.write_text(OTHER_WORDS[:600] + " so it was told by no one at all, in no book. " * 3)
    file = {"task": task, "text": leaked, "conversations": conversations}[kind]
    words = file.read_text("utf-8")
    if kind != "text":
        lines = [json.loads(line) for line in words.splitlines()][:10]
        words = " ".join(line["question"] + " " + str(line["answer"]) for line in lines)
    gate: dict[str, Any] = {"tasks": [find_task(file)]} if kind == "task" else {"text": file}
    stages: list[str] = []
    job = calibrated(tmp_path, f"{OTHER_WORDS} {words}", stages, **gate)
    for _ in range(2):  # taken up again it is no other
        with pytest.raises(pocketr1.UsageError) as caught:
            job.run()
        assert caught.value.code == "evaluate-gate-calibration"
        assert caught.value.params["path"] == str(file)
        assert caught.value.params["shared"] > 0 and caught.value.params["example"]
    assert "calibrate" not in stages
    assert not (tmp_path / "out").exists()
    # With other data the job is another, and what was left gives way.
    if kind == "text":
        assert calibrated(tmp_path, OTHER_WORDS[600:], **gate).run().evaluation is not None


def test_a_small_task_that_leaked_is_found_beside_a_large_text_that_did_not(
    tmp_path: Path, task: Path
) -> None:
    text = tmp_path / "large.txt"
    text.write_text(" ".join(f"word{number}" for number in range(20_000)))
    lines = task.read_text("utf-8").splitlines()[:4]
    questions = " ".join(json.loads(line)["question"] for line in lines)
    gate = EvaluationGate(TINY, text=text, tasks=[find_task(task)])
    gate.calibrated_with(OTHER_WORDS)
    with pytest.raises(pocketr1.UsageError) as caught:
        gate.calibrated_with(f"{OTHER_WORDS} {questions}")
    assert caught.value.params["path"] == str(task)
