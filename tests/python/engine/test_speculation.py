"""Speculation changes what a text costs, never the text: over the toy core, whose logits depend on
every token of the prefix, and drafters that are right and wrong where the test wants them to be.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_core import END, SPEC, VOCAB, ToyModel, ToySession

from pocketr1.engine import Engine, Generation, Sampling, Speculation
from pocketr1.errors import EngineError, PocketR1Error, UsageError

GREEDY = Sampling(temperature=0.0)
PROMPT = [1, 2, 3]


def toy_engine(max_context: int = 48) -> Engine:
    return Engine(ToyModel(), ToySession(max_context), Path("toy"))  # type: ignore[arg-type]


class Scripted:
    """Drafts ``text`` itself, except at the places that are to be wrong."""

    def __init__(self, text: Sequence[int], wrong: Sequence[int] = ()) -> None:
        self.text = [(t + 1) % VOCAB if i in wrong else t for i, t in enumerate(text)]
        self.closed = 0

    def propose(self, history: np.ndarray, most: int) -> list[int]:
        return self.text[len(history) :][:most]

    def close(self) -> None:
        self.closed += 1


def plain_text(prompt: list[int], sampling: Sampling = GREEDY, **options: Any) -> list[int]:
    """Return the prompt and what plain decoding writes behind it, to the end of the context."""
    options = {"stop_token_ids": ()} | options
    return prompt + [t.id for t in toy_engine().generate(prompt, sampling, **options)]


def drafting(drafter: Any, most: int = 4) -> Speculation:
    return Speculation(drafter, max_tokens=most, adaptive=False)


class Letters:
    """Detokenizer of the toy vocabulary: token 0 is ``a``, 1 is ``b``, …"""

    def feed(self, token_id: int) -> str:
        return chr(ord("a") + token_id)

    def finish(self) -> str:
        return "!"


def outcome(generation: Generation, read: int | None = None) -> dict[str, Any]:
    """Read the generation, at most ``read`` tokens of it, and say all that came."""
    tokens = []
    while (read is None or len(tokens) < read) and (token := next(generation, None)) is not None:
        tokens.append((token.id, token.text, generation.finish_reason))
    generation.close()
    return {
        "tokens": tokens,
        "ids": generation.token_ids,
        "reason": generation.finish_reason,
        "tail": generation.tail,
        "stop": generation.stop_string,
        "reused": generation.reused_tokens,
    }


@settings(deadline=None)
@given(
    prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=48),
    seed=st.integers(0, 99),
    temperature=st.sampled_from([0.0, 1.0]),
    max_tokens=st.none() | st.integers(1, 30),
    stop_token_ids=st.sampled_from([None, (), (2, END, 9)]),
    stop=st.sampled_from([(), ("cd",), ("h", "bb")]),
    wrong=st.sets(st.integers(0, 48)),
    most=st.integers(1, 10),
    adaptive=st.booleans(),
    read=st.none() | st.integers(0, 40),
)
def test_everything_is_as_without_speculation(  # type: ignore[no-untyped-def]
    prompt, seed, temperature, max_tokens, stop_token_ids, stop, wrong, most, adaptive, read
) -> None:
    sampling = Sampling(temperature=temperature, seed=seed)
    options = {
        "max_tokens": max_tokens,
        "stop_token_ids": stop_token_ids,
        "stop": stop,
        "index": 3,
    }
    plain, fast = toy_engine(), toy_engine()
    held, kept = plain.sequence(), fast.sequence()
    for sequence in (held, kept):
        sequence.append([1, 2, 3, 4])
    text = plain_text(prompt, sampling, index=3)
    drafter = Scripted(text, wrong)
    expected = outcome(
        plain.generate(prompt, sampling, detokenizer=Letters(), sequence=held, **options), read
    )
    generation = fast.generate(
        prompt,
        sampling,
        detokenizer=Letters(),
        sequence=kept,
        speculation=Speculation(drafter, max_tokens=most, adaptive=adaptive),
        **options,
    )
    assert outcome(generation, read) == expected
    assert kept.tokens == held.tokens
    counts = generation.speculated
    assert counts is not None
    assert counts.drafted == counts.accepted + counts.rejected
    assert counts.steps + counts.accepted == max(len(held.tokens) - len(prompt), 0) or read == 0
    assert drafter.closed == 1
    # The next turn, over what was left.
    turn = [*held.tokens[:20], 7]
    for engine, sequence in ((plain, held), (fast, kept)):
        generation = engine.generate(turn, GREEDY, max_tokens=3, sequence=sequence)
        assert [t.id for t in generation] == [
            t.id for t in toy_engine().generate(turn, GREEDY, max_tokens=3)
        ]


def test_drafted_tokens_are_verified_in_one_step() -> None:
    engine = toy_engine()
    session: Any = engine._session
    text = plain_text(PROMPT)
    drafter = Scripted(text, wrong=[3 + 6])
    generation = engine.generate(
        PROMPT, GREEDY, max_tokens=12, stop_token_ids=(), speculation=drafting(drafter)
    )
    assert [t.id for t in generation] == text[3:15]
    # The prompt; the first token with four drafts (all right), the sixth with four of which the
    # first is wrong, the seventh with four, all right; the last needs no logits of its own.
    assert session.step_sizes == [3, 5, 5, 5]
    counts = generation.speculated
    assert counts is not None
    assert (counts.drafted, counts.accepted, counts.rejected, counts.steps) == (12, 8, 4, 3)


def test_nothing_is_drafted_beyond_the_last_token_asked_for() -> None:
    for max_tokens, max_context, sizes in ((4, 48, [3, 3]), (1, 48, [3]), (None, 5, [3, 2])):
        engine = toy_engine(max_context)
        generation = engine.generate(
            PROMPT,
            GREEDY,
            max_tokens=max_tokens,
            stop_token_ids=(),
            speculation=drafting(Scripted(plain_text(PROMPT)), 8),
        )
        list(generation)
        assert engine._session.step_sizes == sizes  # type: ignore[attr-defined]


def test_what_follows_an_end_of_text_token_is_not_computed() -> None:
    text = plain_text(PROMPT)
    ends = {text[6]}
    engine = toy_engine()
    generation = engine.generate(
        PROMPT,
        GREEDY,
        stop_token_ids=ends,
        speculation=drafting(Scripted(text), 8),
    )
    ids = [t.id for t in generation]
    assert ids == text[3 : 3 + len(ids)]
    assert text[3 + len(ids)] in ends
    assert engine._session.rows_computed == 3 + len(ids)  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad", [[-1], [VOCAB], [10**12], [0] * 99, np.array([3, -7]), ()])
def test_a_drafter_may_propose_anything(bad: Any) -> None:
    class Careless:
        def propose(self, history: np.ndarray, most: int) -> Any:
            return bad

        def close(self) -> None:
            pass

    generation = toy_engine().generate(
        PROMPT, GREEDY, stop_token_ids=(), speculation=drafting(Careless())
    )
    assert PROMPT + [t.id for t in generation] == plain_text(PROMPT)


def test_a_cancel_inside_an_accepted_run_ends_it_there() -> None:
    engine = toy_engine()
    text = plain_text(PROMPT)
    with engine.sequence() as sequence:
        generation = engine.generate(
            PROMPT, GREEDY, sequence=sequence, speculation=drafting(Scripted(text), 8)
        )
        assert [next(generation).id for _ in range(3)] == text[3:6]
        engine.cancel()
        assert list(generation) == []
        assert generation.finish_reason == "cancelled"
        assert sequence.tokens == tuple(text[:5])


def test_a_cancel_inside_the_step_leaves_what_plain_decoding_leaves() -> None:
    engine = toy_engine()
    session: Any = engine._session
    text = plain_text(PROMPT)
    with engine.sequence() as sequence:
        generation = engine.generate(
            PROMPT, GREEDY, sequence=sequence, speculation=drafting(Scripted(text), 8)
        )
        next(generation)
        session.before_step = engine.cancel
        assert list(generation) == []
        session.before_step = None
        assert generation.finish_reason == "cancelled"
        assert sequence.tokens == (1, 2, 3)
        assert session.length(sequence._handle) == 3


def test_a_cancel_while_a_draft_is_written_runs_no_step_any_more() -> None:
    engine = toy_engine()
    session: Any = engine._session
    steps: list[None] = []

    class Cancelling(Scripted):
        def propose(self, history: np.ndarray, most: int) -> list[int]:
            engine.cancel()
            session.before_step = lambda: steps.append(None)
            return super().propose(history, most)

    generation = engine.generate(
        PROMPT, GREEDY, speculation=drafting(Cancelling(plain_text(PROMPT)), 8)
    )
    next(generation)
    assert list(generation) == []
    assert generation.finish_reason == "cancelled"
    assert steps == []


def test_a_sequence_is_as_without_speculation_whenever_one_looks() -> None:
    engine, text = toy_engine(), plain_text(PROMPT)
    with engine.sequence() as sequence:
        generation = engine.generate(
            PROMPT, GREEDY, sequence=sequence, speculation=drafting(Scripted(text), 8)
        )
        for count in range(5):
            next(generation)
            assert sequence.tokens == tuple(text[: 3 + count])
        # Dropped, not closed: the rows ahead are still in the pages, and in nobody's way.
        del generation
        gc.collect()
        np.testing.assert_array_equal(
            sequence.append([9]), toy_engine().sequence().append([*text[:7], 9])
        )
        assert sequence.tokens == (*text[:7], 9)


def test_a_sequence_taken_inside_a_run_is_an_error_as_ever() -> None:
    engine = toy_engine()
    with engine.sequence() as sequence:
        generation = engine.generate(
            PROMPT, GREEDY, sequence=sequence, speculation=drafting(Scripted(plain_text(PROMPT)), 8)
        )
        next(generation)
        next(generation)
        sequence.truncate(2)
        with pytest.raises(EngineError) as caught:
            next(generation)
        assert caught.value.code == "sequence-taken"


def test_pages_and_drafter_are_freed_when_it_is_abandoned() -> None:
    engine = toy_engine()
    drafter = Scripted(plain_text(PROMPT))
    with engine.generate(PROMPT, GREEDY, speculation=drafting(drafter)) as generation:
        next(generation)
        next(generation)
    assert drafter.closed == 1
    assert not engine._session.sequences  # type: ignore[attr-defined]


def test_a_draft_model_writes_ahead_and_is_rolled_back() -> None:
    engine, draft = toy_engine(), toy_engine()
    for sampling in (GREEDY, Sampling(temperature=1.0, seed=4)):
        session: Any = draft._session
        session.rows_computed = 0
        generation = engine.generate(
            PROMPT, sampling, max_tokens=20, stop_token_ids=(), speculation=drafting(draft)
        )
        text = plain_text(PROMPT, sampling)
        assert [t.id for t in generation] == text[3:23]
        counts = generation.speculated
        assert counts is not None
        # The same model with the same random numbers is always right.
        assert counts.accepted == counts.drafted > 0
        # It computes every token of the text once, the last but one included.
        assert session.rows_computed == 3 + 20 - 2
        assert not session.sequences


def test_a_draft_model_that_is_wrong_is_corrected() -> None:
    class Other(ToySession):
        """Right for two prefixes of three."""

        def step(self, *args: Any, **options: Any) -> Any:
            logits = super().step(*args, **options)
            lengths = {len(tokens) for tokens in self.sequences.values()}
            return -logits if max(lengths) % 3 == 0 else logits

    draft = Engine(ToyModel(), Other(), Path("toy"))  # type: ignore[arg-type]
    generation = toy_engine().generate(
        PROMPT, GREEDY, stop_token_ids=(), speculation=drafting(draft)
    )
    assert PROMPT + [t.id for t in generation] == plain_text(PROMPT)
    counts = generation.speculated
    assert counts is not None
    assert counts.accepted > 0
    assert counts.rejected > 0


def test_a_draft_model_with_less_context_stops_drafting() -> None:
    draft = toy_engine(10)
    generation = toy_engine().generate(
        PROMPT, GREEDY, stop_token_ids=(), speculation=drafting(draft)
    )
    assert PROMPT + [t.id for t in generation] == plain_text(PROMPT)
    counts = generation.speculated
    assert counts is not None
    assert counts.accepted == 6  # tokens 5 to 8, 10 and 11


def test_a_draft_model_of_other_tokens_is_refused(tmp_path: Path) -> None:
    class Padded(ToyModel):
        def __init__(self) -> None:
            super().__init__()
            self.spec_json = self.spec_json.replace(f'"vocab_size": {VOCAB}', '"vocab_size": 20')

    def model_with(tokenizer: str | None, model: ToyModel, name: str) -> Engine:
        path = tmp_path / name
        path.mkdir()
        if tokenizer is not None:
            (path / "tokenizer.json").write_text(tokenizer)
        return Engine(model, ToySession(), path)  # type: ignore[arg-type]

    assert SPEC["vocab_size"] == VOCAB
    engine = model_with("one", ToyModel(), "engine")
    padded = model_with("one", Padded(), "padded")
    other = model_with("two", ToyModel(), "other")
    bare, bare_padded = (model_with(None, m, n) for m, n in ((ToyModel(), "a"), (Padded(), "b")))
    for draft in (padded, bare):
        engine.generate(PROMPT, speculation=Speculation(draft))
    for draft in (other, bare_padded):
        with pytest.raises(UsageError) as caught:
            engine.generate(PROMPT, speculation=Speculation(draft))
        assert caught.value.code == "speculation-vocabulary"
    bare.close()
    with pytest.raises(PocketR1Error):
        engine.generate(PROMPT, speculation=Speculation(bare))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"draft": "magic"}, "speculation-draft"),
        ({"draft": 3}, "speculation-draft"),
        ({"max_tokens": 0}, "speculation-tokens"),
        ({"max_tokens": 65}, "speculation-tokens"),
        ({"max_tokens": True}, "speculation-tokens"),
        ({"max_tokens": 2.0}, "speculation-tokens"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Speculation(**options)
    assert caught.value.code == code


def test_without_speculation_there_are_no_counts() -> None:
    assert toy_engine().generate(PROMPT).speculated is None
