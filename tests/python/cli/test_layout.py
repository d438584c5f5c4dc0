"""What people read fits their terminal, a phone's included; what programs read stays plain."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import doctor_devices as devices
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pocketr1.doctor
from pocketr1.chat import Delta
from pocketr1.cli import answer, inspect, layout, output
from pocketr1.cli import doctor as doctor_command
from pocketr1.cli.app import main
from pocketr1.doctor import Diagnosis, MemorySpeed, advise, find

WIDTHS = [40, 48, 100]
TEXTS = [
    "Mia starts with 35. 4 times 12 come in: 12×4=10×4+2×4=40+8=48.\n\nMia has 83.",
    "钢笔：12×3=10×3+2×3=30+6=36。一共要付\\boxed{71}元，也就是说，小明付了七十一元。",
    "  indented\n\n    more, and a line that is longer than a phone is wide, so that it breaks\n",
]

Narrow = Callable[[int], None]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Narrow:
    """Return a function that lets stdout and stderr be terminals of so many columns."""

    def be(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        for module in (output, answer, inspect, doctor_command):
            monkeypatch.setattr(module, "is_terminal", lambda stream: True)

    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return be


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the doctor find a phone."""
    device = devices.PHONE
    found = find(tmp_path, root=device.write(tmp_path / "root"), environment=device.environment)
    speed = MemorySpeed(8, "scalar", 1 << 28, 40e9, {"w8g128": 40e9, "w4g64": 32e9})
    storage = replace(found.storage, path="/sdcard", free=60 * 10**9)
    found = replace(found, storage=storage, speed=speed)
    whole = Diagnosis(found, advise(found))
    monkeypatch.setattr(pocketr1.doctor, "diagnose", lambda path: whole)


def too_wide(text: str, width: int) -> list[str]:
    """Return the lines that do not fit, but those of one word and those with a command."""
    lines = [line for line in text.split("\n") if layout.columns(line) > width]
    return [line for line in lines if " " in line.strip() and "pocketr1 " not in line]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", WIDTHS)
def test_what_the_doctor_says_fits(
    width: int, language: str, terminal: Narrow, phone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(width)
    assert main(["doctor", "--lang", language]) == 0
    out = capsys.readouterr().out
    assert too_wide(out, width) == []
    assert len(re.findall(r"^r1-[a-z0-9.-]+[ ,，]+[84] ", out, re.MULTILINE)) == 10
    assert out.splitlines()[-1].endswith("pocketr1 pull r1-qwen3-8b --compress 4")


@pytest.mark.parametrize("width", WIDTHS)
def test_what_inspect_says_fits(
    width: int, terminal: Narrow, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(width)
    assert main(["inspect", str(tiny_bundle), "--tensors"]) == 0
    assert too_wide(capsys.readouterr().out, width) == []


def test_in_a_pipe_a_row_is_a_line(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert main(["inspect", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    assert all(re.match(r"\S.*?  +\S", line) for line in out.splitlines())


def test_labels_stand_above_values_where_there_is_little_room() -> None:
    rows = [("bits per weight (decoder)", "4.252"), ("model", "one two three")]
    assert layout.labelled(rows, 40) == [
        "bits per weight (decoder)",
        "  4.252",
        "model",
        "  one two three",
    ]
    assert layout.labelled(rows, 60)[1] == "model                      one two three"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", TEXTS)
def test_an_answer_breaks_between_words(
    text: str, width: int, terminal: Narrow, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(width)
    printer = answer.Printer()
    for place in range(0, len(text), 3):
        printer(Delta("answer", text[place : place + 3]))
    printer.finish()
    out = capsys.readouterr().out
    assert too_wide(out, width) == []
    assert "".join(out.split()) == "".join(text.split())
    for line in out.split("\n"):
        assert not line.startswith(("。", "，", "："))
    for word in re.findall(r"[A-Za-z]+", text):
        assert word in out


@given(st.lists(st.text("ab 中，\n", max_size=9), max_size=9), st.integers(4, 12))
def test_flowing_text_loses_nothing_however_it_comes(pieces: list[str], room: int) -> None:
    whole, bit_by_bit = layout.Flow(room), layout.Flow(room)
    text = "".join(pieces)
    shown = whole(text) + whole.finish()
    assert "".join(map(bit_by_bit, pieces)) + bit_by_bit.finish() == shown
    assert "".join(shown.split()) == "".join(text.split())


def test_a_command_is_never_broken() -> None:
    text = "A real one, when you are ready for it: pocketr1 pull r1-1.5b --compress 4"
    assert "pocketr1 pull r1-1.5b --compress 4" in layout.wrapped(text, 40).split("\n")
    text = "Install the client that speaks to hubs: `pip install a b c` first."
    assert "`pip install a b c`" in layout.wrapped(text, 24)


def test_a_stream_that_is_no_file_has_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert layout.width() == 80
