"""``run``, ``chat`` and ``bench --sustain`` on machines that grow hot or run on a battery."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doctor_devices as devices
import pytest

from pocketr1.cli.app import main
from pocketr1.engine import care, governor, heat
from pocketr1.machine import Root

SKIN = "sys/class/thermal/thermal_zone2/temp"
CAPACITY = "sys/class/power_supply/battery/capacity"


class Scripted(Root):
    """A phone's tree; files named in ``script`` say one thing after the other, then the last."""

    def __init__(self, path: Path, script: dict[str, list[str]]) -> None:
        super().__init__(path)
        self.script = script

    def text(self, name: str) -> str | None:
        lines = self.script.get(name)
        if not lines:
            return super().text(name)
        return lines.pop(0) if len(lines) > 1 else lines[0]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """Return a function that puts the commands on a device that is looked at before every step."""

    def place(name: str, script: dict[str, list[str]] | None = None) -> Scripted:
        directory = tmp_path / name
        devices.ALL[name].write(directory)
        root = Scripted(directory, script or {})
        monkeypatch.setattr(care, "Root", lambda: root)
        monkeypatch.setattr(governor, "_LOOK_SECONDS", 0.0)
        monkeypatch.setattr(heat, "_SETTLE_SECONDS", 0.0)
        return root

    return place


def run(
    capsys: pytest.CaptureFixture[str], model: Path, *options: str, code: int = 0
) -> tuple[str, list[str]]:
    """Answer one prompt; return what stdout has and the lines of stderr."""
    capsys.readouterr()
    line = ["run", str(model), "A word", "--temperature", "0", "--threads", "2", "--raw"]
    assert main([*line, "--max-tokens", "12", *options]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err.splitlines()


def test_heat_is_said_and_the_answer_is_the_same(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on("readable-phone")
    plain, silent = run(capsys, tiny_bundle)
    assert len(silent) == 1  # the summary
    readings = ["41000", "45200", "46100", "44000", "43000", "41900", "41500", "41000"]
    on("readable-phone", {SKIN: readings})
    answer, remarks = run(capsys, tiny_bundle, "--max-temp", "45")
    assert answer == plain
    assert remarks[:-1] == [
        "skin-msm-therm-usr 45.2 °C: 1 instead of 2 threads.",
        "skin-msm-therm-usr 46.1 °C: paused until it cools to 42 °C; Ctrl-C ends the answer.",
        "skin-msm-therm-usr 41.9 °C: goes on, threads: 1.",
        "skin-msm-therm-usr 41.5 °C: 2 instead of 1 threads.",
    ]


def test_the_document_lists_the_events_and_remarks_stay_on_stderr(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on("readable-phone", {SKIN: ["45200", "41000"]})
    out, remarks = run(capsys, tiny_bundle, "--max-temp", "45", "--json", "--lang", "zh")
    events = json.loads(out)["events"]
    for event in events:
        assert event.pop("seconds") >= 0
    zone = {"kind": "threads", "zone": "skin-msm-therm-usr"}
    assert events == [
        {**zone, "code": "governor-hot", "threads": 1, "before": 2, "celsius": 45.2},
        {**zone, "code": "governor-cooler", "threads": 2, "before": 1, "celsius": 41.0},
    ]
    assert remarks == [
        "skin-msm-therm-usr 45.2 °C：线程数由 2 减为 1。",
        "skin-msm-therm-usr 41.0 °C：线程数由 1 恢复为 2。",
    ]


def test_ctrl_c_ends_a_pause(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on("readable-phone", {SKIN: ["41000", "50000"]})
    pressed: list[float] = []

    def press() -> None:
        while "paused" not in capsys.readouterr().err:
            time.sleep(0.05)
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press, daemon=True)
    finger.start()
    line = ["run", str(tiny_bundle), "A word", "--max-temp", "45", "--threads", "1", "--json"]
    assert main(line) == 1
    finger.join()
    document = json.loads(capsys.readouterr().out)
    assert document["finish_reason"] == "cancelled"
    assert document["events"][-1]["kind"] == "paused"


@pytest.mark.parametrize("name", ["empty", "nonsense", "phone"])
def test_without_a_sensor_it_says_so_once_and_answers(
    name: str,
    on: Callable[..., Scripted],
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on("readable-phone")
    plain, _ = run(capsys, tiny_bundle)
    on(name)
    answer, remarks = run(capsys, tiny_bundle, "--max-temp", "45", "--on-battery", "save")
    assert answer == plain
    assert len(remarks) == 3
    assert remarks[0].startswith("It cannot be read here whether")
    assert remarks[1].startswith("No temperature can be read on this device")


def test_on_battery_half_the_threads_compute_until_it_is_plugged_in(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    online = "sys/class/power_supply/usb/online"
    on("readable-phone", {online: ["0", "0", "1"]})
    _, remarks = run(capsys, tiny_bundle, "--on-battery", "save")
    assert remarks[:-1] == [
        "On battery (64%): 1 instead of 2 threads.",
        "Power is back (64%): 2 instead of 1 threads.",
    ]


def test_a_battery_that_is_too_low_ends_the_answer_with_what_there_is_of_it(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on("readable-phone")
    plain, _ = run(capsys, tiny_bundle)
    on("readable-phone", {CAPACITY: ["16", "16", "16", "14"]})
    answer, remarks = run(capsys, tiny_bundle, "--on-battery", "stop", code=1)
    assert len(answer.rstrip("\n")) >= 1
    assert plain.startswith(answer.rstrip("\n"))
    assert "error[battery-stop]: The battery is at 14%, below 15%: not computing any further." in (
        remarks
    )
    assert remarks[-1].startswith("→ Plug the device in")


def test_a_chat_goes_on_when_the_battery_is_charged(
    on: Callable[..., Scripted],
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = on("readable-phone", {CAPACITY: ["9"]})

    class Lines(io.StringIO):
        def __next__(self) -> str:
            line = super().__next__()
            if line.startswith("again"):
                root.script[CAPACITY] = ["60"]
            return line

    monkeypatch.setattr("sys.stdin", Lines("a question\nagain\n"))
    line = ["chat", str(tiny_bundle), "--on-battery", "stop:20", "--max-tokens", "4"]
    assert main(line) == 0
    err = capsys.readouterr().err
    assert err.count("error[battery-stop]") == 1
    assert "4 tokens" in err.split("error[battery-stop]")[1]


def test_sustain_reports_what_the_governor_did(
    on: Callable[..., Scripted], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on("readable-phone", {SKIN: ["46000", "41000"]})
    line = ["bench", str(tiny_bundle), "--sustain", "1s", "--threads", "2", "--json"]
    assert main([*line, "--max-temp", "45"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [event["kind"] for event in document["events"]] == ["threads", "threads"]


@pytest.mark.parametrize(
    ("command", "options", "code"),
    [
        ("run", ["--max-temp", "hot"], "cli-not-number"),
        ("run", ["--max-temp", "450"], "max-temp-value"),
        ("run", ["--on-battery", "sometimes"], "on-battery-value"),
        ("run", ["--memory-threshold", "much"], "cli-not-size"),
        ("bench", ["--max-temp", "45"], "bench-needs"),
        ("bench", ["--on-battery", "save"], "bench-needs"),
    ],
)
def test_options_that_make_no_sense_are_misuse(
    command: str,
    options: list[str],
    code: str,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line: list[Any] = [command, str(tiny_bundle), *(["A word"] if command == "run" else [])]
    assert main([*line, *options, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
