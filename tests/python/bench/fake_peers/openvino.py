"""Stands in for OpenVINO's runtime."""

from __future__ import annotations

from typing import Any


def get_version() -> str:
    """Return the version of the runtime."""
    return "0.fake"


class Tensor:
    """Holds an array."""

    def __init__(self, data: Any) -> None:
        self.data = data
