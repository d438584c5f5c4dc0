"""Names, ids and paths that climb: they lead nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hostile import SHORT, Answer, ask, get, patient, post, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketr1.server.http import RunningServer


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with serving(SHORT, page=True) as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> Iterator[RunningServer]:
    with patient(running):
        yield running


def refused(answer: Answer) -> bool:
    return 400 <= answer.status < 500 and bool(answer.code)


CLIMBS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%252e%252e%252fetc%252fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "....//....//etc/passwd",
    "..;/..;/etc/passwd",
    "%c0%ae%c0%ae/etc/passwd",
    "%00",
    "index.html%00.png",
    "%0d%0aSet-Cookie:%20a=b",
    "/etc/passwd",
    "//etc/passwd",
    "C:%5cWindows%5cwin.ini",
    "file:///etc/passwd",
    "%ff%fe",
    "__init__.py",
    "conversations.db",
    "%F0%9F%98%80",
    "x" * 5000,
]


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    "folder",
    ["/", "/assets/", "/v1/models/", "/api/conversations/", "/api/replies/", "/api/"],
)
def test_a_path_that_climbs_leads_nowhere(running: RunningServer, folder: str, climb: str) -> None:
    answer = ask(running, get(folder + climb))
    assert refused(answer)
    assert b"root:" not in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    "form",
    [
        "/api/conversations/{}/export",
        "/api/replies/{}/events",
    ],
)
def test_a_climb_in_the_middle_leads_nowhere(running: RunningServer, form: str, climb: str) -> None:
    assert refused(ask(running, get(form.format(climb))))


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "model"),
        ("/v1/completions", "model"),
    ],
)
def test_a_model_s_name_is_no_path(
    running: RunningServer, path: str, field: str, climb: str
) -> None:
    body = {"messages": [{"role": "user", "content": "a"}], "prompt": "a", field: climb}
    assert refused(ask(running, post(path, json.dumps(body).encode())))


@pytest.mark.parametrize("climb", CLIMBS)
def test_a_message_s_parent_is_no_path(running: RunningServer, climb: str) -> None:
    made = ask(running, post("/api/conversations", b"{}"))
    path = f"/api/conversations/{json.loads(made.body)['id']}/messages"
    body = {"parent": climb, "content": "hi"}
    assert refused(ask(running, post(path, json.dumps(body).encode())))


@pytest.mark.parametrize("climb", [climb for climb in CLIMBS if "/" not in climb])
@pytest.mark.parametrize(
    ("method", "form"),
    [
        ("PATCH", "/api/conversations/{}"),
        ("DELETE", "/api/conversations/{}"),
        ("POST", "/api/conversations/{}/messages"),
        ("POST", "/api/conversations/{}/replies"),
        ("POST", "/api/replies/{}/stop"),
    ],
)
def test_an_id_that_climbs_changes_nothing(
    running: RunningServer, method: str, form: str, climb: str
) -> None:
    body = b'{"title": "x", "content": "x", "parent": null}'
    data = post(form.format(climb), body).replace(b"POST", method.encode(), 1)
    assert refused(ask(running, data))


@pytest.mark.parametrize("climb", CLIMBS)
def test_a_search_that_climbs_finds_nothing(running: RunningServer, climb: str) -> None:
    answer = ask(running, get(f"/api/conversations?q={climb}&before={climb}"))
    assert answer.status in (200, 400)
    assert b"root:" not in answer.body


@pytest.mark.parametrize("after", ["-1", "9" * 30, "1e300", "NaN", "x", "%00", "1.5"])
def test_a_place_in_a_stream_that_is_none_is_refused(running: RunningServer, after: str) -> None:
    made = ask(running, post("/api/conversations", b"{}"))
    path = f"/api/conversations/{json.loads(made.body)['id']}/messages"
    asked = ask(running, post(path, b'{"parent": null, "content": "hi"}'))
    reply = json.loads(asked.body)["reply"]["id"]
    assert refused(ask(running, get(f"/api/replies/{reply}/events?after={after}")))


@pytest.mark.parametrize("format_", ["../../etc/passwd", "exe", "", "json%00"])
def test_an_export_s_format_is_no_path(running: RunningServer, format_: str) -> None:
    assert refused(ask(running, get(f"/api/export?format={format_}")))


@pytest.mark.parametrize("title", ['a"\r\nX-Evil: 1', "../../x", "a/b\\c", "\u202e名\x00"])
def test_a_title_does_not_reach_into_an_export_s_headers(
    running: RunningServer, title: str
) -> None:
    made = ask(running, post("/api/conversations", json.dumps({"title": title}).encode()))
    if made.status >= 400:
        return
    answer = ask(running, get(f"/api/conversations/{json.loads(made.body)['id']}/export"))
    assert answer.status == 200
    assert "x-evil" not in answer.headers
    name = answer.headers["content-disposition"]
    assert "/" not in name.split("filename")[1]
    assert "\\" not in name.split("filename")[1]


PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["/", "/assets/", "/api/", "/v1/", "/api/conversations/", "/v1/models/"]),
    st.text(PRINTABLE, min_size=1, max_size=40),
)
def test_any_path_is_answered(running: RunningServer, folder: str, rest: str) -> None:
    assert ask(running, get(folder + rest)).status < 500


def test_the_server_is_as_it_was(server: RunningServer) -> None:
    assert ask(server, get("/health")).status == 200
