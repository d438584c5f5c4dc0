"""A memory budget: the plan holds, the answer stays, and what goes wrong is said."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import Sampling
from pocketr1.engine import plan_memory
from pocketr1.engine.budget import AUTO_RESERVE, Needs, Streaming, make_plan
from pocketr1.errors import BundleError, CancelledError, UsageError
from pocketr1.machine import Root, find_memory, rss_bytes

GREEDY = Sampling(temperature=0.0)
IDS = [(7 * i + 3) % 500 for i in range(300)]
CONTEXT = 512
FORMATS = [
    {"bits": 8, "group_size": 32},
    {"bits": 4, "group_size": 64},
    {"bits": 4, "group_size": 32, "symmetric": False},
    {"bits": 3, "group_size": 128},
    {"bits": 2, "group_size": 64, "symmetric": False},
]


def answer(engine: pocketr1.Engine, tokens: int = 12) -> list[int]:
    return [
        token.id for token in engine.generate(IDS, GREEDY, max_tokens=tokens, stop_token_ids=())
    ]


@pytest.fixture(params=["checkpoint", "bundle"])
def model(request: pytest.FixtureRequest, tiny_checkpoint: Path, tiny_bundle: Path) -> Path:
    return tiny_checkpoint if request.param == "checkpoint" else tiny_bundle


@pytest.mark.parametrize("options", FORMATS, ids=str)
def test_every_format_answers_the_same_bits_from_storage(
    options: dict[str, int], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    pocketr1.Quantizer(tiny_checkpoint, output_path=tmp_path / "bundle", **options).run()
    with pocketr1.load(tmp_path / "bundle", threads=2, max_context=CONTEXT) as engine:
        mapped = engine.logits(IDS)
        for limit in (0, engine.weight_bytes // 2, engine.weight_bytes):
            engine.set_resident_limit(limit)
            assert engine.resident_bytes <= limit
            assert np.array_equal(engine.logits(IDS), mapped)


@pytest.mark.parametrize("name", ["llama-biases-tied", "qwen2-two-shards", "qwen3-f32-gqa8"])
def test_checkpoints_tied_and_untied_answer_the_same_bits_from_storage(name: str) -> None:
    path = Path(__file__).parents[2] / "golden" / "models" / name
    with pocketr1.load(path, threads=2) as engine:
        ids = [i % engine.vocab_size for i in range(100)]
        mapped = engine.logits(ids)
        engine.set_resident_limit(engine.weight_bytes // 3)
        assert np.array_equal(engine.logits(ids), mapped)


def test_a_plan_adds_up_and_the_smallest_budget_works(model: Path) -> None:
    with pytest.raises(UsageError) as refused:
        pocketr1.load(model, max_context=CONTEXT, memory_budget="1MB")
    assert refused.value.code == "budget-too-small"
    smallest = refused.value.params["smallest"]
    with pocketr1.load(model, max_context=CONTEXT, memory_budget=smallest) as engine:
        plan = engine.plan
        assert plan is not None
        used = plan.process + plan.kv + plan.scratch + plan.ring + plan.resident
        assert used <= plan.budget
        assert plan.resident + plan.streamed == engine._model.stream_sizes[0]
        assert engine.weight_budget == plan.resident
        assert engine.resident_bytes <= plan.resident
        with pocketr1.load(model, max_context=CONTEXT) as other:
            assert answer(engine) == answer(other)


def test_a_budget_that_is_enough_keeps_everything(model: Path) -> None:
    with pocketr1.load(model, max_context=CONTEXT, memory_budget="1GB") as engine:
        assert engine.plan is not None
        assert engine.plan.ring == 0
        streaming = engine.streaming
        assert streaming is not None
        assert (streaming.streamed, streaming.read_bound) == (0, None)
        assert engine.resident_bytes == engine._model.stream_sizes[0]
        answer(engine)
        assert engine._model.stream is not None
        before = engine._model.stream[3]
        answer(engine)
        assert engine._model.stream[3] == before


def test_the_refusal_says_which_context_would_fit(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        spec = engine.spec
    needs = Needs(
        spec=spec,
        weights=50_000_000,
        ring=16_000_000,
        tiled=True,
        looked_up=0,
        page_bytes=10_000_000,
        max_context=4096,
        kv_format="int8",
        threads=2,
        directory=tiny_bundle,
    )
    smallest = make_plan("10GB", needs).smallest
    budget = smallest - 300_000_000
    with pytest.raises(UsageError) as refused:
        make_plan(budget, needs)
    assert refused.value.code == "budget-context"
    context = refused.value.params["context"]
    assert isinstance(context, int)
    make_plan(budget + 5_000_000, replace(needs, max_context=context))
    with pytest.raises(UsageError) as refused:
        make_plan(budget, replace(needs, max_context=context + 65))
    with pytest.raises(UsageError) as refused:
        make_plan(budget, replace(needs, kv_format="f16"))
    assert refused.value.code == "budget-context-int8"
    assert refused.value.params["context"] == context
    longer = refused.value.params["int8"]
    assert isinstance(longer, int)
    assert longer > context
    make_plan(
        budget + 5_000_000,
        replace(needs, page_bytes=10_000_000 * 34 // 64, max_context=longer, kv_format="int8"),
    )


def test_auto_leaves_memory_to_others(tiny_bundle: Path) -> None:
    available = find_memory(Root()).available
    assert available is not None
    plan = plan_memory(tiny_bundle, "auto", max_context=CONTEXT)
    expected = max(available + rss_bytes() - AUTO_RESERVE, plan.smallest)
    assert abs(plan.budget - expected) < 0.2 * expected


@pytest.mark.parametrize("budget", [0, -1, True, "much", "", "1TB", 1.5])
def test_a_budget_that_is_none_is_refused(tiny_bundle: Path, budget: object) -> None:
    with pytest.raises(UsageError) as refused:
        pocketr1.load(tiny_bundle, memory_budget=budget)  # type: ignore[arg-type]
    assert refused.value.code == "budget-value"


def test_no_draft_model_is_loaded_beside_a_budget(tiny_bundle: Path) -> None:
    from pocketr1.engine.loading import open_speculation

    with pocketr1.load(tiny_bundle, max_context=CONTEXT, memory_budget="1GB") as engine:
        with pytest.raises(UsageError) as refused, open_speculation(str(tiny_bundle), engine):
            pass
        assert refused.value.code == "budget-draft"
        with open_speculation("lookup", engine) as speculation:
            tokens = engine.generate(IDS, GREEDY, max_tokens=12, speculation=speculation)
            assert [token.id for token in tokens] == answer(engine)


def test_the_limit_changes_under_a_generation_that_goes_on(model: Path) -> None:
    with pocketr1.load(model, threads=2, max_context=CONTEXT) as engine:
        expected = answer(engine, 30)
        generation = engine.generate(IDS, GREEDY, max_tokens=30, stop_token_ids=())
        limits = [None, engine.weight_bytes, 0, engine.weight_bytes // 2, None, 0]
        tokens = []
        for place, token in enumerate(generation):
            tokens.append(token.id)
            if place % 5 == 0:
                engine.set_resident_limit(limits[place // 5])
        assert tokens == expected


def test_a_limit_that_is_none_is_refused(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        for limit in (-1, 1.5, "700MB", True):
            with pytest.raises(UsageError) as refused:
                engine.set_resident_limit(limit)  # type: ignore[arg-type]
            assert refused.value.code == "resident-limit-value"


def test_a_limit_cannot_change_inside_a_step(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        codes = []

        def visit(_name: str, _rows: object) -> None:
            try:
                engine.set_resident_limit(0)
            except pocketr1.EngineError as error:
                codes.append(error.code)

        engine.layer_inputs(IDS[:4], visit)
        assert set(codes) == {"engine-busy"}


def test_a_file_cut_short_is_an_error_that_names_it_and_the_engine_goes_on(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, path)
    shard = path / "blocks" / "00000.safetensors"
    whole = shard.read_bytes()
    with pocketr1.load(path, max_context=CONTEXT) as engine:
        expected = answer(engine)
        engine.set_resident_limit(0)
        os.truncate(shard, len(whole) // 2)
        with pytest.raises(BundleError) as failed:
            for _ in range(20):  # what was read ahead may last for a step
                answer(engine)
        assert failed.value.params["where"] == str(shard)
        shard.write_bytes(whole)
        for _ in range(3):  # the failure may have been met once more, ahead
            try:
                assert answer(engine) == expected
                break
            except BundleError:
                continue
        else:
            pytest.fail("the engine did not recover")


def test_values_are_checked_when_they_are_first_read(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, path)
    from pocketr1 import _core

    tensors = {name: parts for name, _, _, parts in _core.Bundle.open(str(path)).tensors()}
    _, _, _, offset, size = tensors["layers.1.down.weight"][0]
    shard = path / "blocks" / "00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[offset + size - 1] = 0x7C  # the last scale: infinity
    shard.write_bytes(data)
    with pytest.raises(BundleError) as refused:
        pocketr1.load(path, max_context=CONTEXT, memory_budget="1GB")
    assert refused.value.code == "bundle-scales"
    with pocketr1.load(path, max_context=CONTEXT) as engine:
        with pytest.raises(BundleError):
            engine.set_resident_limit(0)
        assert engine.streaming is None


def test_a_cancelled_step_leaves_the_next_answer_right(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, max_context=4096, threads=1) as engine:
        expected = answer(engine)
        engine.set_resident_limit(100_000)
        for delay in (0.0, 0.002, 0.01, 0.03):
            timer = threading.Timer(delay, engine.cancel)
            timer.start()
            with contextlib.suppress(CancelledError):
                engine.logits([1] * 1500)
            timer.join()
            assert answer(engine) == expected


def test_an_engine_under_a_budget_can_be_dropped_in_a_forked_child(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, max_context=CONTEXT) as engine:
        engine.set_resident_limit(100_000)
        expected = answer(engine)
        child = os.fork()
        if child == 0:
            del engine._session, engine._model
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert answer(engine) == expected


def test_the_read_bound_is_storage_over_what_a_token_reads() -> None:
    assert Streaming(300, 100, storage_speed=1000.0, direct=True).read_bound == 10.0
    assert Streaming(400, 0, storage_speed=1000.0, direct=True).read_bound is None
