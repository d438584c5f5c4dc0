"""Asks llama.cpp; run by an interpreter that has llama-cpp-python.

    python llama_cpp_logits.py MODEL < REQUEST.json > ANSWER.json

REQUEST: {"texts": [...], "prompts": [[ids], ...], "count": N}. ANSWER: for each text the ids
llama.cpp cuts it into, special tokens recognised; for each prompt N greedy tokens, and at each how
far llama.cpp's best logit was ahead of its second, and the logits' standard deviation.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import llama_cpp
import numpy as np


def main() -> None:
    """Answer the request."""
    request = json.load(sys.stdin)
    model = llama_cpp.Llama(
        sys.argv[1],
        n_ctx=512,
        n_threads=1,  # its threads spin while they wait, which a busy machine punishes
        n_threads_batch=1,
        n_gpu_layers=0,
        logits_all=True,
        verbose=False,
    )
    answer: dict[str, Any] = {"texts": [], "greedy": [], "gaps": [], "spread": []}
    for text in request["texts"]:
        answer["texts"].append(model.tokenize(text.encode(), add_bos=False, special=True))
    for prompt in request["prompts"]:
        model.reset()
        model.eval(prompt)
        tokens, gaps, spread = [], [], []
        while len(tokens) < request["count"]:
            logits = np.array(model.scores[model.n_tokens - 1])
            second, best = np.partition(logits, -2)[-2:]
            tokens.append(int(logits.argmax()))
            gaps.append(float(best - second))
            spread.append(float(logits.std()))
            model.eval(tokens[-1:])
        answer["greedy"].append(tokens)
        answer["gaps"].append(gaps)
        answer["spread"].append(spread)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
