"""The local server: OpenAI's protocol for programs, a page for people.

It talks to a model through :class:`~pocketr1.server.backend.Backend` alone.
"""

from __future__ import annotations

__all__: list[str] = []
