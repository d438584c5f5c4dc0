"""Sequences that begin alike share their pages, and answer as if they did not."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1.engine import Engine, Sampling
from pocketr1.errors import EngineError, UsageError

IDS = [(7 * i + 3) % 500 for i in range(300)]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


@pytest.fixture(params=["f32", "f16", "int8"])
def model(request: pytest.FixtureRequest, tiny_bundle: Path) -> Engine:
    return pocketr1.load(tiny_bundle, threads=2, kv_format=request.param)


def test_a_fork_goes_its_own_way(model: Engine) -> None:
    whole = model.logits(IDS[:200])
    other = model.logits([*IDS[:150], *IDS[:50]])
    with model.sequence() as parent:
        parent.append(IDS[:170])
        with parent.fork(150) as fork, parent.fork() as same:
            assert fork.tokens == tuple(IDS[:150])
            assert same.tokens == parent.tokens
            np.testing.assert_array_equal(fork.append(IDS[:50]), other[-1])
            np.testing.assert_array_equal(parent.append(IDS[170:200]), whole[-1])
            np.testing.assert_array_equal(same.append(IDS[170:180]), whole[179])
            parent.truncate(3)
            np.testing.assert_array_equal(same.append(IDS[180:200]), whole[-1])


def test_a_fork_outlives_its_parent_and_shares_its_pages(model: Engine) -> None:
    parent = model.sequence()
    parent.append(IDS[:192])
    bytes_before = model.kv_bytes
    fork = parent.fork(128)
    parent.close()
    assert model.kv_bytes == bytes_before
    assert model.trim_pages() == bytes_before // 3
    np.testing.assert_array_equal(fork.append(IDS[128:200]), model.logits(IDS[:200])[-1])
    fork.close()
    model.trim_pages()
    assert model.kv_bytes == 0


def test_a_fork_of_a_sequence_in_use_leaves_its_text_alone(model: Engine) -> None:
    greedy = Sampling(temperature=0.0)
    plain = [t.id for t in model.generate(IDS, greedy, max_tokens=20, stop_token_ids=())]
    with model.sequence() as sequence:
        generation = model.generate(
            IDS,
            greedy,
            max_tokens=20,
            stop_token_ids=(),
            sequence=sequence,
            speculation=pocketr1.Speculation(adaptive=False),
        )
        ids = [next(generation).id for _ in range(7)]
        with sequence.fork() as fork:
            assert fork.tokens == sequence.tokens
            np.testing.assert_array_equal(
                fork.append(plain[6:9]), model.logits([*IDS, *plain[:9]])[-1]
            )
        ids += [token.id for token in generation]
    assert ids == plain


def test_int8_pages_take_at_least_35_percent_less_than_f16(tiny_bundle: Path) -> None:
    taken = {}
    for kv_format in ("f32", "f16", "int8"):
        with (
            pocketr1.load(tiny_bundle, threads=1, kv_format=kv_format) as engine,
            engine.sequence() as sequence,
        ):
            sequence.append(IDS[:128])
            taken[kv_format] = engine.kv_bytes
    assert taken["f32"] == 2 * taken["f16"]
    # 32 codes and their scale in place of 32 elements, 34 bytes in place of 64.
    assert taken["int8"] * 64 == taken["f16"] * 34
    assert taken["int8"] <= 0.65 * taken["f16"]


def test_what_trimming_gives_back_the_process_no_longer_has(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1, kv_format="f32") as engine:
        sequences = [engine.sequence() for _ in range(40)]
        for sequence in sequences:
            sequence.append(IDS)
        kept = sequences.pop(20)  # in the middle, where a heap could not shrink
        taken = engine.kv_bytes
        for sequence in sequences:
            sequence.close()
        del sequence, sequences
        gc.collect()
        before = resident_bytes()
        freed = engine.trim_pages()
        assert freed > taken * 0.97
        assert before - resident_bytes() > 0.9 * freed
        assert engine.trim_pages() == 0
        assert engine.kv_bytes == taken - freed
        np.testing.assert_array_equal(kept.append([5]), engine.logits([*IDS, 5])[-1])


def test_samples_of_one_prompt_share_its_pages_and_are_what_they_would_be_alone(
    model: Engine,
) -> None:
    sampling = Sampling(temperature=1.0, seed=2)
    prompts = [IDS[:260]] * 6 + [[*IDS[:130], 9], IDS[:64], [*IDS[:260], 4]]
    alone = []
    for index, ids in enumerate(prompts):
        tokens = model.generate(ids, sampling, max_tokens=12, stop_token_ids=(), index=index)
        alone.append(tuple(token.id for token in tokens))
    model.trim_pages()
    many = model.generate_many(prompts, sampling, max_tokens=12, stop_token_ids=(), batch=9)
    together = {completion.index: completion.token_ids for completion in many}
    assert [together[index] for index in range(len(prompts))] == alone
    page = model._session.page_bytes
    # Five pages the first, one more each of the others, and one for the second page that is cut.
    assert model.kv_bytes <= (5 + 8 + 2) * page


@pytest.mark.parametrize("length", [-1, 4, 1.0, True, "2"])
def test_a_length_the_sequence_does_not_have_is_refused(tiny_bundle: Path, length: int) -> None:
    with pocketr1.load(tiny_bundle, threads=1) as engine, engine.sequence() as sequence:
        sequence.append([1, 2, 3])
        with pytest.raises(UsageError) as caught:
            sequence.fork(length)
        assert caught.value.code == "fork-length"


def test_a_closed_sequence_has_no_forks(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        sequence = engine.sequence()
        sequence.close()
        with pytest.raises(EngineError):
            sequence.fork()
