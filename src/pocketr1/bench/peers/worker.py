"""What a process that measures one engine runs; its argument is a job in JSON.

Prints one JSON document: what the job asks for, or ``{"failed": KIND, "reason": …}``.
"""

from __future__ import annotations

import json
import os
import random
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from pocketr1.bench.peers import ENGINES
from pocketr1.bench.peers.peer import LoadOptions, Peer, PeerModule
from pocketr1.machine import peak_rss_bytes

__all__ = ["main"]


def main() -> int:
    """Do the job; whatever the engine prints goes to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(sys.argv[1])
    try:
        result = _ACTIONS[job["action"]](
            cast(PeerModule, import_module(ENGINES[job["engine"]])), job
        )
    except ImportError as error:
        result = {"failed": "not-installed", "reason": str(error)}
    except Exception as error:
        result = {"failed": "failed", "reason": f"{type(error).__name__}: {error}"}
    with answer:
        json.dump(result, answer)
    # Some engines' threads do not survive the interpreter's own end.
    sys.stderr.flush()
    os._exit(0)


def _find(module: PeerModule, job: dict[str, Any]) -> dict[str, Any]:
    """Return versions, and the models below ``directory`` (or ``model``) with their files."""
    versions = module.versions()
    models = [Path(job["model"])] if "model" in job else module.find(Path(job["directory"]))
    return {
        "versions": versions,
        "models": [
            {"path": str(model), "files": [str(file) for file in module.files(model)]}
            for model in models
        ],
    }


def _measure(module: PeerModule, job: dict[str, Any]) -> dict[str, Any]:
    """Load, get one token, then do every run: ``prompts`` of ``prompt_tokens``, ``tokens`` each.

    A run with ``warm_up`` is done twice, the second time counts.
    """
    module.versions()
    began = perf_counter()
    peer = module.open(Path(job["model"]), LoadOptions(**job["options"]))
    load_s = perf_counter() - began
    peer.generate([[1]], 1)
    first_logits_s = perf_counter() - began
    runs = [_run(peer, run, number) for number, run in enumerate(job["runs"])]
    return {
        "load_s": load_s,
        "first_logits_s": first_logits_s,
        "runs": runs,
        "peak_rss_bytes": peak_rss_bytes(),
        "weight_bytes": peer.weight_bytes,
        "settings": peer.settings,
    }


def _run(peer: Peer, run: dict[str, int], number: int) -> dict[str, Any]:
    draw = random.Random(number)

    def prompts() -> list[list[int]]:
        # The last ids of a vocabulary may be names of tags; the rest are as good as any text.
        size = max(2, peer.vocab_size - 1024)
        return [
            [draw.randrange(size) for _ in range(run["prompt_tokens"])]
            for _ in range(run["prompts"])
        ]

    if run.get("warm_up"):
        peer.generate(prompts(), min(run["tokens"], 4))
    times = peer.generate(prompts(), run["tokens"])
    if set(times.tokens) != {run["tokens"]} or len(times.tokens) != run["prompts"]:
        raise ValueError(f"{run['tokens']} tokens were asked for, {list(times.tokens)} came")
    return {"first_s": times.first_s, "decode_s": times.decode_s}


_ACTIONS = {"find": _find, "measure": _measure}
