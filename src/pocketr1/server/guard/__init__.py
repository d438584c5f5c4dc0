"""What keeps the server closed: who may ask, and how much."""

from __future__ import annotations

from pocketr1.server.guard.limits import Limits

__all__ = ["Limits"]
