"""The parts of ``pocketr1 chat``: what is typed, what is shown, what is kept."""

from __future__ import annotations
