"""What a server says of its model, its texts and itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from fake_backend import FakeBackend, Script
from serving import client, refusal, serving

from pocketr1 import messages
from pocketr1.server.backend import Cached, Load
from pocketr1.server.http import RunningServer


@pytest.fixture(scope="module")
def backend() -> FakeBackend:
    return FakeBackend(Script(ended={"queue_seconds": 0.2, "decode_seconds": 0.24}))


@pytest.fixture(scope="module")
def server(backend: FakeBackend) -> Iterator[RunningServer]:
    with serving(backend) as running:
        yield running


def get(server: RunningServer, path: str) -> Any:
    return httpx.get(server.url + path).raise_for_status().json()


def post(server: RunningServer, path: str, body: Any) -> Any:
    return httpx.post(server.url + path, json=body).raise_for_status().json()


def test_the_model_is_listed(server: RunningServer) -> None:
    (model,) = client(server).models.list()
    assert (model.id, model.object, model.owned_by) == ("fake", "model", "pocketr1")
    assert client(server).models.retrieve("fake") == model
    with pytest.raises(openai.NotFoundError):
        client(server).models.retrieve("other/model")
    assert get(server, "/v1/models")["data"][0]["meta"]["max_context"] == 4096


def test_texts_are_tokenized_and_back(server: RunningServer) -> None:
    found = post(server, "/tokenize", {"content": "Hi"})
    assert found == {"tokens": [72, 105], "count": 2, "max_model_len": 4096}
    assert post(server, "/tokenize", {"prompt": ""})["tokens"] == []
    assert post(server, "/detokenize", {"tokens": [72, 105]}) == {"content": "Hi"}
    refusal(server, "/tokenize", {})
    refusal(server, "/tokenize", {"content": "a", "prompt": "b"})
    refusal(server, "/detokenize", {"tokens": [-1]})
    refusal(server, "/detokenize", {"tokens": ["a"]})


def test_the_prompt_of_a_conversation(server: RunningServer) -> None:
    body = {"messages": [{"role": "user", "content": "a"}]}
    found = post(server, "/apply-template", body)
    assert found["prompt"] == "[user]a[assistant]<think>\n"
    assert found["count"] == len(found["tokens"])
    assert found["thinking"] is True
    found = post(server, "/apply-template", {**body, "thinking": {"type": "disabled"}})
    assert found["thinking"] is False


def test_what_is_kept_of_prompts_can_be_dropped() -> None:
    backend = FakeBackend()
    backend.kept = Cached(3, 3072, "/cache/kv.sqlite3", 9, 9999)
    with serving(backend) as server:
        assert get(server, "/v1/cache") == {
            "memory": {"pages": 3, "bytes": 3072},
            "store": {"path": "/cache/kv.sqlite3", "pages": 9, "bytes": 9999},
        }
        assert httpx.delete(server.url + "/v1/cache").status_code == 204
        assert get(server, "/v1/cache") == {"memory": {"pages": 0, "bytes": 0}, "store": None}


def test_health_says_when_it_closes() -> None:
    from starlette.testclient import TestClient

    from pocketr1.server.app import Settings, build_app

    app = build_app(FakeBackend(), Settings(page=False))
    asked = TestClient(app, base_url="http://127.0.0.1")
    assert asked.get("/health").json() == {"status": "ok"}
    asyncio.run(app.state.backend.close())
    answer = asked.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "closing"})


def test_health_says_when_the_model_is_dead() -> None:
    backend = FakeBackend()
    backend.busy = Load(alive=False)
    with serving(backend) as server:
        answer = httpx.get(server.url + "/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "failed"})


def test_figures_are_in_prometheus_format(server: RunningServer, backend: FakeBackend) -> None:
    backend.busy = Load(running=2, kv_pages_used=5, generated_tokens_total=77, memory_budget=1000)
    body = {"messages": [{"role": "user", "content": "a"}]}
    post(server, "/v1/chat/completions", body)
    httpx.get(server.url + "/nowhere")
    answer = httpx.get(server.url + "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    sample = re.compile(r'[a-z_0-9]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.e]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    assert "pocketr1_running_replies 2" in text
    assert 'pocketr1_kv_pages{state="used"} 5' in text
    assert "pocketr1_generated_tokens_total 77" in text
    assert "pocketr1_memory_budget_bytes 1000" in text
    done = 'pocketr1_requests_total{method="POST",route="/v1/chat/completions",status="200"} 1'
    assert done in text
    assert 'pocketr1_requests_total{method="other",route="other",status="404"} 1' in text
    assert "pocketr1_time_to_first_token_seconds_count 1" in text
    assert 'pocketr1_queue_seconds_bucket{le="0.1"} 0' in text
    assert 'pocketr1_queue_seconds_bucket{le="0.25"} 1' in text
    assert "pocketr1_time_per_token_seconds_sum 0.010000" in text


def test_no_such_route_and_no_such_method(server: RunningServer) -> None:
    for method, path, status in (("GET", "/v2/x", 404), ("GET", "/v1/completions", 405)):
        answer = httpx.request(method, server.url + path)
        assert answer.status_code == status
        assert answer.json()["error"]["code"].startswith("request-")
    assert httpx.get(server.url + "/tokenize").headers["allow"] == "POST"


def test_errors_are_in_the_server_s_language(server: RunningServer) -> None:
    messages.set_language("zh")
    try:
        error = refusal(server, "/detokenize", {"tokens": "a"})
    finally:
        messages.set_language(None)
    assert error["message"].startswith('tokens 应为列表，而不是 "a"。')


def test_every_route_is_described(server: RunningServer) -> None:
    document = get(server, "/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert {"/v1/chat/completions", "/v1/cache", "/health", "/openapi.json"} <= set(
        document["paths"]
    )
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert "text/event-stream" in chat["responses"]["200"]["content"]
    body = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    fields = document["components"]["schemas"][body.rpartition("/")[2]]["properties"]
    assert {"messages", "thinking", "response_format", "stream_options"} <= set(fields)
