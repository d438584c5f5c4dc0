"""Conversations over HTTP: ``/api``, which the page speaks."""

from __future__ import annotations

from pocketr1.server.conversations.conversations import Conversations

__all__ = ["Conversations"]
