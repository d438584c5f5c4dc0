"""The advice is a function of the findings: the same device, the same words."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import doctor_devices as devices
import pytest
from doctor_devices import Device

from pocketr1 import arch
from pocketr1.doctor import Advice, Candidate, Findings, MemorySpeed, advise, candidates, find
from pocketr1.doctor.advice import COMFORTABLE, EFFICIENCY
from pocketr1.doctor.candidates import MODELS
from pocketr1.doctor.speed import buffer_bytes
from pocketr1.hub import ALIASES

ROOT = Path(__file__).parents[3]
GB = 10**9


def speed(w8: float, w4: float) -> MemorySpeed:
    """Return a memory speed, in GB/s."""
    return MemorySpeed(
        8, "avx2", 1 << 28, w8 * GB, {"w8g128": w8 * GB, "w4g64": w4 * GB, "w3g64": w4 * GB}
    )


def device(
    what: Device, directory: Path, free: float | None = 100, measured: MemorySpeed | None = None
) -> Findings:
    """Return the findings with ``free`` GB of storage."""
    found = find(directory, root=what.write(directory), environment=what.environment)
    size = None if free is None else int(free * GB)
    return replace(found, storage=replace(found.storage, free=size), speed=measured)


def with_memory(found: Findings, total: float, available: float | None = None) -> Findings:
    memory = replace(
        found.memory,
        installed=int(total * GB),
        available=None if available is None else int(available * GB),
        cgroup_limit=None,
    )
    return replace(found, memory=memory)


def best(advice: Advice) -> tuple[str, int] | None:
    chosen = advice.best
    return None if chosen is None else (chosen.candidate.alias, chosen.candidate.bits)


def candidate(alias: str, bits: int) -> Candidate:
    return next(c for c in candidates() if (c.alias, c.bits) == (alias, bits))


def shapes() -> dict[str, dict[str, object]]:
    """Return the published configurations that the benchmarks use, entry for entry."""
    spec = importlib.util.spec_from_file_location("shapes", ROOT / "benchmarks" / "shapes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, dict[str, object]] = module.SHAPES
    return found


@pytest.mark.parametrize(
    ("alias", "published"),
    [
        ("r1-1.5b", "r1-distill-qwen-1.5b"),
        ("r1-7b", "r1-distill-qwen-7b"),
        ("r1-14b", "r1-distill-qwen-14b"),
        ("r1-llama-8b", "r1-distill-llama-8b"),
        ("r1-qwen3-8b", "r1-0528-qwen3-8b"),
    ],
)
def test_the_shapes_are_the_published_ones(alias: str, published: str) -> None:
    model = next(model for model in MODELS if model.alias == alias)
    whole = arch.from_config(shapes()[published], Path(alias)).spec
    assert arch.expected_tensors(model.spec) == arch.expected_tensors(whole)
    assert model.spec.layers == whole.layers


def test_every_model_comes_in_every_precision_the_ablest_first() -> None:
    rows = [(c.alias, c.bits) for c in candidates()]
    assert len(rows) == len(set(rows)) == 15
    assert sorted(MODELS, key=lambda model: -model.aime_2024) == list(MODELS)


def test_sizes_are_those_of_bundles_that_were_made() -> None:
    """The 1.5B shape in 4 bits: 950.3 MB, 4.252 bits a weight; README, "Measured"."""
    c = candidate("r1-1.5b", 4)
    assert 8 * c.weight_bytes / c.parameters == pytest.approx(4.252, abs=5e-4)
    assert 950.3e6 <= c.bundle_bytes <= 970e6
    # Peak memory after 512 tokens was 1,034.7 MB; here there is K/V for 4,096.
    assert c.memory_bytes >= 1034.7e6 + (4096 - 577) * 28672
    # 821 MB of weights a token, and K/V of 512 tokens.
    assert c.token_bytes == pytest.approx(821e6 + 512 * 28672, rel=2e-3)


@pytest.mark.parametrize("page", ["docs/guide/real-model.md", "docs/zh/real-model.md"])
def test_the_guide_gives_the_same_sizes(page: str) -> None:
    rows = re.findall(
        r"^\| `(r1-\S+)` \|.*\| ([\d.]+) GB \| ([\d.]+) GB \| ([\d.]+) GB \|$",
        (ROOT / page).read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    told = {alias: {8: eight, 4: four, 3: three} for alias, eight, four, three in rows}
    for c in candidates():
        assert told[c.alias][c.bits] == f"{c.bundle_bytes / GB:.1f}"


def test_storage_counts_a_shard_a_layer_and_the_bundle() -> None:
    large, small = candidate("r1-7b", 4), candidate("r1-1.5b", 4)
    layer = 2 * (3584 * (2 * 3584 + 2 * 512 + 3 * 18944 + 2) + 3584 + 2 * 512)
    assert large.storage_bytes == 9 * GB + layer + large.bundle_bytes
    assert small.storage_bytes == small.source_bytes + small.bundle_bytes


def test_fifteen_gigabytes_are_enough_for_a_7b(tmp_path: Path) -> None:
    found = with_memory(device(devices.PHONE, tmp_path, 15, speed(200, 200)), 8, 5.2)
    assert best(advise(found)) == ("r1-7b", 4)


@pytest.mark.parametrize(
    ("total", "available", "expected"),
    [
        (4, 2.2, ("r1-1.5b", 4)),
        (4, 3.0, ("r1-1.5b", 8)),
        (8, 5.2, ("r1-7b", 4)),
        (12, 7.0, ("r1-qwen3-8b", 4)),
        (16, 12.0, ("r1-qwen3-8b", 8)),
        (12, None, ("r1-qwen3-8b", 8)),
    ],
)
def test_memory_decides(
    total: float, available: float | None, expected: tuple[str, int], tmp_path: Path
) -> None:
    found = device(devices.PHONE, tmp_path, measured=speed(200, 200))
    assert best(advise(with_memory(found, total, available))) == expected


def test_the_advice_leaves_the_system_memory(tmp_path: Path) -> None:
    found = device(devices.PHONE, tmp_path, measured=speed(200, 200))
    for total, available in ((4, 3.9), (6, 5.0), (12, 6.0), (64, 60.0)):
        advice = advise(with_memory(found, total, available))
        assert advice.best is not None and advice.run_budget is not None
        assert advice.best.candidate.memory_bytes <= (available - 0.5) * GB
        assert advice.best.candidate.memory_bytes <= 0.8 * total * GB
        assert 0 <= advice.run_budget - advice.best.candidate.memory_bytes < 100e6


def test_storage_decides_too(tmp_path: Path) -> None:
    found = with_memory(device(devices.PHONE, tmp_path, 16, speed(200, 200)), 64, 60)
    assert best(advise(found)) == ("r1-qwen3-8b", 4)
    storage = replace(found.storage, free=10 * GB)
    assert best(advise(replace(found, storage=storage))) == ("r1-1.5b", 8)


def test_speed_decides_among_those_that_fit(tmp_path: Path) -> None:
    """Reading speed comes first; then ability; then precision."""
    found = with_memory(device(devices.LAPTOP, tmp_path), 64, 60)
    assert best(advise(replace(found, speed=speed(200, 150)))) == ("r1-qwen3-8b", 8)
    assert best(advise(replace(found, speed=speed(40, 35)))) == ("r1-qwen3-8b", 4)
    assert best(advise(replace(found, speed=speed(26, 26)))) == ("r1-7b", 4)
    assert best(advise(replace(found, speed=speed(15, 12)))) == ("r1-1.5b", 8)
    assert best(advise(replace(found, speed=speed(8, 7)))) == ("r1-1.5b", 4)
    slow = advise(replace(found, speed=speed(0.7, 0.35)))  # plain C++ on two cores
    assert best(slow) == ("r1-1.5b", 8)
    assert slow.best is not None and not slow.best.comfortable


def test_the_expected_speed_is_measured_speed_over_what_a_token_reads(tmp_path: Path) -> None:
    found = device(devices.LAPTOP, tmp_path, measured=speed(20, 10))
    for row in advise(found).assessments:
        rate = {8: 20, 4: 10, 3: 10}[row.candidate.bits] * GB
        assert row.tok_s is not None
        assert row.tok_s == pytest.approx(
            [e * rate / row.candidate.token_bytes for e in EFFICIENCY]
        )
        assert row.comfortable == (row.tok_s[0] >= COMFORTABLE)


def test_without_a_measured_speed_what_fits_decides(tmp_path: Path) -> None:
    advice = advise(with_memory(device(devices.PHONE, tmp_path), 8, 5.2))
    assert best(advice) == ("r1-7b", 4)
    assert advice.best is not None and advice.best.tok_s is None


def test_the_next_command_makes_what_is_advised(tmp_path: Path) -> None:
    advice = advise(with_memory(device(devices.PHONE, tmp_path, 100, speed(60, 60)), 8, 5.2))
    assert advice.command == "pocketr1 pull r1-7b --compress 4"
    assert advice.threads == 5  # the little cores stay out


def test_a_container_of_2_gb_gets_the_smallest(tmp_path: Path) -> None:
    advice = advise(device(devices.CONTAINER, tmp_path, 20, speed(20, 15)))
    assert best(advice) == ("r1-1.5b", 4)


def test_three_bits_are_advised_only_where_nothing_fits_in_more(tmp_path: Path) -> None:
    found = device(devices.PHONE, tmp_path, measured=speed(200, 200))
    small = advise(with_memory(found, 4, 1.6))
    assert best(small) == ("r1-1.5b", 3)
    assert small.command == "pocketr1 pull r1-1.5b --compress 3"
    assert small.passed_over is None
    # A larger model, or an abler one, in 3 bits does not come before a smaller one in 4.
    more = advise(with_memory(found, 12, 8.0))
    assert any(row.fits and row.candidate == candidate("r1-14b", 3) for row in more.assessments)
    assert best(more) == ("r1-qwen3-8b", 4)
    middle = advise(with_memory(found, 8, 4.9))
    assert any(row.fits and row.candidate.bits == 3 for row in middle.assessments)
    assert best(middle) != ("r1-qwen3-8b", 3)
    assert middle.best is not None and middle.best.candidate.bits >= 4


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    found = with_memory(device(devices.PHONE, tmp_path, 3), 2, 1.1)
    advice = advise(found)
    assert advice.best is advice.command is advice.run_budget is None
    least = candidate("r1-1.5b", 3)
    assert advice.memory_missing == least.memory_bytes - (1.1 * GB - 500e6)
    assert advice.storage_missing == least.storage_bytes - (3 * GB - 500e6)


def test_a_model_that_fits_after_closing_programs_is_told_apart(tmp_path: Path) -> None:
    found = with_memory(device(devices.PHONE, tmp_path, measured=speed(200, 200)), 8, 1.0)
    row = next(a for a in advise(found).assessments if a.candidate == candidate("r1-1.5b", 8))
    assert (row.fits_memory, row.fits_memory_emptied, row.fits) == (False, True, False)


@pytest.mark.parametrize("what", [devices.EMPTY, devices.NONSENSE], ids=["empty", "nonsense"])
def test_where_nothing_is_known_nothing_is_advised(what: Device, tmp_path: Path) -> None:
    advice = advise(device(what, tmp_path, None))
    assert advice.best is advice.memory_budget is advice.memory_missing is None
    assert all(row.fits_memory is row.fits_storage is None for row in advice.assessments)


@pytest.mark.parametrize("name", devices.ALL)
def test_every_device_gets_the_same_advice_twice(name: str, tmp_path: Path) -> None:
    found = device(devices.ALL[name], tmp_path, 40, speed(30, 25))
    assert advise(found) == advise(found)


@pytest.mark.parametrize(
    ("cache", "available", "expected"),
    [
        (None, None, 64 << 20),
        (None, 8 << 30, 256 << 20),
        (32 << 20, 8 << 30, 128 << 20),
        (1 << 20, 8 << 30, 64 << 20),
        (512 << 20, 64 << 30, 1 << 30),
        (32 << 20, 400 << 20, 50 << 20),
    ],
)
def test_the_buffer_is_larger_than_the_cache_and_small_for_the_memory(
    cache: int | None, available: int | None, expected: int
) -> None:
    assert buffer_bytes(cache, available) == expected


def test_the_short_names_are_those_of_pull() -> None:
    assert {model.alias for model in MODELS} <= set(ALIASES)
