"""Speed over time: sampled, with what the system lets one read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from pocketr1.bench import Machine, Sample, SustainReport, duration, run_sustain
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import Root, current_mhz


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("90s", 90), ("600", 600), ("1.5h", 5400), (" 2M ", 120)]
)
def test_times_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "0", "0.5s", "ten", "10 minutes", "2d", "25h", "-3m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        duration(text)
    assert caught.value.code == "bench-duration"


def test_a_model_is_sampled_until_the_time_is_over(tiny_bundle: Path) -> None:
    seen: list[tuple[float, float]] = []
    report = run_sustain(
        str(tiny_bundle), 2.0, threads=1, progress=lambda done, whole: seen.append((done, whole))
    )
    assert report.samples and report.tokens > 0
    assert report.seconds >= 2.0
    assert [s.seconds for s in report.samples] == sorted(s.seconds for s in report.samples)
    counted = sum(
        s.tok_s * (s.seconds - before)
        for s, before in zip(
            report.samples, [0.0, *(s.seconds for s in report.samples)], strict=False
        )
    )
    assert counted == pytest.approx(report.tokens, rel=1e-6)
    assert seen[-1] == (2.0, 2.0)
    tree = report.to_dict()
    assert tree["kind"] == "sustain"
    assert len(tree["samples"]) == len(report.samples)


def test_a_missing_model_is_told() -> None:
    with pytest.raises(EngineError):
        run_sustain("no such model", 1.0)


def _report(speeds: list[float], celsius: float | None) -> SustainReport:
    samples = [Sample(n + 1.0, speed, celsius, None) for n, speed in enumerate(speeds)]
    machine = Machine("cpu", 1, 1, "Linux", {})
    return SustainReport("m", "scalar", 1, float(len(speeds)), 100, samples, machine)


def test_what_is_kept_compares_the_ends() -> None:
    speeds = [20.0] * 10 + [15.0] * 80 + [10.0] * 10
    assert _report(speeds, None).kept == 0.5
    assert _report([7.0], None).kept == 1.0


def test_the_plot_has_a_panel_for_what_was_readable() -> None:
    def lines(report: SustainReport) -> int:
        root = ElementTree.fromstring(report.plot())
        return len(list(root.iter("{http://www.w3.org/2000/svg}polyline")))

    assert lines(_report([5.0, 6.0], None)) == 1
    assert lines(_report([5.0, 6.0], 41.5)) == 2


def test_the_frequency_is_the_mean_of_the_cores_asked_for(tmp_path: Path) -> None:
    for cpu, kilohertz in enumerate((1_000_000, 3_000_000, 9_000_000)):
        path = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        path.mkdir(parents=True)
        (path / "scaling_cur_freq").write_text(f"{kilohertz}\n")
    assert current_mhz(Root(tmp_path), (0, 1)) == 2000.0


def test_the_frequency_comes_from_cpuinfo_where_there_is_no_cpufreq(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    rows = "".join(f"processor\t: {n}\ncpu MHz\t\t: {mhz}\n\n" for n, mhz in ((0, 1500.5), (1, 9)))
    (tmp_path / "proc/cpuinfo").write_text(rows)
    assert current_mhz(Root(tmp_path), (0,)) == 1500.5
    assert current_mhz(Root(tmp_path / "empty"), (0,)) is None
