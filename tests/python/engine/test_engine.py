from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable

import numpy as np
import pytest
from toy_core import VOCAB, ToyModel, ToySession, prefix_logits

from pocketr1.engine import Engine
from pocketr1.engine import engine as engine_module
from pocketr1.errors import CancelledError, ContextFullError, EngineError, UsageError


def in_thread(work: Callable[[], object]) -> BaseException | None:
    """Run ``work`` in another thread, return what it raised."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run, name="other")
    thread.start()
    thread.join()
    return caught[0] if caught else None


def test_logits_have_one_row_per_token(engine: Engine) -> None:
    ids = [1, 2, 3, 4]
    logits = engine.logits(ids)
    assert logits.shape == (4, VOCAB)
    assert logits.dtype == np.float32
    for row in range(4):
        np.testing.assert_array_equal(logits[row], prefix_logits(ids[: row + 1]))


@pytest.mark.parametrize("rows", [1, 3, 128])
def test_chunks_of_logits_are_the_same_rows(engine: Engine, rows: int) -> None:
    ids = list(range(10))
    chunks = list(engine.logits_chunks(ids, rows=rows))
    assert all(len(chunk) <= rows for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), engine.logits(ids))


def test_logits_and_chunks_leave_no_sequence_behind(engine: Engine, session: ToySession) -> None:
    engine.logits([1, 2])
    chunks = engine.logits_chunks([1, 2, 3], rows=1)
    next(chunks)
    assert len(session.sequences) == 1
    del chunks
    assert not session.sequences


def test_logits_too_large_for_one_array_name_the_way_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "LOGITS_LIMIT_BYTES", 4 * VOCAB * 3)
    engine.logits([1, 2, 3])
    with pytest.raises(UsageError, match="logits_chunks") as caught:
        engine.logits([1, 2, 3, 4])
    assert caught.value.params["limit"] == 3


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "prompt-empty"),
        (np.empty(0, np.int64), "prompt-empty"),
        ("text", "prompt-type"),
        (b"text", "prompt-type"),
        ([1.5, 2.0], "prompt-type"),
        ([[1, 2]], "prompt-type"),
        ([True, False], "prompt-type"),
        ([None], "prompt-type"),
        ([2**70], "prompt-type"),
        (3, "prompt-type"),
        ([1, VOCAB], "token-out-of-range"),
        ([-1], "token-out-of-range"),
        (np.array([VOCAB], np.uint64), "token-out-of-range"),
    ],
)
def test_bad_token_ids_are_refused(engine: Engine, ids: object, code: str) -> None:
    for call in (engine.logits, engine.logits_chunks, engine.generate):
        with pytest.raises(UsageError) as caught:
            call(ids)  # type: ignore[operator]
        assert caught.value.code == code
        assert caught.value.what
        assert caught.value.mend


def test_an_id_out_of_range_is_named_with_its_place(engine: Engine) -> None:
    with pytest.raises(UsageError) as caught:
        engine.logits([1, 2, 99, 100])
    assert caught.value.params["token"] == 99
    assert caught.value.params["place"] == 2


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
def test_any_integer_array_is_taken(engine: Engine, dtype: type) -> None:
    np.testing.assert_array_equal(
        engine.logits(np.array([1, 2], dtype)), engine.logits(i for i in (1, 2))
    )


def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    for call in (engine.logits, engine.logits_chunks, engine.generate):
        with pytest.raises(ContextFullError) as caught:
            call([1] * 49)  # type: ignore[operator]
        assert caught.value.params == {"tokens": 49, "limit": 48}


def test_a_long_prompt_goes_in_steps_that_can_be_cancelled_between(
    engine: Engine, session: ToySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_PREFILL_ROWS", 4)
    sequence = engine.sequence()
    logits = sequence.append(range(10))
    assert session.step_sizes == [4, 4, 2]
    np.testing.assert_array_equal(logits, prefix_logits(list(range(10))))
    session.before_step = lambda: engine.cancel() if session.rows_computed == 14 else None
    with pytest.raises(CancelledError):
        sequence.append([1] * 10)
    assert sequence.tokens == tuple(range(10))
    assert session.length(1) == 10


def test_cancel_from_another_thread_ends_the_running_call_only(
    engine: Engine, session: ToySession
) -> None:
    session.before_step = lambda: in_thread(engine.cancel)  # type: ignore[assignment, return-value]
    with pytest.raises(CancelledError):
        engine.logits([1, 2, 3])
    assert not session.sequences
    session.before_step = None
    assert engine.logits([1, 2, 3]).shape == (3, VOCAB)


def test_a_cancel_that_comes_too_late_does_not_hit_the_next_call(
    engine: Engine, session: ToySession
) -> None:
    session.cancel()
    assert engine.logits([1, 2, 3]).shape == (3, VOCAB)


def test_another_thread_is_refused_by_name(engine: Engine) -> None:
    sequence = engine.sequence()
    for call in (
        lambda: engine.logits([1]),
        lambda: engine.generate([1]),
        lambda: engine.sequence(),
        lambda: engine.kv_bytes,
        lambda: engine.close(),
        lambda: sequence.append([1]),
        lambda: sequence.truncate(0),
    ):
        error = in_thread(call)
        assert isinstance(error, EngineError)
        assert error.code == "engine-thread"
        assert "'other'" in error.what


def test_ownership_can_be_taken_by_another_thread(engine: Engine) -> None:
    def work() -> None:
        engine.take_ownership()
        engine.logits([1])

    assert in_thread(work) is None
    with pytest.raises(EngineError, match="take_ownership"):
        engine.logits([1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told_so(engine: Engine) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine.logits([1])
        except EngineError as error:
            os.write(writer, error.code.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"engine-forked"
    os.close(reader)


def test_a_sequence_dropped_in_another_thread_is_freed_by_the_owner(
    engine: Engine, session: ToySession
) -> None:
    kept = [engine.sequence()]
    in_thread(kept.clear)
    assert len(session.sequences) == 1
    engine.logits([1])
    assert not session.sequences


def test_dropping_or_closing_a_sequence_frees_its_pages(
    engine: Engine, session: ToySession
) -> None:
    first, second = engine.sequence(), engine.sequence()
    first.close()
    first.close()
    assert len(session.sequences) == 1
    del second
    gc.collect()
    assert not session.sequences
    with pytest.raises(EngineError) as caught:
        first.append([1])
    assert caught.value.code == "sequence-closed"


def test_a_sequence_rolls_back(engine: Engine) -> None:
    with engine.sequence() as sequence:
        sequence.append([1, 2, 3])
        sequence.truncate(1)
        assert sequence.tokens == (1,)
        np.testing.assert_array_equal(sequence.append([4]), prefix_logits([1, 4]))
        for length in (-1, 3, 1.0, True):
            with pytest.raises(UsageError) as caught:
                sequence.truncate(length)  # type: ignore[arg-type]
            assert caught.value.code == "truncate-length"


def test_a_sequence_that_would_overflow_stays_as_it_was(engine: Engine) -> None:
    with engine.sequence() as sequence:
        sequence.append([1] * 40)
        with pytest.raises(ContextFullError):
            sequence.append([1] * 9)
        assert len(sequence) == 40
        sequence.append([1] * 8)


def test_layer_inputs_reach_the_visitor_which_may_not_call_back(engine: Engine) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []
    engine.layer_inputs([1, 2, 3], lambda name, rows: seen.append((name, rows.shape)))
    assert seen == [("layers.0.q.weight", (3, 8))]
    with pytest.raises(EngineError) as caught:
        engine.layer_inputs([1], lambda name, rows: engine.logits([1]))
    assert caught.value.code == "engine-busy"


def test_an_adapter_reaches_the_model_as_float32(engine: Engine) -> None:
    engine.set_adapter("layers.0.q.weight", np.ones((2, 8)), np.ones((8, 2)))  # type: ignore[arg-type]
    model = engine._model
    assert isinstance(model, ToyModel)
    assert model.adapters["layers.0.q.weight"][0].dtype == np.float32
    engine.clear_adapter("layers.0.q.weight")
    assert not model.adapters


def test_a_closed_engine_says_so_and_closes_twice(engine: Engine) -> None:
    sequence = engine.sequence()
    logits = engine.logits([1])
    with engine:
        pass
    engine.close()
    engine.cancel()
    sequence.close()
    np.testing.assert_array_equal(logits[0], prefix_logits([1]))
    for call in (lambda: engine.logits([1]), lambda: sequence.append([1])):
        with pytest.raises(EngineError) as caught:
            call()
        assert caught.value.code in {"engine-closed", "sequence-closed"}
