"""What every command has in common: help, languages, mistakes, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pocketr1
from pocketr1 import messages
from pocketr1.cli import app, layout
from pocketr1.cli.app import COMMANDS, main
from pocketr1.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("POCKETR1_DEBUG", raising=False)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    for name in COMMANDS:
        assert re.search(rf"^  {name}  ", out, re.MULTILINE)
    assert err == ""


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_of_a_command_is_in_the_language_asked_for(
    name: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help", "--lang", language]) == 0
    out = capsys.readouterr().out
    assert messages.CATALOG[f"cli-{name}"].what_zh.split("，")[0][:4] in out or language == "en"
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in out)
    assert chinese > 100 if language == "zh" else chinese < 20
    assert "cli-" not in out.replace("engine-cli", "")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("spelling", [["--lang", "zh"], ["--lang=zh"]])
def test_the_language_may_stand_anywhere(
    place: int, spelling: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", "--help"]
    assert main([*line[:place], *spelling, *line[place:]]) == 0
    assert "用法" in capsys.readouterr().out


def test_behind_two_dashes_nothing_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--", "--lang", "zh"]) == 2
    assert "'zh'" in capsys.readouterr().err


def test_without_the_option_the_locale_decides(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["--help"]) == 0
    assert "用法" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["bnech"], "cli-no-such-command-near"),
        (["dance"], "cli-no-such-command"),
        (["bench"], "cli-missing"),
        (["bench", "m", "more"], "cli-extra-argument"),
        (["bench", "m", "--repet", "3"], "cli-no-such-option-near"),
        (["bench", "m", "--zzz"], "cli-no-such-option"),
        (["bench", "m", "--repeat"], "cli-option-value"),
        (["bench", "m", "--repeat", "three"], "cli-not-whole"),
        (["bench", "m", "--repeat", "0"], "bench-value"),
        (["--lang", "fr", "bench"], "cli-language"),
        (["bench", "--lang"], "cli-language"),
    ],
)
def test_a_mistake_is_two_lines_on_stderr_and_exit_code_2(
    line: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.strip().splitlines()
    assert first.startswith(f"error[{code}]: ")
    assert second.startswith("→ ")


def test_a_mistake_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "m", "--repeat", "0", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "bench-value"
    assert error["params"] == {"name": "--repeat", "value": 0}
    assert error["what"] and error["mend"]


def test_a_command_alone_shows_help_and_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "bench" in err


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pocketr1 {pocketr1.__version__}\n"


def test_a_missing_model_is_a_failure_without_a_traceback(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["bench", str(tmp_path / "no")]) == 1
    err = capfd.readouterr().err
    assert "error[model-missing]" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("debug", [False, True])
def test_what_nobody_foresaw_asks_for_a_report(
    debug: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(arguments: list[str]) -> int:
        raise ZeroDivisionError("1 / 0")

    monkeypatch.setattr(app, "_run", broken)
    if debug:
        monkeypatch.setenv("POCKETR1_DEBUG", "1")
    assert main(["bench", "m"]) == 1
    err = capsys.readouterr().err
    assert "error[cli-unexpected]" in err
    assert "ZeroDivisionError" in err
    assert ("Traceback" in err) == debug


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (PermissionError(13, "Permission denied", "/x"), "cli-system"),
        (KeyboardInterrupt(), "cli-interrupted"),
        (MemoryError(), "cli-memory"),
    ],
)
def test_what_the_system_does_to_us_has_its_own_words(
    raised: BaseException,
    code: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(arguments: list[str]) -> int:
        raise raised

    monkeypatch.setattr(app, "_run", failing)
    assert main(["bench", "m"]) == 1
    assert f"error[{code}]" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_failure_worth_words() -> None:
    line = f"{sys.executable} -m pocketr1 --help | head -c 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_whole_whatever_the_terminal_can_show(encoding: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pocketr1", "dance", "--json", "--lang", "zh"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert run.returncode == 2
    error = json.loads(run.stdout.decode(encoding))["error"]
    assert error["what"] == messages.CATALOG["cli-no-such-command"].what_zh.format(name="dance")


def test_help_comes_at_once() -> None:
    line = [sys.executable, "-m", "pocketr1", "--help"]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(line, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5


def test_the_reference_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m pocketr1.cli.reference > docs/reference/cli.md"
    )


def test_every_text_of_a_parameter_is_used() -> None:
    page = reference()
    for code, text in messages.cli_help.TEXTS.items():
        if code.startswith(("cli-option-", "cli-argument-")):
            assert text.what_en in page, code


@pytest.mark.parametrize("room", [30, 60, 100])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_wrapped_text_keeps_every_word_and_the_room(room: int, language: str) -> None:
    for code in ("cli-app", "cli-bench", "cli-option-threads"):
        text = getattr(messages.CATALOG[code], f"what_{language}")
        lines = layout.paragraphs(text, room)
        # A closing mark may stand one place beyond the edge rather than start a line.
        assert all(layout.columns(line) <= room + 2 for line in lines)
        assert "".join("".join(lines).split()) == "".join(text.split())
        assert not any(line[:1] in "，。；、" for line in lines if line)
