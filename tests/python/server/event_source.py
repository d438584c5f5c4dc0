"""A client of server-sent events that can lose its connection, as a browser's EventSource does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

__all__ = ["EventSource"]


@dataclass
class EventSource:
    """Listens to ``path``. last: the id of the last event; heard: (kind, data) of all events."""

    client: httpx.Client
    path: str
    last: str = ""
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def connect(self, until: int | None = None) -> int:
        """Listen until the server closes, or ``until`` numbered events have come; give the status.

        Leaving early drops the connection.
        """
        headers = {"Last-Event-ID": self.last} if self.last else {}
        with self.client.stream("GET", self.path, headers=headers) as response:
            if response.status_code != 200:
                return response.status_code
            assert response.headers["content-type"].startswith("text/event-stream")
            numbered = 0
            for id, kind, data in _events(response.iter_lines()):
                self.heard.append((kind, data))
                if id is not None:
                    self.last = id
                    numbered += 1
                    if numbered == until:
                        break
        return response.status_code

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.heard if kind != "stats"]

    def text(self, kind: str) -> str:
        return "".join(
            data["text"] for name, data in self.heard if name == "piece" and data["kind"] == kind
        )


def _events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, Any]]:
    id, kind, data = None, "message", ""
    for line in lines:
        if line.startswith("id: "):
            id = line[4:]
        elif line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
        elif not line and data:
            yield id, kind, json.loads(data)
            id, kind, data = None, "message", ""
