"""Prompt, reasoning and answer told apart, and both models read side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import measure
from pocketr1.chat import load_tokenizer

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return load_tokenizer(TINY)


def test_the_thought_ends_behind_its_tag(tokenizer) -> None:  # type: ignore[no-untyped-def]
    thought, answer = tokenizer.encode_text("17+23=40\n"), tokenizer.encode_text("\n\nIt is 40.")
    close = tokenizer.token_to_id("</think>")

    begin = measure.answer_begin(tokenizer, [*thought, close, *answer], opened=True)

    assert begin == len(thought) + 1


def test_a_reply_that_never_leaves_its_thought_is_all_thought(tokenizer) -> None:  # type: ignore[no-untyped-def]
    ids = tokenizer.encode_text("17+23=40 and so on")
    assert measure.answer_begin(tokenizer, ids, opened=True) == len(ids)
    assert measure.answer_begin(tokenizer, ids, opened=False) == 0


def test_a_thought_that_the_model_opened_itself_counts(tokenizer) -> None:  # type: ignore[no-untyped-def]
    ids = tokenizer.encode_markup("<think>\n17+23")
    assert measure.answer_begin(tokenizer, ids, opened=False) == len(ids)


def test_a_tag_spelt_in_letters_is_found_where_it_is_no_token(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    tree = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    tree["added_tokens"] = [t for t in tree["added_tokens"] if "think" not in t["content"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree), "utf-8")
    plain = load_tokenizer(tmp_path)
    assert plain.token_to_id("</think>") is None
    ids = plain.encode_text("so 40\n</think>\n\nIt is 40.")

    begin = measure.answer_begin(plain, ids, opened=True)

    assert "</think>" in plain.decode(ids[:begin])
    assert "</think>" not in plain.decode(ids[: begin - 1])


def test_every_token_but_the_first_is_scored_in_its_part() -> None:
    ids = tuple(int(x) for x in np.random.default_rng(2).integers(4, 3000, 150))
    exchanges = [measure.Exchange(ids, 60, 140), measure.Exchange(ids[:30], 10, 30)]
    with pocketr1.load(TINY) as model:
        tally = measure.compare_exchanges(model, model, exchanges)
        losses = measure.token_losses(model.logits(ids)[:-1], ids[1:])

    tokens = [tally.comparison(part).divergence.tokens for part in range(3)]  # type: ignore[union-attr]
    assert tokens == [59 + 9, 80 + 20, 10]
    answer = tally.comparison(2)
    assert answer is not None
    assert answer.divergence.maximum == 0
    assert answer.divergence.top1_agreement == 1
    assert answer.model.loss == pytest.approx(losses[139:].mean(), rel=1e-12)


def test_parts_together_are_the_whole(tiny_bundle: Path, tiny_checkpoint: Path) -> None:
    ids = tuple(range(5, 105))
    with pocketr1.load(tiny_checkpoint) as reference, pocketr1.load(tiny_bundle) as model:
        tally = measure.compare_exchanges(reference, model, [measure.Exchange(ids, 20, 70)])
        whole = measure.kl_divergence(reference.logits(ids)[:-1], model.logits(ids)[:-1])

    assert np.concatenate([tally.divergences(part) for part in range(3)]) == pytest.approx(whole)
    assert tally.divergences() == pytest.approx(whole)
    assert tally.comparison(3) is None


def test_an_exchange_longer_than_the_context_is_refused(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle, max_context=16) as model:
        exchange = measure.Exchange(tuple(range(17)), 5, 10)
        with pytest.raises(pocketr1.ContextFullError):
            measure.compare_exchanges(model, model, [exchange])
