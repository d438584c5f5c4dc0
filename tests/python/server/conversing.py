"""The page's side of ``/api``: a server with a scripted model, and what is asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_source import EventSource
from fake_backend import FakeBackend, Script

from pocketr1.server.app import Settings, build_app
from pocketr1.server.http import RunningServer

__all__ = ["SLOW", "Client", "serve", "until"]

SLOW = Script(reasoning=["hm "] * 5, answer=["word "] * 400, delay=0.01)


class Client:
    """The page: a server of its own, and what it asks of it."""

    def __init__(self, backend: FakeBackend, http: httpx.Client) -> None:
        self.backend = backend
        self.http = http

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        response = self.http.request(method, path, **options)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def begin(self, **fields: Any) -> str:
        return str(self.call("POST", "/api/conversations", 201, json=fields)["id"])

    def ask(
        self, conversation: str, content: str, parent: str | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        body = {"parent": parent, "content": content, **fields}
        made = self.call("POST", f"/api/conversations/{conversation}/messages", 201, json=body)
        return made["user"], made["reply"]

    def listen(self, reply: dict[str, Any]) -> EventSource:
        return EventSource(self.http, f"/api/replies/{reply['id']}/events")

    def hear(self, reply: dict[str, Any]) -> EventSource:
        source = self.listen(reply)
        assert source.connect() == 200
        return source

    def read(self, conversation: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/api/conversations/{conversation}")
        return found

    def last(self, conversation: str) -> dict[str, Any]:
        found: dict[str, Any] = self.read(conversation)["messages"][-1]
        return found

    def error(self, method: str, path: str, status: int, **options: Any) -> str:
        return str(self.call(method, path, status, **options)["error"]["code"])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Return a function that starts a server on the same store each time."""
    with ExitStack() as stack:

        def start(*scripts: Script) -> Client:
            backend = FakeBackend(*scripts)
            settings = Settings(port=0, data=tmp_path)
            server = stack.enter_context(RunningServer(build_app(backend, settings), settings))
            http = httpx.Client(base_url=server.url, timeout=30, trust_env=False)
            return Client(backend, stack.enter_context(http))

        yield start


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to be")
