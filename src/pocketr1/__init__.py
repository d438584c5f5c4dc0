"""Pocket R1: DeepSeek-R1's distilled models on a phone, offline."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
