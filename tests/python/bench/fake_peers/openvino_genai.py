"""Stands in for OpenVINO GenAI's continuous batching."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = "0.fake"


class SchedulerConfig:
    """Takes any setting."""


class GenerationConfig:
    """Takes any setting."""


class _Handle:
    def __init__(self, left: int) -> None:
        self.left = left
        self.ready: list[int] = []

    def can_read(self) -> bool:
        return bool(self.ready)

    def read(self) -> dict[int, Any]:
        ids, self.ready = self.ready, []
        return {0: SimpleNamespace(generated_ids=ids)}


class ContinuousBatchingPipeline:
    """Each step gives every request one token."""

    def __init__(self, path: str, scheduler: Any, device: str, properties: dict[str, Any]) -> None:
        self._handles: list[_Handle] = []
        _note({"device": device, **properties, **vars(scheduler)})

    def add_request(self, number: int, ids: Any, config: Any) -> _Handle:
        """Queue a prompt of shape (1, tokens)."""
        assert config.ignore_eos and not config.do_sample
        assert config.min_new_tokens == config.max_new_tokens
        _note({"request": number, "shape": list(ids.data.shape), "tokens": config.max_new_tokens})
        self._handles.append(_Handle(config.max_new_tokens))
        return self._handles[-1]

    def has_non_finished_requests(self) -> bool:
        """Whether any request lacks tokens."""
        return any(handle.left for handle in self._handles)

    def step(self) -> None:
        """Give each unfinished request a token."""
        for handle in self._handles:
            if handle.left:
                handle.left -= 1
                handle.ready.append(7)


def _note(call: dict[str, Any]) -> None:
    with Path(os.environ["FAKE_PEER_LOG"]).open("a") as file:
        print(json.dumps(call), file=file)
