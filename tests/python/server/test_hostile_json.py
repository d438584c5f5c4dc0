"""Bodies that lie, grow and nest: each gets a 4xx, and the server lives."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_backend import Script
from hostile import CLIENT, PATIENCE, SHORT, patient, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketr1.server.http import RunningServer

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
TOKENIZE, DETOKENIZE, TEMPLATE = "/tokenize", "/detokenize", "/apply-template"
CONVERSATIONS, IMPORT = "/api/conversations", "/api/import"
POSTS = [CHAT, TEXT, TOKENIZE, DETOKENIZE, TEMPLATE, CONVERSATIONS, IMPORT]
HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with serving(SHORT, Script(answer=["ok"])) as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> Iterator[RunningServer]:
    with patient(running):
        yield running


def send(server: RunningServer, path: str, body: bytes | str) -> httpx.Response:
    data = body if isinstance(body, bytes) else body.encode()
    headers = {"Content-Type": "application/json"}
    return CLIENT.post(server.url + path, content=data, headers=headers, timeout=PATIENCE)


def refused(response: httpx.Response) -> bool:
    error = response.json()["error"]
    return 400 <= response.status_code < 500 and error.keys() >= {"message", "code"}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"[" * 100_000,
        b'{"messages":' * 100_000,
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"messages": [], "messages": []}',
        b'{"messages": NaN}',
        b'{"prompt": "\\ud800"}',
        b'{"content": "\xff"}',
        b'{"max_tokens": 1e400}',
        b'{"max_tokens": ' + b"1" * 100_000 + b"}",
        b'{"a": "' + b"x" * (5 << 20) + b'"}',
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b'{"a": 1} {"b": 2}',
    ],
    ids=range(18),
)
def test_a_hostile_body_is_refused(running: RunningServer, path: str, body: bytes) -> None:
    assert refused(send(running, path, body))


CHAT_NUMBERS = [
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty"),
    *("frequency_penalty", "n", "seed", "max_tokens", "max_completion_tokens", "top_logprobs"),
]
TEXT_NUMBERS = ["temperature", "top_p", "n", "seed", "max_tokens", "logprobs", "best_of"]


def with_number(path: str, field: str, number: str) -> str:
    start = (
        f'"messages": {json.dumps(HELLO)}, "logprobs": true' if path == CHAT else '"prompt": "a"'
    )
    return f'{{{start}, "{field}": {number}}}'


@pytest.mark.parametrize(
    ("path", "field"),
    [*((CHAT, field) for field in CHAT_NUMBERS), *((TEXT, field) for field in TEXT_NUMBERS)],
)
@pytest.mark.parametrize("number", ["-1000", "-1e300", "1e300", "1e30", "NaN", '"1"', "[]", "{}"])
def test_a_number_out_of_bounds_is_refused(
    running: RunningServer, path: str, field: str, number: str
) -> None:
    if (field, number) == ("seed", "-1000"):
        number = str(-(2**63) - 1)  # nearer ones count modulo 2^64
    assert refused(send(running, path, with_number(path, field, number)))


@pytest.mark.parametrize("number", ["-1", "1e300", "-9223372036854775808", "NaN", "1.5", '"1"'])
def test_a_thought_s_budget_out_of_bounds_is_refused(running: RunningServer, number: str) -> None:
    body = f'{{"messages": {json.dumps(HELLO)}, "thinking": '
    body += f'{{"type": "enabled", "budget_tokens": {number}}}}}'
    assert refused(send(running, CHAT, body))


@pytest.mark.parametrize("ids", ["[-1]", "[1e300]", "[18446744073709551615]", "[1.5]", '[1, "1"]'])
def test_ids_no_vocabulary_has_are_refused(running: RunningServer, ids: str) -> None:
    assert refused(send(running, TEXT, f'{{"prompt": {ids}}}'))


@pytest.mark.parametrize(
    "number", ["-1", "1e300", "99999999999999999999", "NaN", "x", "0", "", "１"]
)
def test_a_number_in_a_query_that_is_none_is_refused(running: RunningServer, number: str) -> None:
    response = CLIENT.get(f"{running.url}{CONVERSATIONS}", params={"limit": number})
    assert refused(response)


SETTING_NUMBERS = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty"]
SETTING_NUMBERS += ["max_tokens", "think_budget", "seed"]


@pytest.mark.parametrize("field", SETTING_NUMBERS)
@pytest.mark.parametrize("number", ["-1000", "1e300", "NaN", '"1"', "[]"])
def test_a_conversation_s_number_out_of_bounds_is_refused(
    running: RunningServer, field: str, number: str
) -> None:
    body = f'{{"settings": {{"{field}": {number}}}}}'
    assert refused(send(running, CONVERSATIONS, body))


def test_more_messages_than_the_limit_are_refused(running: RunningServer) -> None:
    body = {"messages": HELLO * (SHORT.messages + 1)}
    assert refused(send(running, CHAT, json.dumps(body)))


def test_more_or_longer_stop_strings_than_the_limit_are_refused(running: RunningServer) -> None:
    many = {"messages": HELLO, "stop": ["x"] * (SHORT.stop_strings + 1)}
    long = {"messages": HELLO, "stop": "x" * (SHORT.stop_chars + 1)}
    assert refused(send(running, CHAT, json.dumps(many)))
    assert refused(send(running, CHAT, json.dumps(long)))


def test_a_prompt_longer_than_the_limit_is_refused(running: RunningServer) -> None:
    body = {"messages": [{"role": "user", "content": "x" * (SHORT.prompt_chars + 1)}]}
    assert refused(send(running, CHAT, json.dumps(body)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = [*CHAT_NUMBERS, "messages", "prompt", "stop", "stream", "model", "tools", "tool_choice"]
FIELDS += ["response_format", "thinking", "logit_bias", "content", "tokens", "title", "settings"]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(POSTS),
    st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(HELLO), max_size=6),
)
def test_any_json_is_answered_or_refused(running: RunningServer, path: str, body: Any) -> None:
    assert send(running, path, json.dumps(body)).status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(POSTS), st.binary(max_size=100).filter(lambda body: b"{" not in body))
def test_any_bytes_are_refused(running: RunningServer, path: str, body: bytes) -> None:
    response = send(running, path, body)
    assert 400 <= response.status_code < 500


def test_the_server_is_as_it_was(server: RunningServer) -> None:
    assert send(server, CHAT, json.dumps({"messages": HELLO})).status_code == 200


IMAGE_FORMS: list[Any] = [
    lambda url: {"type": "image_url", "image_url": {"url": url}},
    lambda url: {"type": "image_url", "image_url": url},
    lambda url: {"type": "input_image", "image_url": url},
    lambda url: {"type": "image", "source": {"type": "url", "url": url}},
    lambda url: {"type": "file", "file": {"file_data": url}},
    lambda url: {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
    lambda url: {"type": "video_url", "video_url": {"url": url}},
]


@pytest.mark.parametrize("form", IMAGE_FORMS)
@pytest.mark.parametrize("target", ["http", "file"])
def test_what_a_message_points_at_is_not_fetched(
    server: RunningServer, form: Any, target: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        part = form(url if target == "http" else "file:///etc/hostname")
        text = {"type": "text", "text": "what is this?"}
        body = {"messages": [{"role": "user", "content": [text, part]}]}
        assert refused(send(server, CHAT, json.dumps(body)))
        with pytest.raises(TimeoutError):
            trap.accept()


def test_many_hostile_clients_at_once_leave_nothing_behind(server: RunningServer) -> None:
    bodies = [b"[" * 100_000, b'{"a":1,"a":2}', b"\xff" * 1000, b'{"a":' + b"1" * 10_000 + b"}"]
    statuses: list[int] = []

    def client(number: int) -> None:
        body = bodies[number % len(bodies)]
        statuses.extend(send(server, POSTS[number % 5], body).status_code for _ in range(5))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [400] * 80
