"""A full context: a text that stops there, or slides on with its first tokens and its newest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_core import ToySession, prefix_logits

import pocketr1
from pocketr1.engine import Completion, Engine, Sampling, Speculation
from pocketr1.engine.window import FullContext, Window
from pocketr1.errors import ContextFullError, UsageError

GREEDY = Sampling(temperature=0.0)
CONTEXT = 48  # of the toy session


def seen_by_rule(text: list[int], limit: int, prompt: int) -> list[int]:
    """Drop half of the room behind the first tokens whenever the text outgrows the context."""
    first = prompt if prompt <= limit // 2 else min(4, limit // 2)
    seen, behind = list(text[:limit]), text[limit:]
    for token in behind:
        if len(seen) == limit:
            del seen[first : first + max(1, (limit - first) // 2)]
        seen.append(token)
    return seen


def greedy_sliding(prompt: list[int], count: int) -> list[int]:
    text = list(prompt)
    for _ in range(count):
        seen = seen_by_rule(text, CONTEXT, len(prompt))
        text.append(int(np.argmax(prefix_logits(seen))))
    return text[len(prompt) :]


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 48, 101])
@pytest.mark.parametrize("prompt", [1, 3, 20, 60, 300])
def test_what_is_seen_is_what_dropping_half_again_and_again_leaves(limit: int, prompt: int) -> None:
    text = np.arange(prompt + 3 * limit + 7, dtype=np.int32)
    window = Window(limit, prompt)
    for length in range(prompt, len(text) + 1):
        seen = window.of(text[:length])
        assert seen.tolist() == seen_by_rule(text[:length].tolist(), limit, prompt)
        assert 1 <= len(seen) <= limit
        assert seen[-1] == length - 1
        assert window.dropped(length) == length - len(seen)


@pytest.mark.parametrize("prompt", [[1, 2, 3], [4] * 30, [3, 1] * 24, [7] * 49, [2, 9] * 80])
def test_sliding_answers_as_the_shortened_text_would(engine: Engine, prompt: list[int]) -> None:
    generation = engine.generate(
        prompt, GREEDY, max_tokens=130, stop_token_ids=(), full_context="slide"
    )
    assert [token.id for token in generation] == greedy_sliding(prompt, 130)
    assert (generation.finish_reason, generation.context_full) == ("length", False)
    assert generation.prompt_tokens == len(prompt)
    assert generation.slides >= 3


def test_a_slide_costs_about_a_token_for_each_token_written(
    engine: Engine, session: ToySession
) -> None:
    list(engine.generate([1, 2], GREEDY, max_tokens=400, stop_token_ids=(), full_context="slide"))
    assert session.rows_computed < 2.1 * 400


def test_a_given_sequence_saves_work_and_changes_nothing(engine: Engine) -> None:
    alone = greedy_sliding([1, 2, 3], 90)
    with engine.sequence() as sequence:
        for _ in range(2):  # the second finds what the first left, a shortened text
            generation = engine.generate(
                [1, 2, 3],
                GREEDY,
                max_tokens=90,
                stop_token_ids=(),
                sequence=sequence,
                full_context="slide",
            )
            assert [token.id for token in generation] == alone
        assert len(sequence) <= CONTEXT
        assert sequence.tokens[:3] == (1, 2, 3)
        assert sequence.tokens[-1] == alone[-2]
        longer = engine.generate(
            [1, 2, 3, *alone], GREEDY, max_tokens=5, sequence=sequence, full_context="slide"
        )
        list(longer)
        assert longer.reused_tokens >= 3


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("draft", ["lookup", "model"])
def test_speculation_changes_nothing_where_it_slides(
    tiny_bundle: Path, draft: str, adaptive: bool
) -> None:
    sampling = Sampling(temperature=0.7, seed=3)
    with (
        pocketr1.load(tiny_bundle, max_context=40) as engine,
        pocketr1.load(tiny_bundle, max_context=40) as other,
    ):

        def written(speculation: Speculation | None) -> list[int]:
            generation = engine.generate(
                [5, 6, 7] * 4,
                sampling,
                max_tokens=120,
                stop_token_ids=(),
                speculation=speculation,
                full_context="slide",
            )
            ids = [token.id for token in generation]
            assert generation.slides >= 5
            return ids

        plain = written(None)
        drafted = Speculation("lookup" if draft == "lookup" else other, 5, adaptive)
        assert written(drafted) == plain


def test_batches_slide_as_one_answer_alone_does(tiny_bundle: Path) -> None:
    prompts = [[3, 1, 4], [9], list(range(2, 39)), list(range(2, 90)), [3, 1, 5]]
    sampling = Sampling(temperature=1.0, seed=7)
    with pocketr1.load(tiny_bundle, max_context=40) as engine:
        alone = []
        for index, ids in enumerate(prompts):
            generation = engine.generate(
                ids, sampling, max_tokens=70, index=index, full_context="slide"
            )
            tokens = tuple(token.id for token in generation)
            alone.append(Completion(index, tokens, generation.finish_reason or ""))
        for batch in (1, 3, 8):
            many = engine.generate_many(
                prompts, sampling, max_tokens=70, batch=batch, full_context="slide"
            )
            assert sorted(many, key=lambda one: one.index) == alone


def test_a_real_model_answers_as_it_would_to_the_shortened_text(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, max_context=40) as engine:
        text = [5, 6, 7]
        generation = engine.generate(
            text, GREEDY, max_tokens=100, stop_token_ids=(), full_context="slide"
        )
        for token in generation:
            seen = seen_by_rule(text, 40, 3)
            assert token.id == int(engine.logits(seen)[-1].argmax())
            text.append(token.id)


def test_stop_strings_end_a_text_that_slides(engine: Engine) -> None:
    class Letters:
        def feed(self, token_id: int) -> str:
            return chr(ord("a") + token_id)

        def finish(self) -> str:
            return ""

    written = greedy_sliding([1, 2, 3], 120)
    text = "".join(chr(ord("a") + token) for token in written)
    stop = text[100:106]
    assert text.index(stop) == 100
    generation = engine.generate(
        [1, 2, 3],
        GREEDY,
        max_tokens=120,
        stop_token_ids=(),
        stop=stop,
        detokenizer=Letters(),
        full_context="slide",
    )
    assert "".join(token.text for token in generation) == text[:100]
    assert generation.stop_string == stop


def test_only_what_slides_takes_a_prompt_longer_than_the_context(engine: Engine) -> None:
    with pytest.raises(ContextFullError):
        engine.generate([1] * (CONTEXT + 1))
    assert len(list(engine.generate([1] * 500, max_tokens=1, full_context="slide"))) <= 1


def test_a_cancelled_slide_ends_the_text_and_frees_its_pages(
    engine: Engine, session: ToySession
) -> None:
    generation = engine.generate([1], GREEDY, stop_token_ids=(), full_context="slide")
    for _ in range(CONTEXT):
        next(generation)
    session.before_step = engine.cancel  # in the very step that slides
    assert list(generation) == []
    assert generation.finish_reason == "cancelled"
    assert not session.sequences


@pytest.mark.parametrize("value", ["", "slide ", None, 1])
def test_another_word_is_refused(engine: Engine, value: FullContext) -> None:
    with pytest.raises(UsageError) as caught:
        engine.generate([1], full_context=value)
    assert caught.value.code == "full-context-value"
    with pytest.raises(UsageError):
        pocketr1.Chat(engine, full_context=value)
