"""``pocketr1 evaluate`` and the gate of ``compress``, as a user runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import pocketr1
from pocketr1.cli import evaluate_tables, layout, output
from pocketr1.cli.app import main
from pocketr1.cli.reference import reference

ROOT = Path(__file__).parents[3]
TINY = ROOT / "models" / "tiny-r1"
DIVERGENCE = {
    "kld_mean",
    "kld_median",
    "kld_p99",
    "kld_max",
    "top1_agreement",
    "rms_dp",
    "perplexity",
    "reference_perplexity",
}
TASK = {
    "accuracy",
    "reference_accuracy",
    "n",
    "mean_tokens",
    "truncated",
    "looping",
}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli-evaluate") / "tiny-int8"
    pocketr1.Quantizer(TINY, output_path=path, bits=8).run()
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli-evaluate") / "text.txt"
    path.write_text("12×3=10×3+2×3=30+6=36。" * 60, "utf-8")
    return path


def document(capsys: pytest.CaptureFixture[str], *line: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, line), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_document_holds_what_it_promises(
    bundle: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["evaluate", bundle, "--reference", "tiny", "--text", text, "--task", "tiny"]
    tree = document(capsys, *line, "--limit", 20, "--max-drop", "100%", "--max-tokens", 400)

    assert tree["verdict"] == "pass"
    assert tree.keys() >= DIVERGENCE
    assert all(isinstance(tree[name], float) for name in DIVERGENCE)
    for part in ("prompt", "reasoning", "answer"):
        assert all(isinstance(tree["parts"][part][name], float) for name in DIVERGENCE)
    (task,) = tree["tasks"]
    assert task.keys() >= TASK and task["n"] == 20
    assert len(tree["worst_tensors"]) == 10
    assert tree["model"]["bits_per_weight"] < 9 < tree["reference"]["bits_per_weight"]
    assert tree["model"]["peak_rss_bytes"] > 0
    section = reference().split("## For programs")[1].split("\n`evaluate`:")[1].split("\n\n")[0]
    assert tree.keys() <= set(re.findall(r"`(\w+)`", section))
    assert task.keys() <= set(re.findall(r"`(\w+)`", section))


def test_a_model_beside_itself_shows_what_the_kv_format_costs(
    text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["evaluate", "tiny", "--reference", "tiny", "--text", text]
    costs = {
        kv: document(capsys, *line, "--kv-format", kv)["kld_mean"] for kv in ("f16", "f32", "int8")
    }
    assert costs["f16"] == 0 < costs["f32"] < costs["int8"]
    assert document(capsys, *line, "--kv-format", "int4", code=2)["error"]["code"] == (
        "kv-format-value"
    )


def test_fail_is_exit_code_1_and_still_a_document(
    bundle: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["evaluate", bundle, "--reference", "tiny", "--text", text, "--max-kld", "0"]
    tree = document(capsys, *line, code=1)
    assert tree["verdict"] == "fail"
    assert [check["kind"] for check in tree["checks"]] == ["kld"]


def test_without_a_reference_nothing_is_judged(
    bundle: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = document(capsys, "evaluate", bundle, "--text", text)
    assert tree["verdict"] is None
    assert tree["perplexity"] > 1 and tree["kld_mean"] is None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "evaluate-nothing"),
        (["--task", "nowhere.jsonl"], "task-file"),
        (["--text", "nowhere.txt"], "evaluate-text"),
        (["--task", "tiny", "--max-drop", "1"], "evaluate-needs-reference"),
        (["--task", "tiny", "--seeds", "2", "--temperature", "0"], "evaluate-greedy-seeds"),
        (["--task", "tiny", "--limit", "0"], "evaluate-value"),
        (["--task", "tiny", "--reference", "tiny", "--max-drop", "x"], "cli-not-number"),
        (["--text", str(TINY / "README.md"), "--window", "2"], "measure-window"),
    ],
)
def test_mistakes_are_named(
    bundle: Path, options: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle), *options]) == 2
    assert f"error[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [40, 48, 100])
def test_the_report_fits_its_terminal(
    bundle: Path,
    width: int,
    language: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LC_ALL", {"en": "C.UTF-8", "zh": "zh_CN.UTF-8"}[language])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(bundle)
    for module in (output, evaluate_tables):
        monkeypatch.setattr(module, "is_terminal", lambda stream: stream.fileno() != 2)
    monkeypatch.setattr(output.sys.stdout, "fileno", lambda: 1, raising=False)
    line = ["evaluate", "model", "--reference", "tiny", "--task", "tiny", "--limit", "8"]
    main([*line, "--max-tokens", "400"])
    printed = capsys.readouterr().out
    wide = [row for row in printed.split("\n") if layout.columns(row) > width]
    # A word longer than the line, such as a tensor's name, stays whole.
    assert [row for row in wide if len(row.split()) > 1] == []
    assert ("评测报告" if language == "zh" else "Evaluation") in printed


def test_the_page_is_written_where_it_is_asked_for(
    bundle: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main(["evaluate", str(bundle), "--text", str(text), "--html", str(page)]) == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert str(page) in capsys.readouterr().err


# compress


def compress(out: Path, *options: object) -> list[object]:
    return ["compress", "tiny", "-o", out, "--bits", "4", "--group-size", "32", *options]


def test_compress_judges_and_publishes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "out", tmp_path / "report.html"
    options = ["--gate-task", "tiny", "--gate-limit", 30, "--max-drop", 50, "--gate-html", page]
    tree = document(capsys, *compress(out, *options))
    assert tree["evaluation"]["verdict"] == "pass"
    assert page.exists()
    assert main(["inspect", str(out)]) == 0
    assert "PASS" in capsys.readouterr().out


def test_compress_refuses_what_fails_and_says_what_to_change(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = compress(out, "--gate-text", text, "--max-kld", "0.000001")
    tree = document(capsys, *line, code=1)
    assert tree["error"]["code"] == "compress-gate-failed"
    assert tree["error"]["params"]["evaluation"]["verdict"] == "fail"
    assert "--bits 8" in tree["error"]["mend"]
    assert not out.exists()
    assert main([*map(str, line), "--keep-failed"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed and out.exists()
    assert main(["inspect", str(out)]) == 0
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--max-drop", "3"], "compress-gate-option"),
        (["--keep-failed"], "compress-gate-option"),
        (["--cache", "cache"], "compress-gate-option"),
        (["--gate-text", str(TINY / "README.md")], "evaluate-gate-nothing"),
        (["--gate-task", "nowhere.jsonl"], "task-file"),
        (["--discard-source"], "compress-tiny-discard"),
    ],
)
def test_a_gate_s_mistakes_are_named_before_the_work(
    tmp_path: Path, options: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*map(str, compress(tmp_path / "out")), *options]) == 2
    assert f"error[{code}]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
