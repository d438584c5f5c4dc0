"""``pocketr1 chat`` in a pipe, and in a terminal of its own."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_terminal import Terminal

from pocketr1.cli.talk.commands import NAMES, show_help

DIM = "\x1b[2m"


@pytest.fixture
def terminal(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Terminal]:
    # Greedy, the model never ends by itself; scalar kernels leave time to press a key.
    line = [sys.executable, "-m", "pocketr1", "chat", str(tiny_checkpoint)]
    environment = {"XDG_STATE_HOME": str(tmp_path), "POCKETR1_ISA": "scalar"}
    program = Terminal([*line, "--temperature", "0", "--threads", "1"], environment)
    yield program
    program.kill()


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("/help")
    terminal.wait_for("> ")
    terminal.type("Hello\n")
    terminal.wait_for(DIM)
    terminal.type("\x03")
    terminal.wait_for("Stopped.")
    summary = terminal.wait_for("cancelled")
    assert "tok/s" in summary
    terminal.wait_for("> ")
    terminal.type("Again\n")
    terminal.wait_for(DIM)
    terminal.type("\x03")
    terminal.wait_for("Stopped.")
    terminal.wait_for("> ")
    terminal.type("/quit\n")
    assert terminal.leave() == 0
    assert "Traceback" not in terminal.seen
    history = tmp_path / "pocketr1" / "chat_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert {"Hello", "Again", "/quit"} <= set(history.read_text().splitlines())


def test_at_the_prompt_ctrl_c_drops_the_line_and_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.wait_for("> ")
    terminal.type("half a quest")
    terminal.wait_for("quest")
    # CPython's readline misses an interrupt between echoing a key and waiting for the next one,
    # until that comes; nobody's fingers are that fast.
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.wait_for("Ctrl-D leaves")
    terminal.wait_for("> ")
    terminal.type("\x04")
    assert terminal.leave() == 0
    assert "tok/s" not in terminal.seen
    assert "Traceback" not in terminal.seen


def test_the_commands_of_the_chat_fit_a_phone(terminal: Terminal) -> None:
    terminal.wait_for("> ")
    terminal.type("/help\n")
    shown = terminal.wait_for("> ")
    assert "/system" in shown and "/resume" in shown and "/quit" in shown
    assert "\r\n\r\n" not in shown
    assert all(len(line) <= 40 for line in shown.replace("\r", "").split("\n"))
    terminal.type("/nonsense\n")
    terminal.wait_for("/nonsense; /help")


def in_a_pipe(model: Path, lines: str, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pocketr1", "chat", str(model), "--temperature", "0", *options]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        line, input=lines, capture_output=True, text=True, env=environment, check=False
    )


def test_in_a_pipe_it_answers_line_by_line(tiny_bundle: Path) -> None:
    run = in_a_pipe(tiny_bundle, "Hello\n\nAnd now?\n/quit\nnever asked\n", "--max-tokens", "5")
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("tok/s") == 2
    assert "\x1b" not in run.stdout + run.stderr


def test_the_end_of_a_line_is_no_part_of_the_question(tiny_bundle: Path) -> None:
    counts = set()
    for lines in ("Hello", "Hello\n", "Hello\r\n"):
        run = in_a_pipe(tiny_bundle, lines, "--max-tokens", "2")
        (summary,) = [line for line in run.stderr.splitlines() if "tok/s" in line]
        counts.add(summary.split(" + ")[0])
    assert len(counts) == 1


@pytest.mark.parametrize("width", [48, 100])
def test_help_is_an_aligned_list(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    show_help()
    lines = capsys.readouterr().err.splitlines()
    commands = [line for line in lines if line.startswith("  /")]
    assert len(commands) == len(NAMES) and "" not in lines
    if width == 100:
        assert len({re.match(r"  /\S+(?: \S+)? {2,}", line).end() for line in commands}) == 1


def test_closed_or_broken_input_is_no_fault(tiny_bundle: Path) -> None:
    command = f'"{sys.executable}" -m pocketr1'
    for line, code, said in (
        (f'{command} chat "{tiny_bundle}" <&-', 0, ""),
        (f'{command} run "{tiny_bundle}" - <&-', 2, "cli-prompt-empty"),
        (f'printf "a\\377b" | {command} run "{tiny_bundle}" - --max-tokens 2', 0, "tok/s"),
    ):
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
        run = subprocess.run(
            line, shell=True, env=environment, capture_output=True, text=True, check=False
        )
        assert (run.returncode, said in run.stderr) == (code, True), run.stderr


def test_a_system_prompt_and_a_reset_begin_anew(tiny_bundle: Path) -> None:
    limit = ("--max-tokens", "4")
    run = in_a_pipe(tiny_bundle, "A\nA\n/reset\nA\n/system Be brief.\nA\n/system\nA\n", *limit)
    assert run.returncode == 0, run.stderr
    prompts = [line.split(" + ")[0] for line in run.stderr.splitlines() if "tok/s" in line]
    first, second, anew, with_system, without = map(int, prompts)
    assert second > first
    assert anew == first == without
    assert with_system > first
    told = in_a_pipe(tiny_bundle, "A\n", *limit, "--system", "Be brief.")
    assert f"{with_system} + " in told.stderr


def test_a_full_conversation_is_told_and_a_reset_helps(tiny_bundle: Path) -> None:
    long = "word " * 20
    run = in_a_pipe(
        tiny_bundle,
        f"{long}\n{long * 3}\n/reset\nA\n",
        "--max-context",
        "128",
        "--max-tokens",
        "4",
    )
    assert run.returncode == 0, run.stderr
    assert "error[context-too-long]" in run.stderr
    assert run.stderr.count("/new begins anew") == 1
    assert "Traceback" not in run.stderr
