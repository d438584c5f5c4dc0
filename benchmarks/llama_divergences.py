"""KL divergence of GGUF files from one of them, by llama.cpp itself; run by its Python.

    python llama_divergences.py REFERENCE.gguf MODEL.gguf… < SEQUENCES.json > ANSWER.json

SEQUENCES: [[ids, first], …]: a prompt of ``first`` tokens and the reply to it. ANSWER: for each
model, over the tokens of the replies and over those of the prompts but the first, the mean
divergence in nats and the 95% interval of that, from single precision logits in double precision
sums.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import llama_cpp
import numpy as np


def open_model(path: str, longest: int) -> llama_cpp.Llama:
    """Load a model with room for sequences of that many tokens."""
    return llama_cpp.Llama(
        path, n_ctx=longest + 8, n_threads=1, n_gpu_layers=0, logits_all=True, verbose=False
    )


def log_probabilities(model: llama_cpp.Llama, ids: list[int]) -> np.ndarray:
    """Return the log probabilities of all tokens but the first, float64 (tokens, vocabulary)."""
    model.reset()
    model.eval(ids)
    logits = np.array(model.scores[: len(ids) - 1], np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def figures(divergences: np.ndarray) -> dict[str, Any]:
    """Return the mean and its interval."""
    half = 1.96 * float(divergences.std(ddof=1)) / len(divergences) ** 0.5
    mean = float(divergences.mean())
    return {"kld_mean": mean, "kld_interval": [mean - half, mean + half]}


def main() -> None:
    """Answer the request."""
    sequences = json.load(sys.stdin)
    longest = max(len(ids) for ids, _ in sequences)
    reference, *models = (open_model(path, longest) for path in sys.argv[1:])
    # One sequence at a time: all log probabilities of a thousand would take gigabytes.
    found: list[list[np.ndarray]] = [[] for _ in models]
    for ids, _ in sequences:
        right = log_probabilities(reference, ids)
        for rows, model in zip(found, models, strict=True):
            rows.append((np.exp(right) * (right - log_probabilities(model, ids))).sum(axis=1))
    replies = np.concatenate([np.arange(1, len(ids)) >= first for ids, first in sequences])
    answer = {}
    for path, rows in zip(sys.argv[2:], found, strict=True):
        row = np.concatenate(rows)
        answer[path] = {"replies": figures(row[replies]), "prompts": figures(row[~replies])}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
