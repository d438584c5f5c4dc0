"""Speculation over the real core: Tiny R1 answers problems as if nobody had drafted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import Engine, Sampling, Sequence, Speculation
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.engine.drafters import ModelDrafter
from pocketr1.engine.tokens import TokenIds

QUESTIONS = ["What is 17 times 23?", "解方程3x+7=22。", "Mia has 5 apples and eats 2. How many?"]
SAMPLINGS = [
    Sampling(temperature=0.0),
    Sampling(temperature=0.0, repetition_penalty=1.2),
    *(Sampling(seed=seed) for seed in range(4)),
    *(Sampling(seed=seed, temperature=1.0, top_p=1.0, repetition_penalty=1.1) for seed in range(4)),
    Sampling(seed=9, top_k=5, min_p=0.05),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with pocketr1.load("tiny", threads=1, max_context=512) as engine:
        yield engine


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Tiny R1 at 4 bits: close to the model it drafts for, but not the same."""
    path = tmp_path_factory.mktemp("draft") / "bundle"
    source = pocketr1.inspect("tiny").path
    pocketr1.Quantizer(source, output_path=path, bits=4, group_size=128).run()
    with pocketr1.load(path, threads=1, max_context=512) as draft:
        yield draft


@pytest.fixture(scope="module")
def prompts(engine: Engine) -> list[TokenIds]:
    template = ChatTemplate.load(engine.path, load_tokenizer(engine.path))
    return [template.encode([{"role": "user", "content": question}]).ids for question in QUESTIONS]


def answer(
    engine: Engine,
    ids: TokenIds,
    sampling: Sampling,
    speculation: Speculation | None = None,
    sequence: Sequence | None = None,
) -> pocketr1.Generation:
    generation = engine.generate(
        ids, sampling, max_tokens=90, speculation=speculation, sequence=sequence
    )
    list(generation)
    return generation


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("kind", ["lookup", "model"])
def test_the_same_tokens_with_and_without(
    engine: Engine, draft: Engine, prompts: list[TokenIds], kind: str, adaptive: bool
) -> None:
    speculation = Speculation(
        draft if kind == "model" else "lookup", max_tokens=5, adaptive=adaptive
    )
    drafted = accepted = rejected = steps = tokens = 0
    for ids in prompts:
        for sampling in SAMPLINGS:
            with engine.sequence() as held, engine.sequence() as kept:
                plain = answer(engine, ids, sampling, None, held)
                fast = answer(engine, ids, sampling, speculation, kept)
                assert fast.token_ids == plain.token_ids
                assert fast.finish_reason == plain.finish_reason
                assert kept.tokens == held.tokens
                # The pages hold the same bits: what comes next is the same.
                np.testing.assert_array_equal(kept.append([7]), held.append([7]))
            assert fast.speculated is not None
            drafted += fast.speculated.drafted
            accepted += fast.speculated.accepted
            rejected += fast.speculated.rejected
            steps += fast.speculated.steps
            tokens += len(fast.token_ids)
    assert drafted == accepted + rejected
    if not adaptive:  # else the machine decides how many are drafted
        assert drafted > 0
        assert accepted > 0
        assert rejected > 0
        assert steps < tokens


@pytest.mark.parametrize("kv_format", ["f32", "f16", "int8"])
def test_rows_are_rolled_back_across_pages(tiny_bundle: Path, kv_format: str) -> None:
    # A page holds 64 tokens: drafts of up to 20 cross its end, and are taken back over it.
    ids = [11, 12, 13, 14] * 12
    with pocketr1.load(tiny_bundle, threads=2, max_context=160, kv_format=kv_format) as engine:
        for seed in range(3):
            sampling = Sampling(seed=seed, temperature=0.3, repetition_penalty=0.5)
            plain = list(engine.generate(ids, sampling, stop_token_ids=()))
            fast = engine.generate(
                ids,
                sampling,
                stop_token_ids=(),
                speculation=Speculation(max_tokens=20, adaptive=False),
            )
            assert list(fast) == plain
            assert (fast.finish_reason, fast.context_full) == ("length", True)
            assert fast.speculated is not None
            assert fast.speculated.drafted > 0


def test_a_draft_model_that_shares_the_random_numbers_is_right_more_often(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    # Random weights: hundreds of tokens are about equally likely, and 8 bits barely change that.
    path = tmp_path / "bundle"
    pocketr1.Quantizer(tiny_checkpoint, output_path=path, bits=8, group_size=64).run()
    sampling = Sampling(seed=1, temperature=1.0, top_p=1.0)
    accepted = []
    with (
        pocketr1.load(tiny_checkpoint, threads=1) as engine,
        pocketr1.load(path, threads=1) as draft,
    ):
        for drafts in (sampling, Sampling(temperature=0.0)):
            drafter = ModelDrafter(draft, drafts, 0)
            generation = answer(
                engine, [3, 5, 6], sampling, Speculation(drafter, max_tokens=3, adaptive=False)
            )
            assert generation.speculated is not None
            accepted.append(generation.speculated.accepted / generation.speculated.drafted)
    assert accepted[0] > 0.5 > 0.1 > accepted[1]


def test_adaptive_or_not_two_engines_share_options(engine: Engine, draft: Engine) -> None:
    speculation = Speculation()
    for one in (engine, draft):
        plain = answer(one, [5, 6, 7, 5, 6], Sampling(seed=2))
        assert answer(one, [5, 6, 7, 5, 6], Sampling(seed=2), speculation).token_ids == (
            plain.token_ids
        )
