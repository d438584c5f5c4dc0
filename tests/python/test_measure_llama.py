"""Our divergence and perplexity, fed llama.cpp's logits, are what its own tool prints."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import pocketr1
from pocketr1 import measure
from pocketr1.measure.perplexity import scored_logits, windows

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "llama" / "divergence.npz"
if not GOLDEN.exists():
    pytest.skip("the source distribution comes without golden files", allow_module_level=True)
sys.path.insert(0, str(ROOT / "benchmarks"))

from llama_divergence import FIGURES, TOLERANCE, Stored, divergence_of, read_logits  # noqa: E402


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def stored(golden: dict[str, np.ndarray], name: str) -> Stored:
    return Stored(golden["tokens"], golden[name])


def test_the_figures_are_the_tool_s_to_one_percent(golden: dict[str, np.ndarray]) -> None:
    ours = divergence_of(stored(golden, "reference"), stored(golden, "model"))
    theirs = dict(zip(golden["names"].tolist(), golden["figures"].tolist(), strict=True))

    assert set(theirs) == {"perplexity", *FIGURES}
    for name, value in theirs.items():
        digit = FIGURES[name][2] if name in FIGURES else 1e-6
        assert ours[name] == pytest.approx(value, rel=TOLERANCE, abs=digit), name


def test_the_engine_reads_the_same_windows_as_llama_cpp(golden: dict[str, np.ndarray]) -> None:
    reference, tokens = stored(golden, "reference"), golden["tokens"]
    ours, theirs = [], []
    with pocketr1.load("tiny") as engine:
        for n, (piece, rows) in enumerate(windows(engine, tokens.reshape(-1), tokens.shape[1])):
            theirs.append(
                measure.token_losses(reference.log_probabilities(n), reference.targets(n))
            )
            ours += [measure.token_losses(*each) for each in scored_logits(engine, piece, rows)]
    mine, other = np.concatenate(ours), np.concatenate(theirs)

    # Stored logits end 16 nats below the best: compare where nothing was cut off.
    whole = other < 14
    assert len(mine) == len(other) == 120 and whole.sum() > 100
    assert mine[whole].mean() == pytest.approx(other[whole].mean(), abs=np.log1p(TOLERANCE))


def test_stored_logits_are_read_as_the_tool_writes_them(
    golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    tokens, rows = golden["tokens"], golden["reference"]
    head = np.array([tokens.shape[1], rows.shape[2] - 4, len(tokens)], "<i4")
    path = tmp_path / "logits"
    path.write_bytes(b"_logits_" + head.tobytes() + tokens.tobytes() + rows.tobytes())

    read = read_logits(path)

    assert np.array_equal(read.tokens, tokens)
    assert np.exp(read.log_probabilities(0)).sum(axis=1) == pytest.approx(1, abs=1e-2)
