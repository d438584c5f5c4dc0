"""Replies of a busy model, of other processes, and what deleted ones leave behind."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conversing import Client, until
from fake_backend import Script

from pocketr1.chat.history import FILE, History
from pocketr1.errors import BusyError
from pocketr1.server.conversations import replies, running

BUSY = BusyError("server-busy", retry_after=0, waiting=64)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_BUSY_PAUSE", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_reply_waits_for_a_busy_model(serve: Callable[..., Client]) -> None:
    client = serve(Script(error=BUSY), Script(error=BUSY), Script(answer=["Now."]))
    id = client.begin()
    _, reply = client.ask(id, "A")
    source = client.hear(reply)
    assert set(source.kinds()[: source.kinds().index("begun")]) <= {"waiting"}
    assert source.text("answer") == "Now."
    assert client.last(id)["state"] == "done"
    assert len(client.backend.tasks) == 3


def test_who_listens_hears_that_a_reply_waits(serve: Callable[..., Client]) -> None:
    busy = BusyError("server-busy", retry_after=30, waiting=64)
    client = serve(Script(error=busy))
    id = client.begin()
    _, reply = client.ask(id, "A")
    until(lambda: len(client.backend.tasks) == 1)
    with client.http.stream("GET", f"/api/replies/{reply['id']}/events") as response:
        lines = [line for line, _ in zip(response.iter_lines(), range(4), strict=False) if line]
    assert lines == ["retry: 1000", "event: waiting", 'data: {"retry_after": 30}']
    assert client.last(id)["state"] == "running"
    stopped = client.call("POST", f"/api/replies/{reply['id']}/stop")
    assert (stopped["state"], stopped["content"]) == ("stopped", "")


@pytest.mark.usefixtures("impatient")
def test_a_model_that_stays_busy_comes_as_failed(serve: Callable[..., Client]) -> None:
    client = serve(Script(error=BUSY))
    _, reply = client.ask(client.begin(), "A")
    assert client.hear(reply).heard[-1][1]["code"] == "server-busy"
    assert len(client.backend.tasks) == 10


def test_a_wait_of_more_than_minutes_is_none(serve: Callable[..., Client]) -> None:
    client = serve(Script(error=BusyError("server-busy", retry_after=301, waiting=64)))
    _, reply = client.ask(client.begin(), "A")
    assert client.hear(reply).heard[-1][1]["code"] == "server-busy"


def test_a_model_that_fails_on_the_way_comes_as_failed(serve: Callable[..., Client]) -> None:
    client = serve(Script(answer=["half"], late_error=BUSY))
    id = client.begin()
    _, reply = client.ask(id, "A")
    client.hear(reply)
    assert (client.last(id)["state"], client.last(id)["content"]) == ("failed", "half")
    assert len(client.backend.tasks) == 1


def test_what_is_deleted_goes_from_what_is_kept_of_prompts(serve: Callable[..., Client]) -> None:
    client = serve()
    id = client.begin()
    client.call("DELETE", "/api/conversations/none", 404)
    assert client.backend.dropped == []
    client.call("DELETE", f"/api/conversations/{id}", 204)
    assert client.backend.dropped == [False]
    client.call("DELETE", "/api/conversations", 204)
    assert client.backend.dropped == [False, True]


@pytest.mark.parametrize("erase", [False, True])
def test_what_another_process_deletes_is_heard_no_more(
    serve: Callable[..., Client], tmp_path: Path, erase: bool
) -> None:
    client = serve()
    id = client.begin()
    _, reply = client.ask(id, "the secret word is xyzzy")
    client.hear(reply)
    with History(tmp_path / FILE) as other:
        if erase:
            other.erase()
        else:
            other.delete(id)
    for method, act in (("GET", "events"), ("POST", "stop"), ("GET", "events")):
        path = f"/api/replies/{reply['id']}/{act}"
        assert client.error(method, path, 404) == "history-no-message"


def test_a_reply_is_not_held_in_memory_for_long(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "_HEARD_SECONDS", 0.01)
    client = serve()
    id = client.begin()
    _, reply = client.ask(id, "A")
    client.hear(reply)

    def told() -> list[tuple[str, Any]]:
        source = client.hear(reply)
        return source.heard

    until(lambda: told() == [("ended", client.last(id))])


def test_another_answer_has_another_seed(serve: Callable[..., Client]) -> None:
    client = serve()
    id = client.begin(settings={"seed": 2**64 - 1})
    user, reply = client.ask(id, "A")
    client.hear(reply)
    path = f"/api/conversations/{id}/replies"
    for settings in ({}, {}, {"seed": 9}):
        body = {"parent": user["id"], "settings": settings}
        client.hear(client.call("POST", path, 201, json=body)["reply"])
    seeds = [task.sampling.seed for task in client.backend.tasks]
    assert seeds == [2**64 - 1, 0, 1, 9]


def test_a_reply_of_another_process_is_not_stopped_here(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    client = serve()
    id = client.begin()
    with History(tmp_path / FILE) as terminal:
        _, reply = terminal.ask(id, None, "typed in a terminal")
        path = f"/api/replies/{reply.id}/stop"
        assert client.error("POST", path, 409) == "history-elsewhere"
    assert client.call("POST", path)["state"] == "stopped"  # its writer has gone


def test_one_import_at_a_time(serve: Callable[..., Client]) -> None:
    client = serve()
    document = client.call("GET", "/api/export")
    going, data = threading.Event(), json.dumps(document).encode()

    def slow() -> Iterator[bytes]:
        yield data[:10]
        going.wait(20)
        yield data[10:]

    headers = {"Content-Type": "application/json"}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.http.post, "/api/import", content=slow(), headers=headers)
        answers: list[httpx.Response] = []

        def second() -> bool:
            answers.append(client.http.post("/api/import", json=document))
            return answers[-1].status_code == 409

        until(second)
        going.set()
        assert first.result().json() == {"imported": 0}
    assert answers[-1].json()["error"]["code"] == "request-importing"
    assert client.call("POST", "/api/import", json=document) == {"imported": 0}


def test_facts_come_without_waiting_for_the_model(serve: Callable[..., Client]) -> None:
    client = serve()

    async def stuck() -> Any:
        raise AssertionError("it asks the model")

    client.backend.cached = stuck  # type: ignore[method-assign]
    client.backend._facts = dataclasses.replace(client.backend.facts, kv_store="/cache/kv.sqlite3")
    info = client.call("GET", "/api/info")
    assert info["privacy"]["kv_store"] == "/cache/kv.sqlite3"
    assert "kv_store" not in info["model"]
