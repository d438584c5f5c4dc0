"""Each command on a random model, as a user runs it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pocketr1 import Sampling
from pocketr1.bench import BenchOptions
from pocketr1.cli import hints
from pocketr1.cli.app import COMMANDS, main
from pocketr1.cli.reference import reference
from pocketr1.compress import DEFAULTS
from pocketr1.hub import ALIASES


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def documented(command: str) -> set[str]:
    """Return the keys that the reference page names for a command's document."""
    section = reference().split("## For programs")[1].split(f"\n`{command}`:")[1].split("\n\n")[0]
    return set(re.findall(r"`(\w+)`", section))


def document(capsys: pytest.CaptureFixture[str], *line: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, line), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_defaults_shown_are_the_library_s() -> None:
    shown = {
        "--bits": DEFAULTS.bits,
        "--group-size": DEFAULTS.group_size,
        "--prompt-tokens": BenchOptions().prompt_tokens,
        "--gen-tokens": BenchOptions().gen_tokens,
        "--repeat": BenchOptions().repeat,
        "--temperature": Sampling().temperature,
        "--top-p": Sampling().top_p,
        "--top-k": Sampling().top_k,
        "--min-p": Sampling().min_p,
        "--repetition-penalty": Sampling().repetition_penalty,
    }
    page = reference().splitlines()
    for option, value in shown.items():
        lines = [line for line in page if line.startswith(f"| `{option} ")]
        assert lines
        assert all(f"[default: {value:g}]" in line for line in lines), option
    assert DEFAULTS.symmetric and not DEFAULTS.discard_source and not DEFAULTS.overwrite


# compress


def test_compress_makes_a_bundle_and_reports(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    report = document(capsys, "compress", tiny_checkpoint, "-o", out, "--bits", 4)
    assert (out / "bundle.json").is_file()
    assert report["bundle"]["plan"]["bits"] == 4
    assert report["bundle"]["plan"]["group_size"] == DEFAULTS.group_size
    assert report["seconds"] > 0
    assert set(report) <= documented("compress")
    assert main(["compress", str(tiny_checkpoint), "-o", str(out), "--bits", "4"]) == 1
    assert "error[compress-output-exists]" in capsys.readouterr().err
    line = ["compress", str(tiny_checkpoint), "-o", str(out), "--overwrite", "--asymmetric"]
    assert main([*line, "--bits", "4", "--embedding-bits", "8", "--head-bits", "16"]) == 0
    plan = document(capsys, "inspect", out)["plan"]
    assert not plan["symmetric"]
    assert (plan["embedding_bits"], plan["head_bits"]) == (8, 16)


def test_a_dry_run_writes_nothing(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    estimate = document(capsys, "compress", tiny_checkpoint, "-o", out, "--dry-run")
    assert estimate["output_bytes"] > 0
    assert estimate["bits_per_weight"] > 8
    assert set(estimate) <= documented("compress")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--bits", "5"], "compress-option"),
        (["--group-size", "48"], "compress-option"),
        (["--asymmetric"], "compress-asymmetric"),
        (["--calibration-data", "no-text.txt"], "calibration-file"),
        (["--calibration-samples", "1"], "compress-option"),
        (["--threads", "0"], "threads-value"),
    ],
)
def test_what_compress_cannot_do_is_a_mistake(
    tiny_checkpoint: Path,
    tmp_path: Path,
    options: list[str],
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["compress", str(tiny_checkpoint), "-o", str(tmp_path / "x"), *options]
    assert main(line) == 2
    assert f"error[{code}]" in capsys.readouterr().err


def test_an_interrupted_compression_says_how_to_go_on(
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pocketr1.cli import compress as module

    out = tmp_path / "bundle"
    line = ["compress", str(tiny_checkpoint), "-o", str(out)]

    class Interrupting:
        def __enter__(self) -> Any:
            return self.advance

        def __exit__(self, *_: object) -> None: ...

        def advance(self, code: str, done: int, total: int, detail: str) -> None:
            if code == "cli-progress-compress" and done > total // 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "progress_bar", Interrupting)
        assert main(line) == 1
    err = capsys.readouterr().err
    assert "error[cli-compress-interrupted]" in err
    assert "bundle.partial" in err
    assert not out.exists()
    shutil.copytree(tmp_path / "bundle.partial", tmp_path / "second.partial")
    report = document(capsys, *line)
    assert report["resumed_segments"] > 0
    assert (out / "bundle.json").is_file()

    for place, resumed in (("second", True), ("third", False)):
        assert main([*line[:-1], str(tmp_path / place)]) == 0
        assert ("an earlier run had finished" in capsys.readouterr().out) == resumed


# inspect


def test_inspect_shows_bundle_and_checkpoint(
    tiny_bundle: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = document(capsys, "inspect", tiny_bundle, "--verify")
    assert tree["kind"] == "bundle"
    assert tree["verified"]
    assert "tensors" not in tree
    assert documented("inspect") == set(tree) | {"tensors", "bundle", "checkpoint"}
    rows = document(capsys, "inspect", tiny_checkpoint, "--tensors")["tensors"]
    assert {"embed.weight", "layers.0.q.weight", "head.weight"} <= {row["name"] for row in rows}
    assert main(["inspect", str(tiny_bundle), "--tensors"]) == 0
    out = capsys.readouterr().out
    assert "w4g64" in out
    assert "layers.3.down.weight" in out


def test_inspect_finds_damage(tiny_bundle: Path, tmp_path: Path, capfd: Any) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(tiny_bundle), str(copy)], check=True)
    shard = copy / "blocks" / "00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert main(["inspect", str(copy), "--verify"]) == 1
    err = capfd.readouterr().err
    assert "error[bundle-hash]" in err
    assert "00000.safetensors" in err


# run

RUN_KEYS = {
    "text",
    "reasoning",
    "answer",
    "token_ids",
    "prompt_tokens",
    "completion_tokens",
    "finish_reason",
    "thought_closed",
    "answer_closed",
    "context_full",
    "speculation",
    "timings",
    "kv_store",
    "seed",
    "events",
    "memory",
}


@pytest.mark.parametrize("raw", [False, True])
def test_run_gives_the_document_that_is_promised(
    tiny_bundle: Path, raw: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["run", tiny_bundle, "What is 12 * 7?", "--max-tokens", 9, *["--raw"] * raw]
    tree = document(capsys, *line, "--seed", 3)
    assert set(tree) == RUN_KEYS
    assert documented("run") == RUN_KEYS | set(tree["timings"])
    assert tree["seed"] == 3
    assert tree["completion_tokens"] == len(tree["token_ids"]) <= 9
    assert tree["prompt_tokens"] >= 10
    assert tree["finish_reason"] in {"length", "stop"}
    assert {"load_s", "tokenizer_s", "prefill_s", "decode_s", "ttft_s"} <= set(tree["timings"])
    assert document(capsys, *line, "--seed", 3)["token_ids"] == tree["token_ids"]
    if raw:
        assert tree["answer"] == tree["text"]
        assert tree["reasoning"] == ""


@pytest.mark.parametrize("budget", [0, 7])
def test_run_closes_a_thought_at_its_budget_and_says_so(
    budget: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    line = ["run", "tiny", "What is 17 + 25?", "--temperature", "0", "--think-budget", str(budget)]
    assert main([*line, "--json"]) == 0
    tree = json.loads(capfd.readouterr().out)
    assert (tree["thought_closed"], tree["finish_reason"]) == ("budget", "stop")
    assert tree["answer"]
    assert bool(tree["reasoning"]) == bool(budget)
    assert main(line) == 0
    shown = capfd.readouterr()
    assert shown.out.strip() == tree["answer"]
    assert "--think-budget" in shown.err


def test_a_budget_that_cannot_be_is_misuse_before_anything_is_loaded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for command in (["run", "missing", "Hi"], ["chat", "missing"], ["evaluate", "missing"]):
        assert main([*command, "--think-budget", "-1"]) == 2
    assert main(["run", "tiny", "Hi", "--raw", "--think-budget", "3"]) == 2
    assert "--raw" in capfd.readouterr().err


def test_run_reports_a_seed_it_chose_itself(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = document(capsys, "run", tiny_bundle, "Hi", "--max-tokens", 6)
    again = document(capsys, "run", tiny_bundle, "Hi", "--max-tokens", 6, "--seed", first["seed"])
    assert again["token_ids"] == first["token_ids"]


def test_every_kind_of_model_takes_every_option(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--max-tokens 5 --max-answer-tokens 2 --temperature 0.9 --top-p 0.9 --top-k 40 "
    options += "--min-p 0.01 --repetition-penalty 1.1 --seed 1 --threads 1 --max-context 200"
    line = ["run", tiny_checkpoint, "Hi", *options.split()]
    tree = document(capsys, *line, "--system", "Be brief.", "--stop", "zzzz", "--stop", "yyyy")
    assert tree["completion_tokens"] <= 5


def test_a_full_context_is_said_and_sliding_goes_on(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["run", tiny_bundle, "Hi", "--max-context", 64, "--max-tokens", 150, "--temperature", 0]
    stopped = document(capsys, *line, "--raw")
    assert (stopped["finish_reason"], stopped["context_full"]) == ("length", True)
    assert stopped["prompt_tokens"] + stopped["completion_tokens"] == 65
    slid = document(capsys, *line, "--raw", "--full-context", "slide")
    assert (slid["completion_tokens"], slid["context_full"]) == (150, False)
    assert slid["token_ids"][: stopped["completion_tokens"]] == stopped["token_ids"]
    assert main([str(word) for word in line]) == 0
    assert "--full-context slide" in capsys.readouterr().err
    chosen = [*line, "--full-context", "slide", "--kv-format", "int8"]
    assert document(capsys, *chosen)["completion_tokens"] == 150


def test_run_reads_the_prompt_from_stdin(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = document(capsys, "run", tiny_bundle, "Hi there", "--max-tokens", 3, "--seed", 1)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi there"))
    read = document(capsys, "run", tiny_bundle, "-", "--max-tokens", 3, "--seed", 1)
    assert read["token_ids"] == given["token_ids"]
    assert read["prompt_tokens"] == given["prompt_tokens"]


def test_in_a_pipe_the_answer_is_on_stdout_and_all_else_on_stderr(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = document(capsys, "run", tiny_bundle, "Hi", "--max-tokens", 9, "--seed", 1)
    assert main(["run", str(tiny_bundle), "Hi", "--max-tokens", "9", "--seed", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == tree["answer"].strip()
    assert tree["reasoning"] in err
    assert "tok/s" in err
    assert "\x1b" not in out + err


def test_a_stop_string_ends_raw_text(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", tiny_bundle, "Hi", "--raw", "--max-tokens", 30, "--temperature", 0]
    text = document(capsys, *line)["text"]
    stop = text[len(text) // 2 :][:3]
    tree = document(capsys, *line, "--stop", stop)
    assert tree["text"] == text[: text.index(stop)]
    assert tree["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["Hi", "--temperature", "-1"], "sampling-value"),
        (["Hi", "--temperature", "hot"], "cli-not-number"),
        (["Hi", "--max-tokens", "0"], "chat-limit-value"),
        (["Hi", "--raw", "--max-tokens", "0"], "max-tokens-value"),
        (["Hi", "--raw", "--system", "x"], "cli-raw-option"),
        (["Hi", "--raw", "--max-answer-tokens", "3"], "cli-raw-option"),
        (["Hi", "--max-context", "99999"], "max-context-value"),
        (["Hi", "--full-context", "wrap"], "full-context-value"),
        (["Hi", "--kv-format", "int4"], "kv-format-value"),
        (["Hi", "--stop", ""], "stop-empty"),
        ([" "], "cli-prompt-empty"),
    ],
)
def test_mistakes_of_run_are_told(
    tiny_bundle: Path, options: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(capsys, "run", tiny_bundle, *options, code=2)["error"]["code"] == code


def test_a_prompt_that_does_not_fit_is_a_failure(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["run", tiny_bundle, "word " * 300, "--max-context", 64]
    assert document(capsys, *line, code=1)["error"]["code"] == "context-too-long"


def test_ctrl_c_ends_run_with_what_there_is(tiny_checkpoint: Path) -> None:
    line = [sys.executable, "-m", "pocketr1", "run", str(tiny_checkpoint), "Hi", "--raw"]
    # Greedy, it never ends by itself; the scalar kernels take tens of seconds for 4,000 tokens.
    process = subprocess.Popen(
        [*line, "--temperature", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "POCKETR1_ISA": "scalar"},
    )
    assert process.stdout is not None
    first = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert first + rest
    assert b"cancelled" in err
    assert b"Traceback" not in err


# bench

BENCH_KEYS = {
    "prefill_tok_s",
    "decode_tok_s",
    "load_s",
    "ttft_s",
    "peak_rss_mb",
    "weights_mb",
    "bits_per_weight",
    "isa",
    "threads",
    "model",
}


@pytest.mark.parametrize("kind", ["bundle", "checkpoint"])
def test_bench_gives_the_figures_that_are_promised(
    kind: str, tiny_bundle: Path, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_bundle if kind == "bundle" else tiny_checkpoint
    line = ["bench", str(model), "--prompt-tokens", "20", "--gen-tokens", "5"]
    assert main([*line, "--threads", "1", "--repeat", "2", "--json"]) == 0
    tree = json.loads(capfd.readouterr().out)
    assert set(tree) >= BENCH_KEYS
    assert documented("bench") == set(tree) | set(tree["decode_tok_s"])
    for name in ("prefill_tok_s", "decode_tok_s"):
        assert set(tree[name]) == {"median", "min", "max"}
        assert 0 < tree[name]["min"] <= tree[name]["median"] <= tree[name]["max"]
    assert tree["threads"] == 1
    assert tree["model"] == str(model)
    assert 20 < tree["peak_rss_mb"] < 500
    assert (tree["prompt_tokens"], tree["gen_tokens"], tree["repeat"]) == (20, 5, 2)
    bits = 16.0 if kind == "checkpoint" else 4.31
    assert tree["bits_per_weight"] == pytest.approx(bits, abs=0.01)


def test_bench_shows_a_table_with_the_machine(
    tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", str(tiny_bundle), "--prompt-tokens", "8", "--gen-tokens", "2"]
    assert main([*line, "--repeat", "1"]) == 0
    out = capfd.readouterr().out
    assert "tok/s" in out
    assert f"python {sys.version.split()[0]}" in out


def test_every_command_is_a_program_too(tiny_bundle: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "LC_ALL": "zh_CN.UTF-8"}
    for name in COMMANDS:
        run = subprocess.run(
            [sys.executable, "-m", "pocketr1", name, str(tmp_path / "no"), "x", "-o", "y"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert run.returncode in (1, 2)
        assert run.stdout == ""
        first, second = run.stderr.strip().splitlines()[-2:]
        assert first.startswith("error[")
        assert second.startswith("→ ")
        assert any("\u4e00" <= c <= "\u9fff" for c in first)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (["chat", "r1-1.5b"], "pocketr1 pull r1-1.5b --compress 4"),
        (["run", "r1-7b-int8", "Hello"], "pocketr1 pull r1-7b --compress 8"),
        (["compress", "r1-1.5b", "-o", "out"], "pocketr1 pull r1-1.5b --compress 4"),
        (["inspect", "./r1-llama-8b-int4"], "pocketr1 pull r1-llama-8b --compress 4"),
        (["inspect", "r1-9b"], None),
    ],
)
def test_a_model_that_pull_knows_and_that_is_missing_is_to_be_pulled(
    line: list[str],
    command: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line) == 1
    said = capsys.readouterr().err
    assert ("pocketr1 pull" in said) == (command is not None)
    if command is not None:
        assert said.rstrip().endswith(command)


def test_the_names_of_the_hint_are_those_of_pull() -> None:
    assert set(ALIASES) == hints.PULLED
