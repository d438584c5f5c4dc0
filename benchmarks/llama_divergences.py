"""KL divergence of GGUF files from one of them, by llama.cpp itself; run by its Python.

    python llama_divergences.py REFERENCE.gguf MODEL.gguf… < SEQUENCES.json > ANSWER.json

SEQUENCES: [[ids, first], …]; what follows ids[first - 1] and all later tokens counts. ANSWER: for
each model its mean divergence in nats and the 95% interval of that, from single precision logits in
double precision sums.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import llama_cpp
import numpy as np


def log_probabilities(path: str, sequences: list[Any]) -> np.ndarray:
    """Return the log probabilities behind the counted tokens, float64 (tokens, vocabulary)."""
    longest = max(len(ids) for ids, _ in sequences)
    model = llama_cpp.Llama(
        path, n_ctx=longest + 8, n_threads=2, n_gpu_layers=0, logits_all=True, verbose=False
    )
    rows = []
    for ids, first in sequences:
        model.reset()
        model.eval(ids)
        logits = np.array(model.scores[first - 1 : len(ids) - 1], np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        rows.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    model.close()
    return np.concatenate(rows)


def main() -> None:
    """Answer the request."""
    sequences = json.load(sys.stdin)
    reference = log_probabilities(sys.argv[1], sequences)
    answer = {}
    for path in sys.argv[2:]:
        other = log_probabilities(path, sequences)
        found = (np.exp(reference) * (reference - other)).sum(axis=1)
        half = 1.96 * float(found.std(ddof=1)) / len(found) ** 0.5
        mean = float(found.mean())
        answer[path] = {"kld_mean": mean, "kld_interval": [mean - half, mean + half]}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
