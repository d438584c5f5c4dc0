"""What a real engine gives back while it writes: unused pages, and weights kept under a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from governed_world import MB, World

import pocketr1
from pocketr1 import Sampling
from pocketr1.machine import Headroom

IDS = [(7 * i + 3) % 500 for i in range(150)]
SAMPLING = Sampling(temperature=0.8, seed=11)


@pytest.fixture
def plain(tiny_bundle: Path) -> list[int]:
    """Return what an engine writes that minds nothing and maps its weights."""
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        return [t.id for t in engine.generate(IDS, SAMPLING, max_tokens=60, stop_token_ids=())]


def test_pages_and_weights_go_and_come_under_a_text_that_stays_the_same(
    tiny_bundle: Path, plain: list[int]
) -> None:
    world = World()
    with pocketr1.load(tiny_bundle, threads=2, memory_budget="2GB") as engine:
        planned = engine.resident_bytes
        assert planned == engine.weight_budget == engine.plan.resident  # type: ignore[union-attr]
        assert planned > MB
        with engine.sequence() as sequence:
            sequence.append([1] * 2000)
        pages = engine.kv_bytes
        governor = world.governor()
        engine.govern(governor)
        ids, resident = [], []
        for token in engine.generate(IDS, SAMPLING, max_tokens=60, stop_token_ids=()):
            ids.append(token.id)
            resident.append(engine.resident_bytes)
            world.now += 1
            world.memory = Headroom((300 if 10 <= len(ids) < 30 else 4000) * MB)
            if len(ids) == 20:
                assert engine.kv_bytes < pages / 2
        assert ids == plain
        assert resident[:10] == [planned] * 10
        assert resident[12:30] == [0] * 18
        assert resident[40:] == [planned] * 20
        assert [event.kind for event in governor.events] == ["gave-back", "took-again"]
        assert governor.events[0].params["names"] == ["kv-pages", "weights"]


def test_weights_come_back_piece_by_piece(tiny_bundle: Path) -> None:
    world = World()
    with pocketr1.load(tiny_bundle, threads=1, memory_budget="2GB") as engine:
        planned = engine.resident_bytes
        governor = world.governor()
        engine.govern(governor)
        (weights,) = governor._weights
        freed = weights.give_back(planned // 2)
        assert planned // 2 <= freed < planned
        assert engine.resident_bytes == planned - freed
        assert weights.take_again(freed // 3) == freed // 3
        engine.logits(IDS)
        partly = engine.resident_bytes
        assert planned - freed < partly <= planned - freed + freed // 3
        assert weights.take_again(planned) == freed - freed // 3
        engine.logits(IDS)
        assert engine.resident_bytes == planned
        assert weights.take_again(1) == 0


def test_a_trim_gives_half_of_the_weights(tiny_bundle: Path, plain: list[int]) -> None:
    world = World()
    with pocketr1.load(tiny_bundle, threads=1, memory_budget="2GB") as engine:
        planned = engine.resident_bytes
        engine.govern(world.governor())
        engine.trim(20)
        assert engine.resident_bytes == planned
        engine.trim(40)
        assert planned / 4 < engine.resident_bytes <= planned / 2
        engine.trim(80)
        assert engine.resident_bytes == 0
        ids = [t.id for t in engine.generate(IDS, SAMPLING, max_tokens=60, stop_token_ids=())]
        assert ids == plain


def test_weights_that_are_mapped_are_the_system_s_to_drop(tiny_bundle: Path) -> None:
    world = World()
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        governor = world.governor()
        engine.govern(governor)
        assert governor._weights == []


def test_a_governor_leaves_with_its_engine_s_reliefs(tiny_bundle: Path) -> None:
    world = World()
    governor = world.governor()
    with pocketr1.load(tiny_bundle, threads=1, memory_budget="2GB") as engine:
        engine.govern(governor)
        engine.trim(80)
        assert governor.given_bytes > 0
        engine.govern(None)
        assert (governor._weights, governor._caches, governor.given_bytes) == ([], [], 0)
        engine.logits(IDS)
        assert engine.resident_bytes == engine.weight_budget
