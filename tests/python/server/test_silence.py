"""No prompt in a log, unless it is asked for: whatever goes wrong."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from fake_backend import Script
from hostile import SHORT, ask, get, post, serving

SECRET = "xyzzy-great-aunt"
CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": SECRET}]}

Captured = pytest.LogCaptureFixture


@pytest.fixture(autouse=True)
def everything_is_heard(caplog: Captured) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pocketr1").setLevel(logging.DEBUG)


def said(caplog: Captured, capfd: pytest.CaptureFixture[str]) -> str:
    """Return all that was logged, formatted with its tracebacks, and written."""
    formatter = logging.Formatter("%(name)s %(message)s")
    logged = [formatter.format(record) for record in caplog.records if record.name != "httpx"]
    written = capfd.readouterr()
    return "\n".join([*logged, written.out, written.err])


def boom() -> Any:
    return RuntimeError(f"cannot answer {SECRET}")


@pytest.mark.parametrize(
    ("script", "stream"),
    [
        (Script(), False),
        (Script(), True),
        (Script(error=boom()), False),
        (Script(error=boom()), True),
        (Script(late_error=boom()), False),
        (Script(late_error=boom()), True),
    ],
)
def test_a_prompt_is_in_no_log(
    caplog: Captured, capfd: pytest.CaptureFixture[str], script: Script, stream: bool
) -> None:
    with serving(SHORT, script) as server:
        response = httpx.post(server.url + CHAT, json=BODY | {"stream": stream})
        assert SECRET not in response.text
    assert SECRET not in said(caplog, capfd)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(BODY)[:-5],
        json.dumps({"messages": SECRET}),
        json.dumps({SECRET: NotImplemented is None, "messages": [{"role": SECRET}]}),
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        "[" * 100_000 + SECRET,
    ],
)
def test_a_refused_body_is_in_no_log(
    caplog: Captured, capfd: pytest.CaptureFixture[str], body: str
) -> None:
    with serving() as server:
        assert ask(server, post(CHAT, body.encode())).status == 400
    assert SECRET not in said(caplog, capfd)


def test_a_search_is_in_no_log(caplog: Captured, capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        assert ask(server, get(f"/api/conversations?q={SECRET}")).status == 200
        assert ask(server, get(f"/none/{SECRET}?q={SECRET}")).status == 404
        ask(server, f"GET /{SECRET} nonsense\r\n\r\n".encode())
    assert SECRET not in said(caplog, capfd)


def test_a_key_is_in_no_log(caplog: Captured, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(api_key=SECRET) as server:
        httpx.get(server.url + "/v1/models", headers={"Authorization": f"Bearer {SECRET}"})
        httpx.get(server.url + "/v1/models", headers={"Authorization": f"Bearer {SECRET}x"})
        httpx.post(server.url + "/api/session", json={"key": SECRET})
    assert SECRET not in said(caplog, capfd)


def test_a_fault_is_told_by_its_kind_and_place(
    caplog: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(SHORT, Script(error=boom())) as server:
        response = httpx.post(server.url + CHAT, json=BODY)
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "server-fault"
    told = said(caplog, capfd)
    assert "RuntimeError" in told
    assert "fake_backend.py:" in told


def test_a_prompt_is_logged_where_asked(
    caplog: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(log_prompts=True) as server:
        assert httpx.post(server.url + CHAT, json=BODY).status_code == 200
    assert f"POST {CHAT}" in (told := said(caplog, capfd))
    assert SECRET in told


@pytest.mark.parametrize("path", ["/api/session", "/api/session/", "/api/%73ession"])
def test_a_key_is_in_no_log_of_prompts(
    caplog: Captured, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    with serving(api_key=SECRET, log_prompts=True) as server:
        httpx.post(server.url + path, json={"key": SECRET})
        headers = {"Authorization": f"Bearer {SECRET}"}
        httpx.post(server.url + path, json={"key": SECRET}, headers=headers)
    assert SECRET not in said(caplog, capfd)


def test_a_logged_prompt_cannot_forge_a_line(
    caplog: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(log_prompts=True) as server:
        assert ask(server, post(CHAT, b'{"a":\n"forged line\r\x1b[2J"}')).status == 400
    assert "\nforged" not in (told := said(caplog, capfd))
    assert "\x1b" not in told
