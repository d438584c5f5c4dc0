"""Servers for tests, and plain ways to ask them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from openai import OpenAI

from pocketr1.server.app import Settings, build_app
from pocketr1.server.backend import Backend
from pocketr1.server.http import RunningServer

__all__ = ["client", "events", "refusal", "serving"]


@contextmanager
def serving(backend: Backend, **settings: Any) -> Iterator[RunningServer]:
    """Serve ``backend`` on a free port."""
    told = Settings(port=0, page=False, **settings)
    with RunningServer(build_app(backend, told), told) as server:
        yield server


def client(server: RunningServer, **options: Any) -> OpenAI:
    """Return the official client, which tries once."""
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, **options)


def events(response: httpx.Response) -> list[Any]:
    """Return what the ``data:`` lines of a stream say, as an EventSource reads them."""
    found: list[Any] = []
    data: list[str] = []
    for line in response.iter_lines():
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            text = "\n".join(data)
            found.append(text if text == "[DONE]" else json.loads(text))
            data = []
        else:
            assert not line or line.startswith(":")
    assert not data, "the last event has no end"
    return found


def refusal(server: RunningServer, path: str, body: Any, status: int = 400) -> dict[str, Any]:
    """Return the error that a body gets."""
    response = httpx.post(server.url + path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error
