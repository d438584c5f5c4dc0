"""OpenAI's protocol."""

from __future__ import annotations

from pocketr1.server.openai.routes import routes

__all__ = ["routes"]
