"""What a governor does between steps, with a clock, sensors and memory of the test's own."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from governed_world import MB, Cache, World
from toy_core import ToyModel, ToySession

from pocketr1 import messages
from pocketr1.engine import Care, Engine, Event, Governor, Sampling
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import Headroom, Power

IDS = [3, 4, 6]
GREEDY = Sampling(temperature=0.0)


@pytest.fixture
def world() -> World:
    return World()


def four_threads() -> tuple[Engine, ToySession]:
    session = ToySession(threads=4)
    return Engine(ToyModel(), session, Path("toy")), session  # type: ignore[arg-type]


def pass_seconds(world: World, governor: Governor, seconds: int) -> None:
    for _ in range(seconds):
        governor.tend()
        world.now += 1


def kinds(governor: Governor) -> list[str]:
    return [event.kind for event in governor.events]


# When it looks


def test_it_looks_once_a_second_and_before_the_first_step(world: World) -> None:
    governor = world.governor()
    for _ in range(10):
        governor.tend()
    assert world.looks == 1
    world.now += 0.9
    governor.tend()
    assert world.looks == 1
    world.now += 0.1
    governor.tend()
    assert world.looks == 2


def test_a_listener_that_fails_ends_nothing_and_the_event_is_kept(world: World) -> None:
    def fail(event: Event) -> None:
        raise BrokenPipeError("the terminal is gone")

    engine, _ = four_threads()
    governor = Governor(
        Care(max_temp=45), fail, sensors=world, clock=world.clock, sleep=world.sleep
    )
    engine.govern(governor)
    world.celsius = 50.0
    assert len(list(engine.generate(IDS, GREEDY, max_tokens=3, stop_token_ids=()))) == 3
    assert kinds(governor) == ["threads"]


def test_every_way_to_compute_asks_it(world: World) -> None:
    engine, _ = four_threads()
    engine.govern(world.governor())

    def looks(work: Any) -> int:
        before = world.looks
        world.now += 1
        work()
        return world.looks - before

    assert looks(lambda: engine.logits(IDS)) == 1
    assert looks(lambda: list(engine.generate(IDS, GREEDY, max_tokens=3))) == 1
    assert looks(lambda: list(engine.generate_many([IDS, IDS], GREEDY, max_tokens=3))) == 1
    assert looks(lambda: engine.sequence().append(IDS)) == 1
    assert looks(lambda: engine.layer_inputs(IDS, lambda *_: None)) == 1
    engine.govern(None)
    assert looks(lambda: engine.logits(IDS)) == 0


def test_what_is_not_asked_for_is_not_read(world: World) -> None:
    world.celsius = 90.0
    world.battery(3)
    governor = world.governor(memory_threshold=0)
    pass_seconds(world, governor, 3)
    assert (world.looks, kinds(governor), governor.paused) == (0, [], False)


# Memory


def test_what_a_trim_took_comes_back_without_a_threshold_too(world: World) -> None:
    governor = world.governor(memory_threshold=0)
    governor._weights.append(weights := Cache("weights", 400 * MB))
    governor.trim(15)
    governor.tend()
    assert weights.held == 0
    world.now += 1
    pass_seconds(world, governor, 40)
    assert weights.held == 400 * MB
    assert kinds(governor) == ["gave-back", "took-again"]


def test_memory_is_given_back_in_order_of_regret_and_taken_again_dearest_first(
    world: World,
) -> None:
    governor = world.governor(memory_threshold=500 * MB)
    pages, prefixes = Cache("kv-pages", 50 * MB, fills=True), Cache("prefixes", 100 * MB)
    weights = Cache("weights", 400 * MB)
    governor.add(pages)
    governor.add(prefixes)
    governor._weights.append(weights)
    world.memory = Headroom(499 * MB)
    governor.tend()
    assert (pages.held, prefixes.held, weights.held) == (0, 85 * MB, 400 * MB)
    world.now += 1
    world.memory = Headroom(300 * MB)
    governor.tend()
    assert (prefixes.held, weights.held) == (0, 221 * MB)
    assert governor.given_bytes == 329 * MB
    world.now += 1
    world.memory = Headroom(800 * MB)
    pass_seconds(world, governor, 6)
    assert (prefixes.held, weights.held) == (0, 393 * MB)  # 800 - 500 - 2 x 64 = 172
    world.memory = Headroom(4000 * MB)
    pass_seconds(world, governor, 6)
    assert (prefixes.held, weights.held) == (100 * MB, 400 * MB)
    assert governor.given_bytes == 0
    assert kinds(governor) == ["gave-back", "gave-back", "took-again", "took-again"]
    assert [event.params.get("names") for event in governor.events] == [
        ["kv-pages", "prefixes"],
        ["prefixes", "weights"],
        None,
        None,
    ]


def test_nothing_to_give_back_is_nothing_to_say(world: World) -> None:
    governor = world.governor()
    world.memory = Headroom(1 * MB)
    pass_seconds(world, governor, 5)
    assert kinds(governor) == []


def test_memory_that_cannot_be_read_is_said_once_and_only_to_who_asked(world: World) -> None:
    world.memory = Headroom()
    silent, asked = world.governor(), world.governor(memory_threshold=10**9)
    for governor in (silent, asked):
        pass_seconds(world, governor, 3)
    assert kinds(silent) == []
    assert [event.code for event in asked.events] == ["governor-no-memory"]


def test_stalls_alone_give_back_too(world: World) -> None:
    governor = world.governor()
    governor.add(cache := Cache("prefixes", 100 * MB))
    world.memory = Headroom(None, None, 0.5)
    governor.tend()
    assert cache.held == 36 * MB
    assert governor.events[-1].code == "governor-gave-back-stalled"


@pytest.mark.parametrize(("level", "weights_left"), [(5, 400), (20, 400), (40, 200), (80, 0)])
def test_a_trim_gives_caches_and_a_share_of_the_weights(
    level: int, weights_left: int, world: World
) -> None:
    governor = world.governor()
    governor.add(cache := Cache("prefixes", 10 * MB))
    governor._weights.append(weights := Cache("weights", 400 * MB))
    governor.trim(level)
    assert cache.held == 10 * MB  # from any thread: it only asks
    governor.tend()
    assert (cache.held, weights.held) == (0, weights_left * MB)
    pass_seconds(world, governor, 29)
    assert cache.held == 0
    pass_seconds(world, governor, 2)
    assert (cache.held, weights.held) == (10 * MB, 400 * MB)
    assert kinds(governor) == ["gave-back", "took-again"]
    assert governor.events[0].params["level"] == level


def test_the_engine_s_trim_acts_at_once_for_its_owner_and_before_the_next_step_for_others(
    world: World,
) -> None:
    engine, _ = four_threads()
    engine.trim(80)  # without a governor
    governor = world.governor()
    engine.govern(governor)
    governor.add(cache := Cache("prefixes", 10 * MB))
    thread = threading.Thread(target=engine.trim, args=(10,))
    thread.start()
    thread.join()
    assert cache.held == 10 * MB
    engine.logits(IDS)
    assert cache.held == 0
    cache.held = 5 * MB
    engine.trim(5)
    assert cache.held == 0
    with pytest.raises(UsageError):
        engine.trim(1)


# Heat


def test_heat_sheds_threads_then_pauses_then_comes_back_and_says_so(world: World) -> None:
    engine, session = four_threads()
    governor = world.governor(max_temp=45)
    engine.govern(governor)
    world.celsius = 45.2
    seen = []
    for _ in range(15):
        engine.logits(IDS)
        seen.append(session.active_threads)
        world.now += 1
    assert seen == [3] * 5 + [2] * 5 + [1] * 5
    # It is to pause: while it sleeps, it cools.
    cooled = {95: lambda: setattr(world, "celsius", 41.5)}
    world.meanwhile = cooled
    started = world.now
    engine.logits(IDS)
    assert 9.0 < world.now - started < 11.0
    assert set(world.naps) == {0.1}
    for _ in range(30):
        engine.logits(IDS)
        world.now += 1
    assert session.active_threads == governor.threads == 4
    assert kinds(governor) == [
        *["threads"] * 3,
        "paused",
        "resumed",
        *["threads"] * 3,
    ]
    texts = [event.text for event in governor.events]
    assert texts[0] == "skin 45.2 °C: 3 instead of 4 threads."
    assert texts[3].startswith("skin 45.2 °C: paused until it cools to 42 °C")
    assert texts[4] == "skin 41.5 °C: goes on, threads: 1."
    assert texts[5] == "skin 41.5 °C: 2 instead of 1 threads."


def test_a_pause_ends_at_once_when_cancelled(world: World) -> None:
    engine, _ = four_threads()
    governor = world.governor(max_temp=45)
    engine.govern(governor)
    plain = [token.id for token in engine.generate(IDS, GREEDY, max_tokens=8)]
    generation = engine.generate(IDS, GREEDY, max_tokens=8)
    ids = [next(generation).id, next(generation).id]
    world.celsius = 60.0
    governor._heat.threads = 1  # type: ignore[union-attr]
    world.now += 1
    world.meanwhile = {7: engine.cancel}
    assert list(generation) == []
    assert generation.finish_reason == "cancelled"
    assert (len(world.naps), ids) == (7, plain[:2])


def test_a_pause_for_one_engine_ends_when_another_is_cancelled(world: World) -> None:
    """A draft model pauses, and Ctrl-C cancels its model."""
    (model, _), (draft, _) = four_threads(), four_threads()
    governor = world.governor(max_temp=45)
    model.govern(governor)
    draft.govern(governor)
    draft.logits(IDS)
    world.celsius = 60.0
    governor._heat.threads = 1  # type: ignore[union-attr]
    world.now += 1
    world.meanwhile = {7: model.cancel}
    draft.logits(IDS)
    assert (len(world.naps), governor.paused) == (7, True)


def test_an_engine_that_joins_begins_with_all_threads_and_so_do_the_others(world: World) -> None:
    (first, session), (second, other) = four_threads(), four_threads()
    governor = world.governor(max_temp=45)
    first.govern(governor)
    world.celsius = 60.0
    pass_seconds(world, governor, 2)
    assert session.active_threads < 4
    world.celsius = 30.0
    second.govern(governor)
    pass_seconds(world, governor, 2)
    assert (session.active_threads, other.active_threads, governor.threads) == (4, 4, 4)


def test_a_pause_goes_on_minding_memory(world: World) -> None:
    engine, _ = four_threads()
    governor = world.governor(max_temp=45)
    engine.govern(governor)
    governor.add(cache := Cache("prefixes", 10 * MB))
    governor._heat.threads = 1  # type: ignore[union-attr]
    world.celsius = 60.0
    world.meanwhile = {
        20: lambda: setattr(world, "memory", Headroom(1 * MB)),
        40: lambda: setattr(world, "celsius", 40.0),
    }
    engine.logits(IDS)
    assert cache.held == 0
    assert kinds(governor) == ["threads", "paused", "gave-back", "resumed"]


def test_without_a_temperature_it_says_so_once_and_goes_on(world: World) -> None:
    engine, session = four_threads()
    governor = world.governor(max_temp=45)
    engine.govern(governor)
    world.celsius = None
    for _ in range(3):
        engine.logits(IDS)
        world.now += 1
    assert [event.code for event in governor.events] == ["governor-no-temperature"]
    assert session.active_threads == 4


def test_a_sensor_that_falls_silent_does_not_pause_for_ever(world: World) -> None:
    engine, _ = four_threads()
    governor = world.governor(max_temp=45)
    engine.govern(governor)
    governor._heat.threads = 1  # type: ignore[union-attr]
    world.celsius = 60.0
    world.meanwhile = {5: lambda: setattr(world, "celsius", None)}
    engine.logits(IDS)
    assert sum(world.naps) == pytest.approx(30.0, abs=1.0)
    assert governor.events[-1].code == "governor-resumed-blind"


# Battery


def test_saving_halves_the_threads_and_lets_go_at_the_mains(world: World) -> None:
    engine, session = four_threads()
    governor = world.governor(on_battery="save")
    engine.govern(governor)
    seen = []
    for percent, plugged in [(80, False), (60, False), (14, False), (14, True), (16, False)]:
        world.battery(percent, plugged)
        engine.logits(IDS)
        seen.append(session.active_threads)
        world.now += 1
    assert seen == [2, 2, 1, 4, 1]  # at 16% it is still low
    assert [event.text for event in governor.events] == [
        "On battery (80%): 2 instead of 4 threads.",
        "The battery is at 14%.",
        "On battery (14%): 1 instead of 2 threads.",
        "Power is back (14%): 4 instead of 1 threads.",
        "On battery (16%): 1 instead of 4 threads.",
    ]


def test_full_only_says_when_the_battery_is_low(world: World) -> None:
    engine, session = four_threads()
    governor = world.governor(on_battery="full")
    engine.govern(governor)
    for percent in (50, 14, 13, 12):
        world.battery(percent)
        engine.logits(IDS)
        world.now += 1
    assert session.active_threads == 4
    assert [event.text for event in governor.events] == ["The battery is at 14%."]


def test_stopping_ends_the_answer_refuses_the_next_and_goes_on_when_plugged_in(
    world: World,
) -> None:
    engine, _ = four_threads()
    engine.govern(world.governor(on_battery="stop:30"))
    plain = [token.id for token in engine.generate(IDS, GREEDY, max_tokens=8)]
    generation = engine.generate(IDS, GREEDY, max_tokens=8)
    ids = [next(generation).id, next(generation).id]
    world.battery(29)
    world.now += 1
    with pytest.raises(EngineError, match="29%, below 30%") as caught:
        next(generation)
    assert caught.value.code == "battery-stop"
    assert (generation.token_ids, ids) == (plain[:2], plain[:2])
    with pytest.raises(EngineError):  # also before the next look
        engine.logits(IDS)
    world.battery(29, plugged=True)
    world.now += 1
    assert [token.id for token in engine.generate(IDS, GREEDY, max_tokens=8)] == plain


def test_a_machine_without_a_battery_is_told_once(world: World) -> None:
    world.supply = Power(None, None)
    governor = world.governor(on_battery="stop")
    pass_seconds(world, governor, 3)
    assert [event.code for event in governor.events] == ["governor-no-battery"]


def test_heat_and_battery_together_take_the_fewer_threads(world: World) -> None:
    engine, session = four_threads()
    governor = world.governor(max_temp=45, on_battery="save")
    engine.govern(governor)
    world.celsius = 46.0
    for _ in range(11):
        engine.logits(IDS)
        world.now += 1
    assert session.active_threads == 1
    world.celsius = 40.0
    for _ in range(30):
        engine.logits(IDS)
        world.now += 1
    assert session.active_threads == 2
    assert [event.params["threads"] for event in governor.events] == [2, 1, 2]
    world.battery(80, plugged=True)
    engine.logits(IDS)
    assert session.active_threads == 4


# Engines


def test_two_engines_share_one_governor(world: World) -> None:
    (large, large_session), small_session = four_threads(), ToySession(threads=2)
    small = Engine(ToyModel(), small_session, Path("toy"))  # type: ignore[arg-type]
    governor = world.governor(max_temp=45)
    large.govern(governor)
    small.govern(governor)
    world.celsius = 46.0
    large.logits(IDS)
    assert (large_session.active_threads, small_session.active_threads) == (3, 2)
    for _ in range(6):
        world.now += 2
        small.logits(IDS)
    assert (large_session.active_threads, small_session.active_threads) == (1, 1)
    small.close()
    assert list(governor._engines) == [large]


def test_who_is_governed_no_more_has_all_threads_again(world: World) -> None:
    engine, session = four_threads()
    engine.govern(world.governor(max_temp=45))
    world.celsius = 46.0
    engine.logits(IDS)
    assert session.active_threads == 3
    engine.govern(world.governor())
    assert session.active_threads == 4


def test_events_reach_the_callback_and_are_plain_data(world: World) -> None:
    told: list[Event] = []
    governor = Governor(Care(max_temp=45), told.append, sensors=world, clock=world.clock)
    engine, _ = four_threads()
    engine.govern(governor)
    world.celsius = 46.0
    world.now += 2.5
    engine.logits(IDS)
    assert told == list(governor.events)
    assert told[0].to_dict() == {
        "kind": "threads",
        "seconds": 2.5,
        "code": "governor-hot",
        "threads": 3,
        "before": 4,
        "zone": "skin",
        "celsius": 46.0,
    }
    messages.set_language("zh")
    try:
        assert told[0].text == "skin 46.0 °C：线程数由 4 减为 3。"
        named = replace(told[0], code="governor-gave-back")
        params = {"available_mb": 9, "megabytes": 1.5, "names": ["kv-pages", "my cache"]}
        assert "未使用的 K/V 页、my cache" in replace(named, params=params).text
    finally:
        messages.set_language(None)


@pytest.mark.parametrize("speculative", [False, True])
def test_the_tokens_are_those_of_an_engine_without_a_governor(
    speculative: bool, world: World
) -> None:
    from pocketr1.engine import Speculation

    how = Speculation() if speculative else None
    engine, _ = four_threads()
    sampling = Sampling(temperature=1.0, seed=7)
    plain = [t.id for t in engine.generate(IDS, sampling, max_tokens=30, speculation=how)]
    governor = world.governor(max_temp=45, on_battery="save")
    engine.govern(governor)
    governor.add(Cache("prefixes", 10 * MB))
    readings = np.random.default_rng(3).uniform(35, 55, 200).tolist()
    ids = []
    for token in engine.generate(IDS, sampling, max_tokens=30, speculation=how):
        ids.append(token.id)
        world.now += 3
        world.celsius = readings.pop()
        world.memory = Headroom(int(readings.pop() * 12 * MB))
        world.meanwhile = {len(world.naps) + 5: lambda: setattr(world, "celsius", 30.0)}
    assert ids == plain
    assert {"threads", "gave-back"} <= set(kinds(governor))


# Options


@pytest.mark.parametrize(
    ("care", "code"),
    [
        ({"max_temp": 24}, "max-temp-value"),
        ({"max_temp": 111}, "max-temp-value"),
        ({"max_temp": float("nan")}, "max-temp-value"),
        ({"max_temp": True}, "max-temp-value"),
        ({"max_temp": "45"}, "max-temp-value"),
        ({"on_battery": "frugal"}, "on-battery-value"),
        ({"on_battery": "stop:0"}, "on-battery-value"),
        ({"on_battery": "stop:100"}, "on-battery-value"),
        ({"on_battery": "save:20"}, "on-battery-value"),
        ({"on_battery": 3}, "on-battery-value"),
        ({"memory_threshold": -1}, "memory-threshold-value"),
        ({"memory_threshold": 1.5}, "memory-threshold-value"),
        ({"memory_threshold": None}, "memory-threshold-value"),
    ],
)
def test_bad_options_are_refused_by_name(care: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Care(**care)
    assert caught.value.code == code
    assert caught.value.mend


def test_the_battery_s_limits() -> None:
    limits = [Care(on_battery=p).stop_below for p in (None, "full", "save", "stop", "stop:30")]
    assert limits == [None, None, None, 15, 30]
