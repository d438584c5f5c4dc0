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


class _Type:
    def get_type_name(self) -> str:
        return "u8"


class Core:
    """Knows a type for every property."""

    def get_property(self, _device: str, _name: str) -> _Type:
        """Return a type."""
        return _Type()
