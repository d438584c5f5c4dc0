"""Mixed load on a server of its own: nothing of it stays behind.

Clients stream, ask for whole answers, hang up in the midst of a prompt or an answer, stop replies
and send nonsense, all at once and at random. Afterwards the server holds no page, no thread and no
memory that it did not hold before. Seconds of it in every run of the tests, half an hour with
``--soak`` (POCKETR1_SOAK_SECONDS for another time).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

CLIENTS = 12
QUESTION = "What is {} times {}? Then say why {} is a number."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Return the address and the process id of a server of Tiny R1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    environment = {**os.environ, "POCKETR1_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "pocketr1", "serve", "tiny", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, process.pid
        assert process.poll() is None, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


class Visitor:
    """One client that does one thing after another, drawn from a seed."""

    def __init__(self, client: httpx.AsyncClient, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self.done: dict[str, int] = {}

    async def visit(self, until: float) -> None:
        """Go on until the time has come."""
        ways = (
            self.stream, self.stream, self.ask, self.complete, self.hang_up, self.hang_up,
            self.hang_up_on_a_prompt, self.converse, self.converse, self.talk_nonsense,
        )  # fmt: skip
        while time.monotonic() < until:
            way = self._random.choice(ways)
            await way()
            self.done[way.__name__] = self.done.get(way.__name__, 0) + 1

    def _question(self) -> list[dict[str, str]]:
        numbers = (self._random.randrange(100) for _ in range(3))
        return [{"role": "user", "content": QUESTION.format(*numbers)}]

    async def _lines(self, path: str, body: dict[str, Any]) -> AsyncIterator[str]:
        async with self._client.stream("POST", path, json={**body, "stream": True}) as answer:
            assert answer.status_code in (200, 429), await answer.aread()
            async for line in answer.aiter_lines():
                assert '"error"' not in line, line
                yield line

    async def stream(self) -> None:
        """Read an answer to its end."""
        body = {"messages": self._question(), "max_tokens": self._random.randrange(1, 200)}
        lines = [line async for line in self._lines("/v1/chat/completions", body)]
        assert not lines or "data: [DONE]" in lines or '"code"' in "".join(lines)

    async def ask(self) -> None:
        """Have an answer in one piece, sometimes held to JSON."""
        body: dict[str, Any] = {"messages": self._question(), "max_tokens": 60, "n": 2}
        if self._random.random() < 0.5:
            body |= {"response_format": {"type": "json_object"}, "n": 1}
        answer = await self._client.post("/v1/chat/completions", json=body)
        assert answer.status_code in (200, 429), answer.text

    async def complete(self) -> None:
        """Go on with a text of random ids."""
        ids = [self._random.randrange(10, 3000) for _ in range(self._random.randrange(1, 400))]
        answer = await self._client.post("/v1/completions", json={"prompt": ids, "logprobs": 2})
        assert answer.status_code in (200, 429), answer.text

    async def hang_up(self) -> None:
        """Leave in the midst of an answer."""
        left = self._random.randrange(1, 30)
        body = {"messages": self._question(), "max_tokens": 1000}
        lines = self._lines("/v1/chat/completions", body)
        async for _ in lines:
            left -= 1
            if left == 0:
                break
        await lines.aclose()  # type: ignore[attr-defined]

    async def hang_up_on_a_prompt(self) -> None:
        """Leave while a long prompt is computed."""
        ids = [self._random.randrange(10, 3000) for _ in range(2000)]
        asked = self._client.post("/v1/completions", json={"prompt": ids, "max_tokens": 100})
        with contextlib.suppress(asyncio.TimeoutError, httpx.TransportError):
            await asyncio.wait_for(asked, self._random.random() * 0.2)

    async def converse(self) -> None:
        """Hold a conversation, listen to some of the reply, stop it or not, erase it."""
        begun = await self._client.post("/api/conversations", json={})
        conversation = begun.json()["id"]
        message = {"parent": None, "content": self._question()[0]["content"]}
        sent = await self._client.post(f"/api/conversations/{conversation}/messages", json=message)
        assert sent.status_code in (201, 429), sent.text
        if sent.status_code == 201:
            reply = sent.json()["reply"]["id"]
            left = self._random.randrange(1, 40)
            async with self._client.stream("GET", f"/api/replies/{reply}/events") as events:
                async for _ in events.aiter_lines():
                    left -= 1
                    if left == 0:
                        break
            if self._random.random() < 0.5:
                stopped = await self._client.post(f"/api/replies/{reply}/stop")
                assert stopped.status_code in (200, 409), stopped.text
        erased = await self._client.delete(f"/api/conversations/{conversation}")
        assert erased.status_code == 204, erased.text

    async def talk_nonsense(self) -> None:
        """Send what no model can answer."""
        path = self._random.choice(("/v1/chat/completions", "/v1/completions", "/tokenize"))
        bodies = (b"{", b"[" * 500, b'{"messages": 5}', b'{"prompt": NaN}', b"\xff", b"null")
        headers = {"Content-Type": "application/json"}
        body = self._random.choice(bodies)
        answer = await self._client.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body, answer.text)


def held(pid: int) -> dict[str, int]:
    """Return threads and resident kilobytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    names = {"threads": "Threads", "kilobytes": "VmRSS"}
    found = {name: re.search(rf"{key}:\s+(\d+)", status) for name, key in names.items()}
    return {name: int(match[1]) for name, match in found.items() if match is not None}


def when_idle(url: str) -> dict[str, Any]:
    """Wait until nobody is answered, and return what the server says of itself."""
    load: dict[str, Any] = {}
    for _ in range(600):
        load = httpx.get(f"{url}/api/load", timeout=30).json()
        if load["running"] == load["waiting"] == load["kv_pages_used"] == 0:
            return load
        time.sleep(0.1)
    pytest.fail(f"the server is still busy: {json.dumps(load)}")


async def visits(url: str, seconds: float, seed: int) -> dict[str, int]:
    """Let all clients visit for so long; return how often each thing was done."""
    limits = httpx.Limits(max_connections=4 * CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        visitors = [Visitor(client, seed + number) for number in range(CLIENTS)]
        until = time.monotonic() + seconds
        await asyncio.gather(*(visitor.visit(until) for visitor in visitors))
    total: dict[str, int] = {}
    for visitor in visitors:
        for way, count in visitor.done.items():
            total[way] = total.get(way, 0) + count
    return total


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("seconds", "megabytes"),
    [
        pytest.param(3.0, 64, id="seconds"),
        pytest.param(
            float(os.environ.get("POCKETR1_SOAK_SECONDS", "1800")),
            32,
            id="half an hour",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_mixed_load_leaves_nothing_behind(
    server: tuple[str, int], seconds: float, megabytes: int
) -> None:
    url, pid = server
    # What is made once, and the prefixes that are kept, is there before it counts.
    asyncio.run(visits(url, max(2.0, min(seconds / 10, 120)), seed=1000))
    before = when_idle(url)
    held_before = held(pid)
    done = asyncio.run(visits(url, seconds, seed=2000))
    after = when_idle(url)
    held_after = held(pid)
    report = {"done": done, "before": before, "after": after, **held_before, "then": held_after}
    print(json.dumps(report))
    assert after["kv_pages_used"] == 0
    assert after["replies_total"] > before["replies_total"]
    assert held_after["threads"] <= held_before["threads"] + 2, report
    # Keys and values that are kept for prompts to come have a limit of their own.
    kept = (after["kv_bytes"] - before["kv_bytes"]) // 1024
    assert held_after["kilobytes"] - kept <= held_before["kilobytes"] + megabytes * 1000, report
