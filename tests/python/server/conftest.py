"""What several of the server's tests are given."""

from __future__ import annotations

from conversing import serve

__all__ = ["serve"]
