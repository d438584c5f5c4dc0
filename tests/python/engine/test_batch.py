"""Many answers at once are, bit for bit, the answers one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

import pocketr1
from pocketr1.engine import Completion, Engine

PROMPTS = [[3, 1, 4, 1, 5], [9], list(range(2, 90)), [6, 5], [3, 5, 8, 9, 7], [9, 3, 2]]


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return pocketr1.load(tiny_bundle, max_context=100)


def one_by_one(engine: Engine, sampling: pocketr1.Sampling, max_tokens: int) -> list[Completion]:
    completions = []
    for index, ids in enumerate(PROMPTS):
        generation = engine.generate(ids, sampling, max_tokens=max_tokens, index=index)
        tokens = tuple(token.id for token in generation)
        assert generation.finish_reason is not None
        completions.append(
            Completion(index, tokens, generation.finish_reason, generation.context_full)
        )
    return completions


@pytest.mark.parametrize("batch", [1, 2, 5, 64])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batching_changes_no_answer(engine: Engine, batch: int, temperature: float) -> None:
    sampling = pocketr1.Sampling(temperature=temperature, seed=7)
    together = engine.generate_many(PROMPTS, sampling, max_tokens=20, batch=batch)

    by_number = sorted(together, key=lambda completion: completion.index)

    assert by_number == one_by_one(engine, sampling, 20)


def test_answers_come_as_they_end_and_make_room_for_the_next(engine: Engine) -> None:
    read = []

    def prompts() -> object:
        for number, ids in enumerate(PROMPTS):
            read.append(number)
            yield ids

    completions = engine.generate_many(prompts(), max_tokens=20, batch=2)  # type: ignore[arg-type]
    assert read == []

    next(completions)

    assert len(read) <= 4


def test_the_third_prompt_fills_the_context_and_says_so(engine: Engine) -> None:
    completions = engine.generate_many(PROMPTS, max_tokens=30, stop_token_ids=())

    full = {completion.index: completion.context_full for completion in completions}

    assert full == {0: False, 1: False, 2: True, 3: False, 4: False, 5: False}


def test_a_stop_token_ends_an_answer_and_is_not_part_of_it(engine: Engine) -> None:
    greedy = pocketr1.Sampling(temperature=0.0)
    (whole,) = engine.generate_many(PROMPTS[:1], greedy, max_tokens=10)
    end = whole.token_ids[4]

    (stopped,) = engine.generate_many(PROMPTS[:1], greedy, max_tokens=10, stop_token_ids=[end])

    assert stopped.finish_reason == "stop"
    assert stopped.token_ids == whole.token_ids[: whole.token_ids.index(end)]


def test_it_is_told_after_each_step_how_many_tokens_that_were(engine: Engine) -> None:
    told: list[int] = []
    completions = list(
        engine.generate_many(
            PROMPTS, max_tokens=20, stop_token_ids=(), batch=2, advance=told.append
        )
    )
    made = sum(len(completion.token_ids) for completion in completions)
    assert sum(told) == sum(map(len, PROMPTS)) + made
    assert len(told) > len(PROMPTS)


def test_closing_the_iterator_frees_the_pages(engine: Engine) -> None:
    list(engine.generate_many(PROMPTS, max_tokens=5, batch=6))
    before = engine.kv_bytes
    for _ in range(5):
        completions = engine.generate_many(PROMPTS, max_tokens=5, batch=6)
        next(completions)
        completions.close()  # type: ignore[attr-defined]
    list(engine.generate_many(PROMPTS, max_tokens=5, batch=6))

    assert engine.kv_bytes == before


def test_cancelling_ends_all_of_them(engine: Engine) -> None:
    completions = engine.generate_many(PROMPTS, max_tokens=20, batch=2)
    next(completions)
    engine.cancel()

    with pytest.raises(pocketr1.CancelledError):
        list(completions)
    assert len(list(engine.generate_many(PROMPTS[:2], max_tokens=2))) == 2


def test_cancelling_ends_them_between_answers_of_one_token_too(engine: Engine) -> None:
    completions = engine.generate_many(PROMPTS, max_tokens=1)
    next(completions)
    engine.cancel()

    with pytest.raises(pocketr1.CancelledError):
        next(completions)


def test_cancelling_ends_what_was_asked_for_and_not_yet_begun(engine: Engine) -> None:
    completions = engine.generate_many(PROMPTS, max_tokens=2)
    engine.cancel()

    with pytest.raises(pocketr1.CancelledError):
        next(completions)


def test_a_bad_prompt_behind_good_ones_raises_and_frees_their_pages(engine: Engine) -> None:
    list(engine.generate_many(PROMPTS, max_tokens=5, batch=6))
    before = engine.kv_bytes
    for _ in range(5):
        with pytest.raises(pocketr1.ContextFullError):
            list(engine.generate_many([*PROMPTS[:5], [1] * 101], max_tokens=5, batch=6))
    list(engine.generate_many(PROMPTS, max_tokens=5, batch=6))

    assert engine.kv_bytes == before


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_of_no_size_is_refused(engine: Engine, batch: int) -> None:
    with pytest.raises(pocketr1.UsageError, match="1"):
        engine.generate_many(PROMPTS, batch=batch)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_given_tokens_come_where_they_are_given_and_nowhere_else(
    engine: Engine, batch: int
) -> None:
    sampling = pocketr1.Sampling(temperature=1.0, seed=7)

    def watch(generation: pocketr1.Generation) -> None:
        if generation.index in (1, 2) and len(generation.token_ids) == 4:
            generation.force([9, generation.index])

    together = engine.generate_many(
        PROMPTS, sampling, max_tokens=12, batch=batch, stop_token_ids=(), watch=watch
    )
    for completion in together:
        index, ids = completion.index, PROMPTS[completion.index]
        plain = engine.generate(ids, sampling, max_tokens=12, stop_token_ids=(), index=index)
        for _ in plain:
            watch(plain)
        assert completion.token_ids == tuple(plain.token_ids)
        assert (completion.token_ids[4:6] == (9, index)) == (index in (1, 2))


def test_within_a_memory_budget_answers_share_the_planned_pages(tiny_bundle: Path) -> None:
    sampling = pocketr1.Sampling(temperature=1.0, seed=7)
    prompts = [[3, 1, 4, 1, n] for n in range(6)]
    with pocketr1.load(tiny_bundle, max_context=200, memory_budget="400MB") as planned:
        together = list(planned.generate_many(prompts, sampling, max_tokens=150, stop_token_ids=()))
        assert planned.plan is not None
        assert planned.kv_bytes <= planned.plan.kv
        assert len(together) == 6
        for completion in together:
            alone = planned.generate(
                prompts[completion.index],
                sampling,
                max_tokens=150,
                stop_token_ids=(),
                index=completion.index,
            )
            assert completion.token_ids == tuple(token.id for token in alone)
