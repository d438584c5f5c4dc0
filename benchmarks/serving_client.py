"""A client of ``/v1/completions`` that notes when what came, the same for every server.

One connection a request, as programs on a phone have them. What comes is noted with its time and
read only afterwards, so that the client takes little of the machine that serves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import h11

__all__ = ["Asked", "ask", "fetch_json"]

_READ = 1 << 16
_PATIENCE = 600.0  # seconds without a byte after which a server counts as dead


@dataclass
class Asked:
    """One request and what became of it; times by ``perf_counter``.

    due: when it was to be sent; sent: when it was sent the time it was taken; times: when each
    piece of text came, or each token where probabilities are asked for; tokens: as the server
    counts them; refused: how often it was told to come again; error: what else went wrong; cut:
    ended by the client.
    """

    number: int
    prompt_tokens: int
    wanted: int
    due: float
    sent: float = 0.0
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    refused: int = 0
    error: str | None = None
    cut: bool = False

    @property
    def first_token_s(self) -> float:
        """Seconds from when it was due to its first piece of text."""
        return self.times[0] - self.due

    @property
    def latency_s(self) -> float:
        """Seconds from when it was due to its end."""
        return self.ended - self.due

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between one piece of text and the next."""
        return [after - before for before, after in pairwise(self.times)]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, the times from when it was due."""
        return {
            "number": self.number,
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "due": self.due,
            "sent": self.sent - self.due,
            "times": [round(time - self.due, 6) for time in self.times],
            "ended": self.ended - self.due,
            "refused": self.refused,
            "error": self.error,
        }


async def ask(
    url: str, ids: Sequence[int], asked: Asked, fields: Mapping[str, Any], *, wait: bool = True
) -> Asked:
    """Wait until the request is due, send it, and note what comes.

    A refusal (429) is answered by coming again after as long as the server says; time goes on
    meanwhile. wait: with False it is sent at once. Cancelling it closes the connection.
    """
    body = {
        **fields,
        "prompt": list(ids),
        "max_tokens": asked.wanted,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    data = json.dumps(body).encode()
    if wait:
        await asyncio.sleep(max(0.0, asked.due - perf_counter()))
    lines: list[tuple[float, bytes]] = []
    try:
        while True:
            lines.clear()
            asked.sent = perf_counter()
            status, headers = await _post(url, data, lines)
            if status != 429:
                break
            asked.refused += 1
            await asyncio.sleep(float(headers.get("retry-after", "1")))
        if status != 200:
            asked.error = f"{status} {b''.join(line for _, line in lines)[:300].decode()}"
    except asyncio.CancelledError:
        asked.cut = True
        raise
    except (OSError, h11.ProtocolError, asyncio.TimeoutError) as error:
        asked.error = f"{type(error).__name__} {error}"
    finally:
        asked.ended = perf_counter()
        if asked.error is None:
            _read(asked, lines)
    return asked


def _read(asked: Asked, lines: Sequence[tuple[float, bytes]]) -> None:
    """Put the events into the record."""
    for time, line in lines:
        if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
            continue
        event = json.loads(line[5:])
        if "error" in event:
            asked.error = json.dumps(event["error"])[:300]
            return
        if any(c.get("text") or c.get("logprobs") for c in event.get("choices", ())):
            asked.times.append(time)
        asked.tokens = (event.get("usage") or {}).get("completion_tokens", asked.tokens)


async def _post(
    url: str, data: bytes, lines: list[tuple[float, bytes]]
) -> tuple[int, dict[str, str]]:
    """Send it and put each line of the answer into ``lines`` with the time at which it came."""
    to = urlsplit(url)
    reader, writer = await asyncio.open_connection(to.hostname, to.port)
    try:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="POST",
            target=to.path,
            headers=[
                ("Host", to.netloc),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(data))),
                ("Connection", "close"),
            ],
        )
        for event in (request, h11.Data(data=data), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        status, headers, rest = 0, {}, b""
        while True:
            received = connection.next_event()
            if received is h11.NEED_DATA:
                chunk = await asyncio.wait_for(reader.read(_READ), _PATIENCE)
                now = perf_counter()
                connection.receive_data(chunk)
            elif isinstance(received, h11.Response):
                status = received.status_code
                headers = {k.decode(): v.decode() for k, v in received.headers}
            elif isinstance(received, h11.Data):
                *whole, rest = (rest + bytes(received.data)).split(b"\n")
                lines += [(now, line.rstrip(b"\r")) for line in whole if line.strip()]
            elif isinstance(received, (h11.EndOfMessage, h11.ConnectionClosed)):
                if rest:
                    lines.append((now, rest))
                return status, headers
    finally:
        writer.close()


async def fetch_json(url: str) -> tuple[int, Any]:
    """GET a small JSON document; return status and content (``None`` where it is none)."""
    to = urlsplit(url)
    reader, writer = await asyncio.open_connection(to.hostname, to.port)
    try:
        head = f"GET {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target=to.path, headers=[("Host", to.netloc)]))
        connection.send(h11.EndOfMessage())
        status, content = 0, b""
        while True:
            received = connection.next_event()
            if received is h11.NEED_DATA:
                connection.receive_data(await asyncio.wait_for(reader.read(_READ), _PATIENCE))
            elif isinstance(received, h11.Response):
                status = received.status_code
            elif isinstance(received, h11.Data):
                content += bytes(received.data)
            else:
                break
    finally:
        writer.close()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, None
