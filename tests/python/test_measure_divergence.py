"""KL divergence and perplexity: laws, windows, and PyTorch beside them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pocketr1
from pocketr1 import measure
from pocketr1.measure.perplexity import windows

logits = hnp.arrays(np.float32, (3, 7), elements=st.floats(-200, 200, width=32, allow_nan=False))


@given(logits, logits)
def test_divergence_is_never_negative_and_zero_for_equals(
    one: np.ndarray, other: np.ndarray
) -> None:
    assert np.all(measure.kl_divergence(one, other) >= 0)
    assert np.all(measure.kl_divergence(one, one) == 0)


@given(logits, logits, st.integers(-64, 64))
def test_a_constant_added_to_all_logits_changes_nothing(
    one: np.ndarray, other: np.ndarray, shift: int
) -> None:
    moved = one.astype(np.float64) + shift  # exact in float64, and rounded alike below
    expected = measure.kl_divergence(one, other)

    assert measure.kl_divergence(moved, other) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_divergence_of_a_coin_is_the_textbook_value() -> None:
    fair, biased = np.log(np.float32([[0.5, 0.5]])), np.log(np.float32([[0.9, 0.1]]))

    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)

    assert measure.kl_divergence(fair, biased) == pytest.approx([expected], rel=1e-6)


def test_impossible_tokens_add_nothing_or_everything() -> None:
    sure = np.float32([[0.0, -np.inf]])
    open_ = np.float32([[0.0, 0.0]])

    assert measure.kl_divergence(sure, open_) == pytest.approx([math.log(2)])
    assert measure.kl_divergence(open_, sure) == [math.inf]
    assert measure.kl_divergence(sure, sure) == [0.0]


def test_a_token_too_unlikely_for_a_float_is_still_possible() -> None:
    unlikely = np.float32([[0.0, -800.0]])  # exp(-800) is 0 in float64
    impossible = np.float32([[0.0, -np.inf]])

    assert measure.kl_divergence(unlikely, impossible) == [math.inf]
    assert measure.kl_divergence(impossible, unlikely) == [0.0]


@given(logits, logits, st.permutations(range(7)))
def test_divergence_does_not_depend_on_the_order_of_the_vocabulary(
    one: np.ndarray, other: np.ndarray, order: list[int]
) -> None:
    expected = measure.kl_divergence(one, other)

    shuffled = measure.kl_divergence(one[:, order], other[:, order])

    assert shuffled == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(logits, st.integers(0, 6), st.floats(2**-6, 10, width=32))
def test_a_model_that_prefers_any_token_more_diverges(
    one: np.ndarray, token: int, more: float
) -> None:
    one = np.clip(one, -5, 5)  # so that no token's probability vanishes in float64
    other = one.copy()
    other[:, token] += np.float32(more)

    assert np.all(measure.kl_divergence(one, other) > 0)


@pytest.fixture(scope="module")
def text(tiny_bundle: Path) -> list[int]:
    return np.random.default_rng(1).integers(0, 500, 300).tolist()


def test_a_model_does_not_diverge_from_itself_and_does_from_its_bundle(
    tiny_checkpoint: Path, tiny_bundle: Path, text: list[int]
) -> None:
    with pocketr1.load(tiny_checkpoint) as one, pocketr1.load(tiny_checkpoint) as same:
        itself = measure.compare(one, same, text, window=64)
        with pocketr1.load(tiny_bundle) as other:
            bundle = measure.compare(one, other, text, window=64)

    assert itself.divergence.maximum == 0
    assert itself.divergence.top1_agreement == 1
    assert bundle.divergence.mean > 0
    assert bundle.divergence.rms_dp > 0
    assert bundle.divergence.tokens == 4 * 31
    low, high = bundle.divergence.interval
    assert low < bundle.divergence.mean < high


def test_a_comparison_holds_both_perplexities(
    tiny_checkpoint: Path, tiny_bundle: Path, text: list[int]
) -> None:
    with pocketr1.load(tiny_checkpoint) as one, pocketr1.load(tiny_bundle) as other:
        both = measure.compare(one, other, text, window=64)

        assert both.reference == measure.perplexity(one, text, window=64)
        assert both.model == measure.perplexity(other, text, window=64)


def test_windows_begin_with_bos_and_score_their_second_half(
    tiny_bundle: Path, text: list[int]
) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        pieces = list(windows(engine, text, 64))
        bos = engine.spec.bos_token_id

        assert len(pieces) == 4
        for number, (piece, rows) in enumerate(pieces):
            assert piece.tolist() == [bos, *text[64 * number + 1 : 64 * number + 64]]
            assert rows == slice(32, 63)
        whole = np.concatenate([engine.logits(piece)[rows] for piece, rows in pieces])
        targets = np.concatenate([piece[33:] for piece, _ in pieces])
        losses = measure.token_losses(whole, targets)

        result = measure.perplexity(engine, text, window=64)
    assert result.tokens == len(losses)
    assert result.loss == pytest.approx(losses.mean())
    assert result.value == pytest.approx(math.exp(losses.mean()))


@pytest.mark.parametrize("window", [3, 1 << 20, 64.0])
def test_windows_of_no_use_are_refused(tiny_bundle: Path, text: list[int], window: int) -> None:
    with pocketr1.load(tiny_bundle) as engine, pytest.raises(pocketr1.UsageError) as caught:
        measure.perplexity(engine, text, window)
    assert caught.value.code == "measure-window"


def test_a_text_of_three_tokens_is_refused(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine, pytest.raises(pocketr1.UsageError) as caught:
        measure.perplexity(engine, [1, 2, 3])
    assert caught.value.code == "measure-text-short"


@pytest.mark.oracle
def test_divergence_and_losses_are_those_of_pytorch() -> None:
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(3)
    first = (rng.standard_normal((40, 1000)) * 5).astype(np.float32)
    second = (first + rng.standard_normal((40, 1000))).astype(np.float32)
    targets = rng.integers(0, 1000, 40)
    p, q = (functional.log_softmax(torch.tensor(x).double(), -1) for x in (first, second))

    expected = functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    losses = functional.cross_entropy(
        torch.tensor(first).double(), torch.tensor(targets), reduction="none"
    )

    assert measure.kl_divergence(first, second) == pytest.approx(expected.numpy(), rel=1e-12)
    assert measure.token_losses(first, targets) == pytest.approx(losses.numpy(), rel=1e-12)
