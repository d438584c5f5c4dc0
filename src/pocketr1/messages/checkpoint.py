"""Texts about source checkpoints."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {}
