"""``pocketr1 bench`` beyond the plain measurement."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pocketr1.cli import bench_tables, layout, output
from pocketr1.cli.app import main

FAKES = Path(__file__).parents[1] / "bench" / "fake_peers"
SMALL = ["--prompt-tokens", "8", "--gen-tokens", "2", "--repeat", "1", "--threads", "1"]


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a fake CTranslate2 and a model of it in place."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    monkeypatch.setenv("FAKE_PEER_LOG", str(tmp_path / "log"))
    model = tmp_path / "peers" / "ctranslate2" / "int8"
    model.mkdir(parents=True)
    (model / "model.bin").write_bytes(b"x" * 100)
    (model / "vocabulary.json").write_text(json.dumps([f"t{n}" for n in range(2000)]))
    return tmp_path / "peers"


def test_one_table_holds_both_engines_and_the_ratio(
    tiny_bundle: Path, peer: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", str(tiny_bundle), *SMALL, "--against", "ctranslate2,openvino", "--roofline"]
    line += ["--peer-models", str(peer), "--long-tokens", "16", "--together", "2"]
    assert main(line) == 0
    out, err = capfd.readouterr()
    assert "openvino is left out" in err
    assert "ctranslate2 0.fake" in out
    for row in ("bits per weight", "prefill 8, tok/s", "prefill 16, tok/s", "2 together"):
        assert row in out
    assert out.count("×") >= 8
    assert "GB/s" in out and f"python {sys.version.split()[0]}" in out


def test_the_document_is_one_and_alone_on_stdout(
    tiny_bundle: Path, peer: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", str(tiny_bundle), *SMALL, "--against", "ctranslate2", "--json"]
    line += ["--peer-models", str(peer), "--long-tokens", "0", "--together", "0"]
    assert main(line) == 0
    tree = json.loads(capfd.readouterr().out)
    assert set(tree) == {
        *("kind", "machine", "threads", "options", "engines", "missing", "roofline")
    }
    assert [engine["engine"] for engine in tree["engines"]] == ["pocketr1", "ctranslate2"]


def test_the_tables_exist_in_chinese(
    tiny_bundle: Path, peer: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    line = ["bench", str(tiny_bundle), *SMALL, "--against", "ctranslate2,llama.cpp"]
    line += ["--peer-models", str(peer), "--long-tokens", "0", "--together", "0"]
    assert main(line) == 0
    out, err = capfd.readouterr()
    assert "每权重比特数" in out and "预填充 8" in out
    assert "略去 llama.cpp" in err


def test_sustain_shows_a_table_and_writes_the_plot(
    tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.svg"
    line = ["bench", str(tiny_bundle), "--threads", "1", "--sustain", "1s", "--plot", str(plot)]
    assert main(line) == 0
    assert "tok/s" in capfd.readouterr().out
    assert plot.read_text().startswith("<svg")


def test_scenarios_show_both_tables(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    line = ["bench", str(tiny_bundle), "--scenarios", "--gen-tokens", "2", "--threads", "1"]
    assert main([*line, "--steps", str(tiny_bundle)]) == 0
    out = capfd.readouterr().out
    assert "mathematical reasoning" in out and "12.7" in out
    assert "perplexity" in out and "w4g64" in out


def test_speculation_is_counted_on_the_scenarios(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", str(tiny_bundle), "--scenarios", "--gen-tokens", "24", "--threads", "1"]
    assert main([*line, "--speculate", str(tiny_bundle), "--json"]) == 0
    tree = json.loads(capfd.readouterr().out)
    assert tree["speculate"] == str(tiny_bundle)
    # Drafted by the model itself: what it says twice is the same.
    assert all(row["drafted"] >= row["accepted"] > 0 for row in tree["scenarios"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no such call")
def test_what_measures_runs_on_the_cpus_asked_for(
    tiny_bundle: Path, peer: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = os.sched_getaffinity(0)
    cpu = max(before)
    line = ["bench", str(tiny_bundle), *SMALL[:-2], "--cpus", str(cpu), "--json"]
    line += ["--against", "ctranslate2", "--peer-models", str(peer)]
    assert main([*line, "--long-tokens", "0", "--together", "0"]) == 0
    assert json.loads(capfd.readouterr().out)["threads"] == 1
    calls = [json.loads(call) for call in (peer.parent / "log").read_text().splitlines()]
    assert {tuple(call["cpus"]) for call in calls if "cpus" in call} == {(cpu,)}
    assert os.sched_getaffinity(0) == before


def test_on_a_narrow_terminal_each_figure_stands_below_its_name(
    tiny_bundle: Path,
    peer: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "48")
    for module in (output, bench_tables):
        monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    line = ["bench", str(tiny_bundle), *SMALL, "--against", "ctranslate2", "--roofline"]
    line += ["--peer-models", str(peer), "--long-tokens", "16", "--together", "2"]
    assert main(line) == 0
    lines = capfd.readouterr().out.splitlines()
    assert max(map(layout.columns, lines)) <= 48
    at = lines.index("prefill 8, tok/s")
    assert lines[at + 1].startswith("  pocketr1 ") and "×" in "".join(lines[at + 2 : at + 5])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["--against", "llamacpp"], "bench-peer"),
        (["--against", "openvino", "--peer-models", "/no/such"], "bench-peer-models"),
        (["--peer-models", "x"], "bench-needs"),
        (["--plot", "x.svg"], "bench-needs"),
        (["--scenarios", "--task", "x"], "bench-needs"),
        (["--speculate", "lookup"], "bench-needs"),
        (["--kv-format", "f16,int8"], "bench-needs"),
        (["--against", "openvino", "--kv-format", "f16,int3"], "kv-format-value"),
        (["--cpus", "none"], "cpus-value"),
        (["--sustain", "1m", "--scenarios"], "bench-modes"),
        (["--roofline", "--sustain", "1m"], "bench-modes"),
        (["--sustain", "soon"], "bench-duration"),
        (["--roofline", "--together", "-1"], "bench-count"),
        (["--roofline", "--long-tokens", "x"], "cli-not-whole"),
    ],
)
def test_misuse_is_told(
    line: list[str], code: str, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(tiny_bundle), *line, "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == code
