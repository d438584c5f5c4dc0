"""The facade over the real core, on a random model."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import Sampling
from pocketr1.errors import (
    BundleError,
    CancelledError,
    ContextFullError,
    EngineError,
    UsageError,
)

GREEDY = Sampling(temperature=0.0)
IDS = [(7 * i + 3) % 500 for i in range(150)]


@pytest.fixture(scope="module", params=["checkpoint", "bundle"])
def model(request: pytest.FixtureRequest, tiny_checkpoint: Path, tiny_bundle: Path) -> Path:
    return tiny_checkpoint if request.param == "checkpoint" else tiny_bundle


def test_a_checkpoint_and_its_bundle_load_and_say_what_they_are(model: Path) -> None:
    with pocketr1.load(model, threads=2) as engine:
        assert engine.spec.architecture == "qwen2"
        assert engine.vocab_size == 512
        assert engine.max_context == 4096
        assert engine.threads == 2
        assert engine.isa in pocketr1.isas()
        assert engine.weight_bytes > 1_000_000


def test_logits_whole_in_chunks_and_token_by_token_are_the_same_bits(model: Path) -> None:
    with pocketr1.load(model, threads=2) as engine:
        whole = engine.logits(IDS)
        assert whole.shape == (len(IDS), engine.vocab_size)
        assert whole.dtype == np.float32
        assert np.isfinite(whole).all()
        chunks = np.concatenate(list(engine.logits_chunks(IDS, rows=7)))
        np.testing.assert_array_equal(chunks, whole)
        with engine.sequence() as sequence:
            for row, token in enumerate(IDS[:20]):
                np.testing.assert_array_equal(sequence.append([token]), whole[row])
            sequence.truncate(5)
            np.testing.assert_array_equal(sequence.append(IDS[5:9]), whole[8])


def test_greedy_tokens_follow_the_logits(model: Path) -> None:
    with pocketr1.load(model, threads=2) as engine:
        generation = engine.generate(IDS, GREEDY, max_tokens=12, stop_token_ids=())
        tokens = [token.id for token in generation]
        logits = engine.logits(IDS + tokens)
        assert tokens == logits[len(IDS) - 1 : -1].argmax(axis=1).tolist()


def test_a_seed_gives_the_same_tokens_whatever_runs_beside_it(model: Path) -> None:
    with pocketr1.load(model, threads=2) as engine:
        options = Sampling(seed=5, temperature=1.0)
        alone = [t.id for t in engine.generate(IDS, options, max_tokens=10, stop_token_ids=())]
        pair = [
            engine.generate(ids, options, max_tokens=10, stop_token_ids=())
            for ids in (IDS, IDS[:30])
        ]
        both = [[next(generation).id for generation in pair] for _ in range(10)]
        assert [ids[0] for ids in both] == alone
        other = engine.generate(IDS, options, max_tokens=10, stop_token_ids=(), index=1)
        assert [t.id for t in other] != alone


def test_a_sequence_reuses_a_prefix_and_gives_the_same_tokens(model: Path) -> None:
    with pocketr1.load(model, threads=2) as engine:
        fresh = [t.id for t in engine.generate(IDS, GREEDY, max_tokens=8, stop_token_ids=())]
        with engine.sequence() as sequence:
            sequence.append(IDS[:100])
            sequence.append([9, 9, 9])
            generation = engine.generate(
                IDS, GREEDY, max_tokens=8, stop_token_ids=(), sequence=sequence
            )
            assert [token.id for token in generation] == fresh
            assert generation.reused_tokens == 100


def test_pages_come_and_go_with_the_work(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        assert engine.kv_bytes == 0
        with engine.sequence() as sequence:
            sequence.append(IDS)
            one = engine.kv_bytes
            assert one >= len(IDS) * 2048  # 2,048 bytes a token in f16
            generation = engine.generate(IDS, GREEDY, stop_token_ids=())
            next(generation)
            assert engine.kv_bytes > one
            del generation
            gc.collect()
            with engine.sequence() as again:
                again.append(IDS)
                assert engine.kv_bytes <= 2 * one


@pytest.mark.parametrize("kv_format", ["f32", "f16", "int8"])
def test_every_page_format_generates(tiny_bundle: Path, kv_format: str) -> None:
    with pocketr1.load(tiny_bundle, threads=1, kv_format=kv_format) as engine:
        assert len(list(engine.generate(IDS, GREEDY, max_tokens=3, stop_token_ids=()))) == 3


def test_mapped_and_read_weights_answer_alike(tiny_bundle: Path) -> None:
    with (
        pocketr1.load(tiny_bundle, threads=1) as mapped,
        pocketr1.load(tiny_bundle, threads=2, mmap=False) as read,
    ):
        np.testing.assert_array_equal(mapped.logits(IDS[:9]), read.logits(IDS[:9]))


@pytest.mark.isa
def test_every_instruction_set_answers_alike(tiny_bundle: Path) -> None:
    logits = []
    for isa in pocketr1.isas():
        with pocketr1.load(tiny_bundle, threads=1, isa=isa) as engine:
            assert engine.isa == isa
            logits.append(engine.logits(IDS[:9]))
    for other in logits[1:]:
        np.testing.assert_array_equal(other, logits[0])


# The core's session_test does the same under emulated CPUs; here it is every width of bundle, as a
# caller loads it.
@pytest.mark.parametrize(
    ("bits", "kv_format"), [(None, "f32"), (16, "f16"), (8, "int8"), (4, "f16")]
)
def test_instruction_set_threads_chunks_and_company_never_change_a_bit(
    bits: int | None, kv_format: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = tiny_checkpoint
    if bits is not None:
        model = tmp_path / "bundle"
        pocketr1.Quantizer(tiny_checkpoint, output_path=model, bits=bits, group_size=64).run()
    ids = IDS[:70]  # more than one page of K/V
    expected: np.ndarray | None = None
    for isa, threads in ((isa, threads) for isa in pocketr1.isas() for threads in (1, 3)):
        options = {"threads": threads, "isa": isa, "kv_format": kv_format, "max_context": 128}
        with pocketr1.load(model, **options) as engine:  # type: ignore[arg-type]
            whole = engine.logits(ids)
            expected = whole if expected is None else expected
            np.testing.assert_array_equal(whole, expected)
            chunks = np.concatenate(list(engine.logits_chunks(ids, rows=27)))
            np.testing.assert_array_equal(chunks, expected)
            with engine.sequence() as one, engine.sequence() as other:
                one.append(ids[:60])
                other.append(IDS[80:87])
                for row in range(60, 63):
                    np.testing.assert_array_equal(one.append([ids[row]]), expected[row])
                    other.append([row])


def test_a_full_context_ends_with_its_reason(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1, max_context=70) as engine:
        generation = engine.generate(IDS[:66], GREEDY, stop_token_ids=())
        assert len(list(generation)) == 5
        assert (generation.finish_reason, generation.context_full) == ("length", True)
        with pytest.raises(ContextFullError):
            engine.logits(IDS[:71])
        assert engine.logits(IDS[:70]).shape[0] == 70


def test_cancel_from_another_thread_stops_a_long_prompt(tiny_checkpoint: Path) -> None:
    with pocketr1.load(tiny_checkpoint, threads=1) as engine:
        ids = (IDS * 28)[:4000]
        timer = threading.Timer(0.05, engine.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            while True:
                with engine.sequence() as sequence:
                    sequence.append(ids)
        timer.join()
        assert engine.logits(IDS[:3]).shape[0] == 3


def test_layer_inputs_have_the_shape_of_the_weight_that_reads_them(tiny_checkpoint: Path) -> None:
    with pocketr1.load(tiny_checkpoint, threads=1) as engine:
        seen: dict[str, np.ndarray] = {}
        engine.layer_inputs(IDS[:6], lambda name, rows: seen.update({name: rows}))
        assert seen["layers.0.q.weight"].shape == (6, 256)
        assert seen["layers.3.down.weight"].shape == (6, 688)
        assert seen["layers.0.q.weight"].dtype == np.float32
        with pytest.raises(ZeroDivisionError):
            engine.layer_inputs(IDS[:6], lambda name, rows: 1 / 0)
        with pytest.raises(EngineError, match="callback"):
            engine.layer_inputs(IDS[:6], lambda name, rows: engine.logits([1]))
        assert engine.logits(IDS[:3]).shape[0] == 3


def test_an_adapter_adds_its_product_and_can_be_taken_away(tiny_checkpoint: Path) -> None:
    with pocketr1.load(tiny_checkpoint, threads=1) as engine:
        plain = engine.logits(IDS[:5])
        a = np.full((2, 256), 0.05, np.float32)
        b = np.full((256, 2), 0.05, np.float32)
        engine.set_adapter("layers.0.q.weight", a, b)
        assert not np.array_equal(engine.logits(IDS[:5]), plain)
        engine.clear_adapter("layers.0.q.weight")
        np.testing.assert_array_equal(engine.logits(IDS[:5]), plain)
        with pytest.raises(UsageError):
            engine.set_adapter("layers.0.q.weight", b, a)
        with pytest.raises(UsageError):
            engine.set_adapter("layers.99.q.weight", a, b)


def test_arrays_outlive_the_engine(tiny_bundle: Path) -> None:
    engine = pocketr1.load(tiny_bundle, threads=1)
    with engine.sequence() as sequence:
        row = sequence.append(IDS[:4])
    expected = row.copy()
    chunk = next(engine.logits_chunks(IDS[:4]))
    engine.close()
    del engine
    gc.collect()
    np.empty(1_000_000).fill(1)
    np.testing.assert_array_equal(row, expected)
    np.testing.assert_array_equal(chunk[3], expected)


def test_another_thread_may_only_cancel(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        codes = []

        def work() -> None:
            engine.cancel()
            try:
                engine.logits([1])
            except EngineError as error:
                codes.append(error.code)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert codes == ["engine-thread"]
        assert engine.logits([1]).shape == (1, 512)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_is_told_so_and_can_still_leave(tiny_bundle: Path) -> None:
    # In a process of its own: the child runs Python's whole shutdown, destructors included.
    code = f"""
import os, sys, warnings, pocketr1
warnings.simplefilter("ignore")
engine = pocketr1.load({str(tiny_bundle)!r}, threads=2)
sequence = engine.sequence()
sequence.append([1, 2, 3])
child = os.fork()
if child == 0:
    try:
        engine.logits([1])
    except pocketr1.EngineError as error:
        print(error.code, flush=True)
    del engine, sequence
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(engine.logits([1]).shape)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.split("\n")[:2] == ["engine-forked", "(1, 512)"], run.stderr


def test_other_threads_of_python_run_while_a_step_computes(tiny_checkpoint: Path) -> None:
    with pocketr1.load(tiny_checkpoint, threads=1) as engine:
        done = threading.Event()
        beats = 0

        def beat() -> None:
            nonlocal beats
            while not done.is_set():
                beats += 1
                time.sleep(0.001)

        thread = threading.Thread(target=beat)
        thread.start()
        sequence = engine.sequence()
        before = beats
        sequence.append((IDS * 4)[:500])
        during = beats - before
        done.set()
        thread.join()
        assert during >= 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"threads": 0}, "threads-value"),
        ({"threads": 257}, "threads-value"),
        ({"threads": 1.5}, "threads-value"),
        ({"max_context": 0}, "max-context-value"),
        ({"max_context": 5000}, "max-context-value"),
        ({"kv_format": "f8"}, "kv-format-value"),
        ({"device": "npu"}, "device-value"),
    ],
)
def test_bad_options_are_refused(tiny_bundle: Path, options: dict[str, object], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        pocketr1.load(tiny_bundle, **options)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.what and caught.value.mend


def test_an_instruction_set_that_does_not_exist_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError) as caught:
        pocketr1.load(tiny_bundle, threads=1, isa="mmx")
    assert caught.value.code == "isa-unsupported"


def test_a_path_that_is_no_model_is_told_apart(tmp_path: Path, tiny_bundle: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "bundle.json").write_text("{}")
    for path, code in (
        (tmp_path / "nothing", "model-missing"),
        (file, "model-not-a-directory"),
        (tmp_path / "empty", "model-unknown"),
    ):
        with pytest.raises(EngineError) as caught:
            pocketr1.load(path)
        assert caught.value.code == code
    with pytest.raises(BundleError):
        pocketr1.load(broken)


def test_the_shipped_model_is_found_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pocketr1.load("tiny", threads=1) as engine:
        assert engine.path.name == "tiny-r1"
        assert engine.spec.hidden_size == 256


def test_inspecting_tells_bundle_from_checkpoint(tiny_bundle: Path, tiny_checkpoint: Path) -> None:
    packed, source = pocketr1.inspect(tiny_bundle, verify=True), pocketr1.inspect(tiny_checkpoint)
    assert (packed.kind, source.kind) == ("bundle", "checkpoint")
    assert packed.parameters == source.parameters
    assert packed.verified and not source.verified
    assert source.bits_per_weight == 16
    assert 4.25 < packed.bits_per_weight < 4.5
    assert packed.kv_bytes_per_token == source.kv_bytes_per_token == 2048
    assert {t.name for t in packed.tensors} == {t.name for t in source.tensors}
    with pytest.raises(UsageError) as caught:
        pocketr1.inspect(tiny_checkpoint, verify=True)
    assert caught.value.code == "verify-checkpoint"
