"""KL divergence and perplexity: laws, windows, and PyTorch beside them."""

from __future__ import annotations

import json
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


PROBLEMS = [
    measure.TaskProblem("What is 1 + 1?", "2", "en"),
    measure.TaskProblem("一加一等于多少？", "2", "zh"),
    measure.TaskProblem("Which is larger, 9.11 or 9.9?", "9.9"),
]


def test_a_task_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    lines = [
        '{"question": "What is 1 + 1?", "answer": 2, "group": "en", "source": "me"}',
        "",
        json.dumps({"question": "一加一等于多少？", "answer": "2", "group": "zh"}),
        '{"question": "Which is larger, 9.11 or 9.9?", "answer": 9.9}',
    ]
    path.write_text("\n".join(lines), "utf-8")

    assert measure.read_task(path) == PROBLEMS


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"question": "a", "answer": "b"}\n{"question": "a"', "task-line"),
        ('{"question": "a", "answer": "b"}\n[1]', "task-line"),
        ('{"question": "a", "answer": "b"}\n{"question": "a"}', "task-line"),
        ('{"question": "a", "answer": "b"}\n{"question": " ", "answer": "1"}', "task-line"),
        (
            '{"question": "a", "answer": "b"}\n{"question": "a", "answer": "1", "group": []}',
            "task-line",
        ),
        ("\n\n", "task-file"),
    ],
)
def test_a_bad_task_is_refused_with_its_line(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(content, "utf-8")

    with pytest.raises(pocketr1.UsageError) as caught:
        measure.read_task(path)

    assert caught.value.code == code
    assert str(path) in str(caught.value)
    assert "2" in caught.value.what or code == "task-file"


def test_a_missing_task_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(pocketr1.UsageError, match="nowhere"):
        measure.read_task(tmp_path / "nowhere.jsonl")


def test_outcomes_come_in_the_order_of_the_problems_whatever_the_batch(tiny_bundle: Path) -> None:
    seen = []
    with pocketr1.load(tiny_bundle) as engine:
        one = measure.run_task(engine, PROBLEMS, max_tokens=12, batch=1)
        all_ = measure.run_task(
            engine, PROBLEMS, max_tokens=12, progress=lambda done, total: seen.append((done, total))
        )

    assert one == all_
    assert [outcome.problem for outcome in one] == PROBLEMS
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_reply_that_never_leaves_its_thought_has_no_answer(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        outcomes = measure.run_task(engine, PROBLEMS, max_tokens=3)

    assert [outcome.given for outcome in outcomes] == [None] * 3
    assert not any(outcome.right for outcome in outcomes)


def test_skipping_the_thought_gives_the_model_an_empty_one(tiny_bundle: Path) -> None:
    from pocketr1.chat import ChatTemplate, load_tokenizer

    tokenizer = load_tokenizer(tiny_bundle)
    template = ChatTemplate.load(tiny_bundle, tokenizer)
    messages = [{"role": "user", "content": "Hi"}]

    prompt = template.encode(messages, skip_thought=True)

    assert prompt.text.endswith("<｜Assistant｜><think>\n\n</think>\n\n")
    assert not prompt.thinking
    assert template.encode(messages).thinking
    assert list(prompt.ids) == tokenizer.encode_markup(prompt.text)
