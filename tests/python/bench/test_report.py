from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pocketr1.bench import (
    BenchOptions,
    BenchReport,
    Machine,
    Spread,
    describe_machine,
    run_bench,
)
from pocketr1.bench import apart as apart_module
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import peak_rss_bytes

REPORT = BenchReport(
    model="m",
    prefill_tok_s=Spread(100.123456, 90.0, 110.0),
    decode_tok_s=Spread(10.0, 9.0, 11.0),
    load_s=0.000123456789,
    first_logits_s=0.5,
    ttft_s=5.0,
    peak_rss_mb=1234.56789,
    weights_mb=1.0,
    bits_per_weight=4.25,
    isa="scalar",
    threads=2,
    kv_format="f16",
    prompt_tokens=512,
    gen_tokens=64,
    repeat=3,
    machine=Machine("cpu", 2, 8000, "Linux", {"pocketr1": "0"}),
)


def test_a_spread_is_median_and_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)


def test_a_report_survives_json_with_five_digits() -> None:
    tree = json.loads(json.dumps(REPORT.to_dict()))
    assert tree["prefill_tok_s"] == {"median": 100.12, "min": 90.0, "max": 110.0}
    assert tree["load_s"] == 0.00012346
    assert BenchReport.from_dict(tree).to_dict() == tree


@pytest.mark.parametrize("name", ["prompt_tokens", "gen_tokens", "repeat"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_counts_below_one_are_refused_by_the_name_of_the_option(name: str, value: object) -> None:
    with pytest.raises(UsageError, match="--" + name.replace("_", "-")):
        BenchOptions(**{name: value})  # type: ignore[arg-type]


def test_peak_memory_is_this_process_s_and_only_grows() -> None:
    # A child of a large process must not report its parent's peak.
    block = b"x" * 200_000_000
    mine = peak_rss_bytes()
    assert mine > len(block)
    code = "from pocketr1.machine import peak_rss_bytes as peak\n"
    code += "print(peak()); b = b'x' * 50_000_000; print(peak())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, out.stdout.split())
    assert before < 120_000_000
    assert after - before > 40_000_000


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.cpus >= 1
    assert machine.memory_mb > 100
    assert machine.cpu
    assert {"pocketr1", "python", "numpy"} <= set(machine.versions)


def test_an_error_of_the_other_process_arrives_as_itself() -> None:
    with pytest.raises(EngineError) as caught:
        run_bench("no such model")
    assert caught.value.code == "model-missing"
    assert "no such model" in caught.value.what


def test_a_process_that_dies_is_told_with_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        code = "import os; os.kill(os.getpid(), 9)"
        return real([sys.executable, "-c", code], **options)  # type: ignore[call-overload, no-any-return]

    real = subprocess.run
    monkeypatch.setattr(apart_module.subprocess, "run", killed)
    with pytest.raises(EngineError, match="signal 9") as caught:
        run_bench(os.devnull)
    assert caught.value.code == "bench-died"
