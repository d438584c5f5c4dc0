"""Stands in for CTranslate2: answers with as many tokens as are asked for, and writes down what."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = "0.fake"


class Generator:
    """Every prompt is continued by the same token; the model's name says what fails."""

    compute_type = "int8"

    def __init__(self, path: str, **options: Any) -> None:
        if "broken" in path:
            raise RuntimeError("no such weights")
        if "killed" in path:
            os.kill(os.getpid(), 9)
        self._short = "short" in path
        self._single = "single" in path
        cpus = sorted(getattr(os, "sched_getaffinity", lambda _pid: ())(0))
        _note({"open": Path(path).name, "cpus": cpus, **options})

    def generate_batch(
        self, prompts: list[list[str]], *, callback: Callable[[Any], bool], **options: Any
    ) -> None:
        """Call back for each token of each prompt."""
        _note({"prompts": [len(prompt) for prompt in prompts], **options})
        if self._single and len(prompts) > 1:
            raise RuntimeError("one at a time")
        for _ in range(options["max_length"] - self._short):
            for number in range(len(prompts)):
                callback(SimpleNamespace(batch_id=number))


def _note(call: dict[str, Any]) -> None:
    with Path(os.environ["FAKE_PEER_LOG"]).open("a") as file:
        print(json.dumps(call), file=file)
