"""``pocketr1 doctor`` says what it found, in words and as a document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import doctor_devices as devices
import pytest

import pocketr1.doctor
from pocketr1.cli.app import main
from pocketr1.cli.reference import reference
from pocketr1.doctor import Diagnosis, MemorySpeed, advise, diagnosis, find

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command as if on a device, and returns what it prints."""

    def run(name: str, *options: str, gb_free: float = 60, gb_per_s: float | None = 40) -> str:
        device = devices.ALL[name]
        found = find(tmp_path, root=device.write(tmp_path / name), environment=device.environment)
        rate = None if gb_per_s is None else gb_per_s * 1e9
        speed = rate and MemorySpeed(
            8, "scalar", 1 << 28, rate, {"w8g128": rate, "w4g64": 0.8 * rate, "w3g64": 0.8 * rate}
        )
        storage = replace(found.storage, free=int(gb_free * 1e9))
        found = replace(found, storage=storage, speed=speed or None)
        whole = Diagnosis(found, advise(found))
        monkeypatch.setattr(pocketr1.doctor, "diagnose", lambda path: whole)
        assert main(["doctor", *options]) == 0
        return capsys.readouterr().out

    return run


def test_the_document_has_what_the_reference_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnosis, "_STORAGE_BYTES", 4 << 20)
    assert main(["doctor", "--path", str(tmp_path), "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    section = reference().split("\n`doctor`:")[1].split("\n\n")[0]
    promised = set(re.findall(r"`(\w+)`", section)) - {"null"}
    inner = set(tree["models"][0]) | set(tree["advice"]) | set(tree["speed"])
    assert set(tree) <= promised <= set(tree) | inner
    assert tree["storage"]["path"] == str(tmp_path)
    assert tree["storage"]["speed"]["write"] > 0
    assert tree["kernels"]["chosen"] in tree["kernels"]["runnable"]
    assert tree["speed"]["read"] > 0
    assert list(tmp_path.iterdir()) == []


def test_on_a_phone_it_tells_cores_sensors_and_the_next_command(on: Run) -> None:
    out = on("phone")
    assert "1 x Cortex-X3 (prime, 3187 MHz), 2 x Cortex-A715 (big, 2803 MHz)" in out
    assert "Android 14, Termux, proot" in out
    assert "2 sensors, none readable" in out
    assert "--threads 5" in out
    assert out.splitlines()[-1] == "Next: pocketr1 pull r1-qwen3-8b --compress 4"
    table = [line for line in out.splitlines() if re.match(r"r1-\S+ +[843] ", line)]
    assert len(table) == 15
    assert any(line.endswith("after closing programs") for line in table)


def test_in_chinese_too(on: Run) -> None:
    out = on("phone", "--lang", "zh")
    assert "超大核" in out
    assert "建议：r1-qwen3-8b" in out
    assert out.splitlines()[-1].endswith("pocketr1 pull r1-qwen3-8b --compress 4")
    assert "doctor-" not in out


@pytest.mark.parametrize("name", devices.ALL)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_device_is_too_strange_to_show(name: str, language: str, on: Run) -> None:
    assert len(on(name, "--lang", language, gb_per_s=None).splitlines()) > 18


def test_where_nothing_fits_it_says_what_is_missing(on: Run) -> None:
    out = on("phone", gb_free=2)
    assert "none of these models fits" in out
    assert re.search(r"[\d.]+ GB of storage is missing for the smallest", out)
    assert "Next:" not in out


def test_slow_is_called_slow(on: Run) -> None:
    assert "slower than one reads" in on("raspberry-pi-5", gb_per_s=0.5)


def test_a_speed_below_one_keeps_two_significant_digits(on: Run) -> None:
    out = on("raspberry-pi-5", gb_per_s=0.05)
    speeds = re.findall(r"([\d.]+)–([\d.]+)  ", out)
    assert len(speeds) == 15
    for speed in (each for pair in speeds for each in pair):
        assert re.fullmatch(r"0\.0*[1-9]\d", speed)


def test_the_memory_of_table_and_advice_is_the_same(on: Run) -> None:
    out = on("phone")
    (advised,) = re.findall(r"r1-qwen3-8b at 4 bits, .*, ([\d.]+ GB) of memory", out)
    (row,) = re.findall(r"^r1-qwen3-8b +4 .*", out, re.MULTILINE)
    assert re.findall(r"[\d.]+ GB", row)[1] == advised


def test_an_abler_model_that_is_passed_over_is_named_with_the_reason(on: Run) -> None:
    out = on("phone", gb_per_s=15)
    assert "Advice: r1-1.5b at 8 bits" in out
    assert re.search(r"r1-qwen3-8b at 4 bits fits too .* [\d.]+–[\d.]+ tok/s", out)


def test_nothing_is_passed_over_where_the_ablest_is_advised(on: Run) -> None:
    assert "fits too" not in on("phone")


def test_the_load_is_called_what_it_is(on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.LAPTOP.files, "proc/loadavg", "13.60 9.00 5.00 3/900 4242\n")
    out = on("laptop")
    assert "The load average is 13.6 on " in out
    assert "13.6 CPUs" not in out


def test_an_instruction_set_that_cannot_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnosis, "_STORAGE_BYTES", 1 << 20)
    monkeypatch.setenv("POCKETR1_ISA", "abacus")
    assert main(["doctor", "--path", str(tmp_path)]) == 0
    assert "POCKETR1_ISA=abacus, which this CPU cannot run" in capsys.readouterr().out


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(path: str) -> Diagnosis:
        raise KeyboardInterrupt

    monkeypatch.setattr(pocketr1.doctor, "diagnose", interrupt)
    assert main(["doctor"]) == 1
    assert "error[cli-interrupted]" in capsys.readouterr().err
