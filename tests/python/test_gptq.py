"""Error feedback: the Gram matrix, its factor, the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pocketr1
from pocketr1 import _core
from pocketr1.compress.gptq import Feedback, cholesky, quantize_matrix
from pocketr1.compress.gram import Gram
from pocketr1.errors import CompressionError


def inputs(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Correlated inputs of uneven energy, float32 (rows, cols)."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((rows, cols)) @ random.standard_normal((cols, cols))
    return (mixed * np.exp(random.standard_normal(cols))).astype(np.float32)


def gram_of(rows: np.ndarray) -> np.ndarray:
    gram = Gram(rows.shape[1])
    gram.add(rows)
    return gram.take()


def test_the_gram_matrix_is_the_mean_of_outer_products_however_rows_come() -> None:
    rows = inputs(2100, 70)
    gram = Gram(70)
    for piece in np.array_split(rows, 11):
        gram.add(piece)
    want = rows.T.astype(np.float64) @ rows / len(rows)
    got = gram.take()
    assert (got == got.T).all()
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("size", [1, 7, 256, 600])
def test_the_factor_in_place_is_numpys(size: int) -> None:
    matrix = gram_of(inputs(2 * size + 8, size)) + np.eye(size, dtype=np.float32)
    want = np.linalg.cholesky(matrix.astype(np.float64)).T
    cholesky(matrix)
    inner = np.triu_indices(size)
    assert np.abs(matrix[inner] - want[inner]).max() < 1e-4 * np.abs(want).max()


def gptq_by_the_paper(
    weights: np.ndarray, gram: np.ndarray, scales: np.ndarray, zeros: np.ndarray, group: int
) -> np.ndarray:
    """Codes of GPTQ's algorithm 1, with the inverse Hessian's factor, in float64, 4 bits."""
    energy = gram.diagonal()
    order = np.argsort(energy, kind="stable")[::-1]
    hessian = gram.astype(np.float64)[np.ix_(order, order)]
    hessian[np.diag_indices_from(hessian)] += 0.01 * energy.mean()
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    left = weights.astype(np.float64)[:, order]
    codes = np.zeros(weights.shape, np.uint8)
    for place, column in enumerate(order):
        scale, zero = scales[:, column // group], zeros[:, column // group]
        code = np.clip(np.rint(left[:, place] / scale + zero), 0, 15)
        error = (left[:, place] - (code - zero) * scale) / upper[place, place]
        left[:, place:] -= error[:, None] * upper[place, place:]
        codes[:, column] = code
    return codes


@pytest.mark.parametrize("weight_format", ["w4g32", "w4g64z"])
def test_error_feedback_chooses_the_codes_of_gptq(weight_format: str) -> None:
    rows = inputs(400, 128)
    gram = gram_of(rows)
    weights = np.random.default_rng(3).standard_normal((48, 128)).astype(np.float32)
    part = quantize_matrix(weights, weight_format, Feedback.of(gram), threads=2)
    codes, scales, zeros = _core.unpack_rows(part, weight_format, 48, 128)
    group = int(weight_format[3:].rstrip("z"))
    want = gptq_by_the_paper(weights, gram, scales, zeros.astype(np.float64), group)
    # Single precision decides a code otherwise where it lies half way between two.
    assert (codes == want).mean() > 0.995


@pytest.mark.parametrize("weight_format", ["w2g32", "w3g64z", "w4g64", "w8g128"])
def test_error_feedback_halves_the_error_of_the_outputs(weight_format: str) -> None:
    rows = inputs(600, 192)
    weights = np.random.default_rng(4).standard_normal((40, 192)).astype(np.float32)
    plain, *_ = _core.quantize_rows(weights, "f32", weight_format, 1)
    fitted = quantize_matrix(weights, weight_format, Feedback.of(gram_of(rows)), threads=2)

    def wrong(part: np.ndarray) -> float:
        stored = _core.dequantize_rows(part, weight_format, 40, 192)
        return float(np.square(rows @ (weights - stored).T).sum())

    assert wrong(fitted) < 0.5 * wrong(plain)


def test_codes_are_the_same_on_every_instruction_set_and_for_any_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feedback = Feedback.of(gram_of(inputs(300, 83)))
    weights = np.random.default_rng(5).standard_normal((37, 83)).astype(np.float32)
    made = []
    for isa in pocketr1.isas():
        monkeypatch.setenv("POCKETR1_ISA", isa)
        made += [quantize_matrix(weights, "w3g32", feedback, threads=n).tobytes() for n in (1, 3)]
    assert len(made) >= 2
    assert len(set(made)) == 1


def test_a_dead_input_and_too_few_rows_do_no_harm() -> None:
    rows = inputs(20, 96)  # far fewer rows than inputs
    rows[:, 11] = 0
    weights = np.random.default_rng(6).standard_normal((32, 96)).astype(np.float32)
    feedback = Feedback.of(gram_of(rows))
    assert np.isfinite(feedback.factor).all()
    stored = _core.dequantize_rows(
        quantize_matrix(weights, "w4g32", feedback, threads=1), "w4g32", 32, 96
    )
    plain, *_ = _core.quantize_rows(weights, "f32", "w4g32", 1)
    rounded = _core.dequantize_rows(plain, "w4g32", 32, 96)
    assert (
        np.square(rows @ (weights - stored).T).sum()
        < 0.2 * np.square(rows @ (weights - rounded).T).sum()
    )
    # What no row ever moved is still near what it was: another text may move it.
    assert np.abs(weights - stored)[:, 11].max() < 3 * np.abs(weights - rounded).max()


def test_inputs_that_are_all_zero_leave_rounding_to_nearest() -> None:
    weights = np.random.default_rng(7).standard_normal((16, 64)).astype(np.float32)
    feedback = Feedback.of(np.zeros((64, 64), np.float32))
    plain, *_ = _core.quantize_rows(weights, "f32", "w4g32", 1)
    assert quantize_matrix(weights, "w4g32", feedback, threads=1).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"order": np.zeros(8, np.uint32)},
        {"order": np.arange(7, dtype=np.uint32)},
        {"factor": np.zeros((8, 7), np.float32)},
        {"scales": np.ones((2, 2), np.float32)},
        {"weights": np.full((2, 8), np.nan, np.float32)},
        {"factor": np.full((8, 8), np.inf, np.float32)},
        {"group_size": 0},
        {"low": -200},
    ],
)
def test_feedback_refuses_what_does_not_fit(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "weights": np.ones((2, 8), np.float32),
        "order": np.arange(8, dtype=np.uint32),
        "factor": np.zeros((8, 8), np.float32),
        "scales": np.ones((2, 1), np.float32),
        "centres": np.zeros((2, 1), np.float32),
        "group_size": 8,
        "low": 0,
        "high": 15,
    }
    _core.round_with_feedback(**arguments)
    with pytest.raises(CompressionError) as caught:
        _core.round_with_feedback(**{**arguments, **change})
    assert caught.value.code in ("quantize-unsupported", "quantize-not-finite")
