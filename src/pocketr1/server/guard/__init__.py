"""What keeps the server closed: who may ask, and how much."""

from __future__ import annotations

__all__: list[str] = []
