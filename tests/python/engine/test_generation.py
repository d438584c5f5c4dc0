from __future__ import annotations

import gc

import numpy as np
import pytest
from toy_core import END, VOCAB, ToySession, prefix_logits

from pocketr1.engine import Engine, Sampling
from pocketr1.errors import ContextFullError, EngineError, UsageError

GREEDY = Sampling(temperature=0.0)


def greedy_tokens(prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(np.argmax(prefix_logits(tokens))))
    return tokens[len(prompt) :]


def prompt_that(ends: bool, count: int = 12) -> list[int]:
    """Return a prompt whose greedy answer does or does not hold END within ``count`` tokens."""
    return next([p] for p in range(VOCAB) if (END in greedy_tokens([p], count)) == ends)


class Letters:
    """Detokenizer of the toy vocabulary: token 0 is ``a``, 1 is ``b``, …"""

    def feed(self, token_id: int) -> str:
        return chr(ord("a") + token_id)

    def finish(self) -> str:
        return "!"


def test_greedy_tokens_are_the_best_of_each_row(engine: Engine) -> None:
    prompt = prompt_that(ends=False)
    generation = engine.generate(prompt, GREEDY, max_tokens=12)
    assert [token.id for token in generation] == greedy_tokens(prompt, 12)
    assert (generation.finish_reason, generation.context_full) == ("length", False)
    assert generation.prompt_tokens == 1
    assert len(generation.token_ids) == 12


def test_the_end_of_text_token_stops_and_is_not_yielded(engine: Engine) -> None:
    prompt = prompt_that(ends=True)
    expected = greedy_tokens(prompt, 12)
    generation = engine.generate(prompt, GREEDY, max_tokens=12)
    assert [token.id for token in generation] == expected[: expected.index(END)]
    assert generation.finish_reason == "stop"


def test_end_of_text_can_be_ignored_or_chosen(engine: Engine) -> None:
    prompt = prompt_that(ends=True)
    expected = greedy_tokens(prompt, 12)
    ignoring = engine.generate(prompt, GREEDY, max_tokens=12, stop_token_ids=())
    assert [token.id for token in ignoring] == expected
    chosen = engine.generate(prompt, GREEDY, max_tokens=12, stop_token_ids={expected[0]})
    assert list(chosen) == []
    assert chosen.finish_reason == "stop"


def test_a_full_context_ends_the_text_and_says_so(engine: Engine) -> None:
    generation = engine.generate([1] * 46, GREEDY, stop_token_ids=())
    # Tokens 46 and 47 fill the context of 48; the last one's own logits still choose another.
    assert len(list(generation)) == 3
    assert (generation.finish_reason, generation.context_full) == ("length", True)
    full = engine.generate([1] * 48, GREEDY, stop_token_ids=())
    assert len(list(full)) == 1
    assert (full.finish_reason, full.context_full) == ("length", True)


def test_the_reason_is_known_with_the_last_token(engine: Engine) -> None:
    generation = engine.generate(prompt_that(ends=False), GREEDY, max_tokens=2)
    next(generation)
    assert generation.finish_reason is None
    next(generation)
    assert generation.finish_reason == "length"


def test_pages_are_freed_when_it_ends_and_when_it_is_abandoned(
    engine: Engine, session: ToySession
) -> None:
    list(engine.generate([1], GREEDY, max_tokens=3, stop_token_ids=()))
    assert not session.sequences
    generation = engine.generate([1], GREEDY, stop_token_ids=())
    next(generation)
    assert len(session.sequences) == 1
    del generation
    gc.collect()
    assert not session.sequences
    with engine.generate([1], GREEDY, stop_token_ids=()) as closing:
        next(closing)
    assert closing.finish_reason == "closed"
    assert not session.sequences
    assert list(closing) == []


def test_nothing_is_computed_before_the_first_token_is_asked_for(
    engine: Engine, session: ToySession
) -> None:
    engine.generate([1, 2, 3])
    assert session.rows_computed == 0


def test_a_sequence_saves_work_and_changes_nothing(engine: Engine, session: ToySession) -> None:
    fresh = [t.id for t in engine.generate([1, 2, 3, 4], GREEDY, max_tokens=4, stop_token_ids=())]
    with engine.sequence() as sequence:
        sequence.append([1, 2, 9, 9])
        session.rows_computed = 0
        generation = engine.generate(
            [1, 2, 3, 4], GREEDY, max_tokens=4, stop_token_ids=(), sequence=sequence
        )
        assert [token.id for token in generation] == fresh
        assert generation.reused_tokens == 2
        assert session.rows_computed == 2 + 3
        assert sequence.tokens == (1, 2, 3, 4, *fresh[:3])


def test_the_whole_prompt_held_already_still_gives_logits(
    engine: Engine, session: ToySession
) -> None:
    with engine.sequence() as sequence:
        sequence.append([1, 2, 3, 7, 7])
        generation = engine.generate(
            [1, 2, 3], GREEDY, max_tokens=1, stop_token_ids=(), sequence=sequence
        )
        assert [token.id for token in generation] == [int(np.argmax(prefix_logits([1, 2, 3])))]
        assert generation.reused_tokens == 2


def test_a_sequence_of_another_engine_or_in_other_hands_is_refused(
    engine: Engine, session: ToySession
) -> None:
    from pathlib import Path

    from toy_core import ToyModel

    other = Engine(ToyModel(), ToySession(), Path("other"))  # type: ignore[arg-type]
    with pytest.raises(UsageError) as foreign:
        engine.generate([1], sequence=other.sequence())
    assert foreign.value.code == "sequence-foreign"
    sequence = engine.sequence()
    generation = engine.generate([1], GREEDY, sequence=sequence, stop_token_ids=())
    next(generation)
    sequence.truncate(0)
    with pytest.raises(EngineError) as taken:
        next(generation)
    assert taken.value.code == "sequence-taken"
    assert generation.finish_reason == "closed"


def test_interleaved_generations_do_not_disturb_each_other(engine: Engine) -> None:
    alone = [
        [t.id for t in engine.generate([p], GREEDY, max_tokens=5, stop_token_ids=())]
        for p in (1, 2)
    ]
    both = [engine.generate([p], GREEDY, max_tokens=5, stop_token_ids=()) for p in (1, 2)]
    pairs = [[next(g).id for g in both] for _ in range(5)]
    assert [list(ids) for ids in zip(*pairs, strict=True)] == alone


def test_cancelling_ends_it_with_what_there_is(engine: Engine, session: ToySession) -> None:
    generation = engine.generate([1], GREEDY, stop_token_ids=())
    first = next(generation)
    session.before_step = engine.cancel
    assert list(generation) == []
    assert generation.finish_reason == "cancelled"
    assert generation.token_ids == [first.id]
    assert not session.sequences


def test_cancelling_between_two_tokens_counts_too(engine: Engine) -> None:
    generation = engine.generate([1], GREEDY, stop_token_ids=())
    next(generation)
    engine.cancel()
    assert list(generation) == []
    assert generation.finish_reason == "cancelled"
    later = engine.generate([1], GREEDY, max_tokens=2, stop_token_ids=())
    assert len(list(later)) == 2


def test_the_seed_is_kept_or_reported(engine: Engine) -> None:
    given = engine.generate([1], Sampling(seed=11), max_tokens=8, stop_token_ids=())
    assert given.seed == 11
    chosen = engine.generate([1], max_tokens=8, stop_token_ids=())
    ids = [t.id for t in chosen]
    again = engine.generate([1], Sampling(seed=chosen.seed), max_tokens=8, stop_token_ids=())
    assert [t.id for t in again] == ids


def test_the_index_makes_another_answer_of_the_same_seed(engine: Engine) -> None:
    def answer(index: int) -> list[int]:
        options = Sampling(seed=3, temperature=1.0)
        generation = engine.generate([1], options, max_tokens=8, index=index, stop_token_ids=())
        return [t.id for t in generation]

    assert answer(0) == answer(0)
    assert answer(0) != answer(1)


def test_a_stop_string_ends_the_text_before_it(engine: Engine) -> None:
    prompt = prompt_that(ends=False)
    letters = "".join(chr(ord("a") + token) for token in greedy_tokens(prompt, 12))
    stop = letters[4:6]
    generation = engine.generate(prompt, GREEDY, max_tokens=12, stop=[stop], detokenizer=Letters())
    text = "".join(token.text for token in generation) + generation.tail
    assert text == letters[: letters.index(stop)]
    assert generation.finish_reason == "stop"
    assert generation.stop_string == stop


def test_text_held_back_for_a_stop_string_comes_out_at_the_end(engine: Engine) -> None:
    prompt = prompt_that(ends=False)
    letters = "".join(chr(ord("a") + token) for token in greedy_tokens(prompt, 3))
    generation = engine.generate(
        prompt, GREEDY, max_tokens=3, stop=letters[-1] + "?", detokenizer=Letters()
    )
    assert "".join(token.text for token in generation) == letters[:-1]
    assert generation.finish_reason == "length"
    assert generation.tail == letters[-1] + "!"


def test_stop_strings_without_text_are_refused(engine: Engine) -> None:
    with pytest.raises(UsageError) as caught:
        engine.generate([1], stop=["x"])
    assert caught.value.code == "stop-needs-detokenizer"
    with pytest.raises(UsageError, match="stop string"):
        engine.generate([1], stop=[""], detokenizer=Letters())


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", 0), ("max_tokens", 1.5), ("max_tokens", True), ("index", -1), ("index", "0")],
)
def test_counts_are_checked(engine: Engine, name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        engine.generate([1], **{name: value})  # type: ignore[arg-type]
    assert caught.value.params["value"] == value


def test_a_prompt_that_fills_the_context_exactly_is_taken(engine: Engine) -> None:
    engine.generate([1] * 48)
    with pytest.raises(ContextFullError):
        engine.generate([1] * 49)


def test_given_tokens_come_next_and_the_text_goes_on_from_them(engine: Engine) -> None:
    prompt = prompt_that(ends=False)
    generation = engine.generate(prompt, GREEDY, max_tokens=12, stop_token_ids=())
    first = [next(generation).id, next(generation).id]
    given = [(first[1] + 3) % VOCAB, (first[0] + 1) % VOCAB]
    generation.force(given[:1])
    generation.force(given[1:])
    rest = [token.id for token in generation]
    assert rest[:2] == given
    assert rest[2:] == greedy_tokens([*prompt, *first, *given], 8)
    assert generation.token_ids == [*first, *rest]


def test_given_tokens_may_come_first(engine: Engine) -> None:
    generation = engine.generate([1, 2], GREEDY, max_tokens=5, stop_token_ids=())
    generation.force([4, 4])
    assert [token.id for token in generation] == [4, 4, *greedy_tokens([1, 2, 4, 4], 3)]


def test_given_tokens_use_up_no_random_numbers(engine: Engine) -> None:
    sampling = Sampling(temperature=1.0, seed=5)
    generation = engine.generate([1, 2], sampling, max_tokens=9, stop_token_ids=())
    generation.force([4, 6])
    after = [token.id for token in generation][2:]
    plain = engine.generate([1, 2, 4, 6], sampling, max_tokens=7, stop_token_ids=())
    assert [token.id for token in plain] == after


def test_limits_and_ends_hold_for_given_tokens(engine: Engine) -> None:
    short = engine.generate([1], GREEDY, max_tokens=2, stop_token_ids=())
    short.force([3, 4, 5])
    assert [token.id for token in short] == [3, 4]
    assert short.finish_reason == "length"
    ended = engine.generate([1], GREEDY)
    ended.force([3 if END != 3 else 4, END, 5])
    assert len(list(ended)) == 1
    assert ended.finish_reason == "stop"
    stopped = engine.generate([1], GREEDY, stop="de", detokenizer=Letters(), stop_token_ids=())
    stopped.force([2, 3, 4, 5])
    assert "".join(token.text for token in stopped) == "c"
    assert (stopped.finish_reason, stopped.stop_string) == ("stop", "de")


@pytest.mark.parametrize("ids", [[VOCAB], [-1], "ab", [], [1.5]])
def test_given_tokens_that_cannot_be_are_refused(engine: Engine, ids: list[int]) -> None:
    generation = engine.generate([1], GREEDY, max_tokens=3, stop_token_ids=())
    with pytest.raises(UsageError):
        generation.force(ids)
    assert [token.id for token in generation] == greedy_tokens([1], 3)
