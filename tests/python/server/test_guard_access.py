"""Who may ask: names, origins, keys, sessions; and what every answer says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hostile import serving
from starlette.requests import Request

from pocketr1.errors import BusyError
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.headers import PAGE_POLICY
from pocketr1.server.guard.hosts import Hosts
from pocketr1.server.guard.keys import COOKIE, Keys
from pocketr1.server.guard.limits import Limits

KEY = "correct-horse-battery"
FRIEND = "http://friend.example:3000"
MODELS = "/v1/models"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(allowed_hosts=("phone.lan",), allowed_origins=(FRIEND,), page=True) as server:
        yield server.url


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    with serving(api_key=KEY, page=True) as server:
        yield server.url


def code(response: httpx.Response) -> Any:
    return response.json()["error"]["code"]


def asks(**headers: str) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


# Names.


@pytest.mark.parametrize(
    ("local", "header", "taken"),
    [
        ("192.168.1.5", "192.168.1.5:8080", True),
        ("192.168.1.5", "phone.lan", True),
        ("192.168.1.5", "PHONE.lan:80", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("192.168.1.5", "localhost", False),
        ("192.168.1.5", "127.0.0.1", False),
        ("192.168.1.5", "evil.example", False),
        ("::ffff:192.168.1.5", "192.168.1.5", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "[::1]:80", True),
        ("::1", "[::1]", True),
        ("fe80::1%eth0", "[fe80::1]", True),
        ("127.0.0.1", "192.168.1.5", False),
        ("127.0.0.1", "0.0.0.0", False),
    ],
)
def test_a_name_fits_the_address_a_connection_came_to(local: str, header: str, taken: bool) -> None:
    hosts = Hosts("0.0.0.0", ["phone.lan:8080"])
    if taken:
        assert hosts.check(header, local) == header.lower()
        return
    with pytest.raises(RequestError) as caught:
        hosts.check(header, local)
    assert caught.value.status == 403


def test_the_name_listened_on_is_taken() -> None:
    assert Hosts("my-phone", []).check("my-phone:80", "192.168.1.5") == "my-phone:80"


@pytest.mark.parametrize("header", [None, "", "a b", "a/b", "u@a", "a:b", "[::1", "a:80:80", "é"])
def test_what_is_no_host_is_malformed(header: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        Hosts("a", []).check(header, "127.0.0.1")
    assert caught.value.code == "host-malformed"


def test_an_allowed_name_is_taken(url: str) -> None:
    assert httpx.get(url + MODELS, headers={"Host": "phone.lan"}).status_code == 200


# Origins.


@pytest.mark.parametrize(
    "headers",
    [
        asks(Origin="http://evil.example"),
        asks(Origin="null"),
        asks(Origin="http://localhost:1"),
        asks(Origin="https://friend.example:3000"),
        asks(Origin="http://friend.example"),
        asks(Origin="http://friend.example:30001"),
        asks(Origin=""),
        asks(Sec_Fetch_Site="cross-site"),
        asks(Sec_Fetch_Site="same-site"),
        asks(Sec_Fetch_Site="same-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document"),
        asks(Sec_Fetch_Site="strange"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_others_may_not_ask(url: str, method: str, headers: dict[str, str]) -> None:
    json = {"messages": [{"role": "user", "content": "hi"}]} if method == "POST" else None
    path = MODELS if method == "GET" else "/v1/chat/completions"
    response = httpx.request(method, url + path, headers=headers, json=json)
    assert response.status_code == 403
    assert code(response) in ("origin-refused", "site-refused")
    assert "access-control-allow-origin" not in response.headers


def test_two_origins_are_none(url: str) -> None:
    headers = [("Origin", FRIEND), ("Origin", "http://evil.example")]
    assert httpx.get(url + MODELS, headers=headers).status_code == 403


def test_the_own_page_may_ask(url: str) -> None:
    own = asks(Origin=url, Sec_Fetch_Site="same-origin")
    assert httpx.get(url + MODELS, headers=own).status_code == 200
    typed = asks(Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")
    assert httpx.get(url + MODELS, headers=typed).status_code == 200


def test_a_link_from_another_site_may_open_the_page_but_no_frame(url: str) -> None:
    link = asks(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")
    assert httpx.get(url + "/", headers=link).status_code == 200
    assert httpx.get(url + "/api/conversations", headers=link).status_code == 403
    frame = link | asks(Sec_Fetch_Dest="iframe")
    assert httpx.get(url + "/", headers=frame).status_code == 403


def test_an_allowed_origin_is_told_that_it_may_read(url: str) -> None:
    headers = asks(Origin=FRIEND, Sec_Fetch_Site="cross-site")
    response = httpx.get(url + MODELS, headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in response.headers
    assert "Origin" in response.headers["vary"]


def test_an_allowed_origin_may_read_errors(url: str) -> None:
    response = httpx.get(url + "/v1/models/none", headers=asks(Origin=FRIEND))
    assert response.status_code == 404
    assert response.headers["access-control-allow-origin"] == FRIEND


def preflight(url: str, origin: str) -> httpx.Response:
    headers = asks(
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization, content-type",
        Access_Control_Request_Private_Network="true",
    )
    return httpx.request("OPTIONS", url + "/v1/chat/completions", headers=headers)


def test_an_allowed_origin_gets_its_preflight(url: str) -> None:
    response = preflight(url, FRIEND)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "authorization, content-type"
    assert response.headers["access-control-allow-private-network"] == "true"


def test_nobody_else_gets_a_preflight(url: str) -> None:
    response = preflight(url, "http://evil.example")
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


# Keys.


@pytest.mark.parametrize(
    "path", [MODELS, "/api/conversations", "/api/info", "/metrics", "/openapi.json", "/none"]
)
def test_without_the_key_nothing_is_told(locked: str, path: str) -> None:
    response = httpx.get(locked + path)
    assert response.status_code == 401
    assert code(response) == "key-missing"
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/", "/health", "/favicon.ico", "/assets/LICENSES.txt"])
def test_the_page_itself_needs_no_key(locked: str, path: str) -> None:
    assert httpx.get(locked + path).status_code == 200


@pytest.mark.parametrize("value", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY}"])
def test_the_key_opens(locked: str, value: str) -> None:
    assert httpx.get(locked + MODELS, headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize("value", ["", "Bearer", KEY, f"Basic {KEY}", f"Token {KEY}"])
def test_what_is_no_key_is_not_counted_as_one(locked: str, value: str) -> None:
    response = httpx.get(locked + MODELS, headers={"Authorization": value})
    assert response.status_code == 401
    assert code(response) in ("key-scheme", "key-missing")


def test_two_keys_are_none(locked: str) -> None:
    headers = [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer other")]
    assert httpx.get(locked + MODELS, headers=headers).status_code == 401


def test_a_browser_gives_the_key_once(locked: str) -> None:
    with httpx.Client(base_url=locked) as browser:
        response = browser.post("/api/session", json={"key": KEY})
        assert response.status_code == 204
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert KEY not in cookie
        assert browser.get(MODELS).status_code == 200
        assert browser.delete("/api/session").status_code == 204
        browser.cookies.set(COOKIE, response.cookies[COOKIE])
        assert browser.get(MODELS).status_code == 401


def test_a_page_of_others_cannot_use_the_cookie(locked: str) -> None:
    token = httpx.post(locked + "/api/session", json={"key": KEY}).cookies[COOKIE]
    headers = asks(Cookie=f"{COOKIE}={token}", Origin="http://localhost:1")
    assert httpx.get(locked + MODELS, headers=headers).status_code == 403


def test_a_wrong_key_sets_no_cookie(locked: str) -> None:
    response = httpx.post(locked + "/api/session", json={"key": KEY + "x"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    httpx.post(locked + "/api/session", json={"key": KEY})  # the guess is forgiven


@pytest.mark.parametrize("body", [{}, [], {"key": 1}, {"key": None}, "x", None])
def test_a_session_needs_a_key(locked: str, body: Any) -> None:
    response = httpx.post(locked + "/api/session", json=body)
    assert response.status_code == 400


def test_a_session_s_body_is_small(locked: str) -> None:
    response = httpx.post(locked + "/api/session", json={"key": "x" * 10_000})
    assert response.status_code == 413


def test_without_a_key_there_are_no_sessions(url: str) -> None:
    assert httpx.post(url + "/api/session", json={"key": "x"}).status_code == 404


class Guesses:
    """Keys on a clock of the test's."""

    def __init__(self, **limits: Any) -> None:
        self.now = 0.0
        self.keys = Keys(KEY, Limits(**limits), lambda: self.now)

    def ask(self, key: str, address: str = "192.0.2.1", cookie: str | None = None) -> str:
        headers = [(b"authorization", f"Bearer {key}".encode())]
        if cookie is not None:
            headers.append((b"cookie", f"{COOKIE}={cookie}".encode()))
        scope = {"type": "http", "headers": headers, "client": (address, 1)}
        try:
            self.keys.check(Request(scope))
        except (RequestError, BusyError) as error:
            return error.code
        return "open"

    def sign_in(self, address: str = "192.0.2.1") -> str:
        return self.keys.sign_in(
            KEY, Request({"type": "http", "headers": [], "client": (address, 1)})
        )


def test_guesses_are_counted_and_forgotten() -> None:
    guesses = Guesses(wrong_keys=3, wrong_key_seconds=60)
    assert [guesses.ask("wrong") for _ in range(4)] == ["key-wrong"] * 3 + ["key-attempts"]
    assert guesses.ask(KEY) == "key-attempts"
    guesses.now = 61
    assert guesses.ask(KEY) == "open"


def test_guesses_of_one_shut_out_nobody_else() -> None:
    guesses = Guesses(wrong_keys=1)
    token = guesses.sign_in()
    guesses.ask("wrong")
    assert guesses.ask(KEY) == "key-attempts"
    assert guesses.ask(KEY, "192.0.2.2") == "open"
    assert guesses.ask("wrong", cookie=token) == "open"


def test_a_network_s_many_ipv6_addresses_are_one() -> None:
    guesses = Guesses(wrong_keys=2)
    found = [guesses.ask("wrong", f"2001:db8::{n}") for n in range(3)]
    assert found == ["key-wrong", "key-wrong", "key-attempts"]
    assert guesses.ask(KEY, "2001:db8:0:1::1") == "open"


def test_the_oldest_session_goes_first() -> None:
    guesses = Guesses(sessions=2)
    first, second, third = guesses.sign_in(), guesses.sign_in(), guesses.sign_in()
    assert guesses.ask("", cookie=first) != "open"
    assert guesses.ask("", cookie=second) == guesses.ask("", cookie=third) == "open"


def test_a_key_beyond_ascii_is_only_wrong() -> None:
    headers = [(b"authorization", "Bearer schlüssel".encode("latin-1"))]
    request = Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1)})
    with pytest.raises(RequestError) as caught:
        Keys(KEY, Limits()).check(request)
    assert caught.value.code == "key-wrong"


# Headers.


@pytest.mark.parametrize("path", ["/", MODELS, "/none", "/health", "/assets/none"])
def test_every_answer_is_closed_to_frames_sniffing_and_other_origins(url: str, path: str) -> None:
    headers = httpx.get(url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_the_page_may_load_what_lies_beside_it_alone(url: str) -> None:
    response = httpx.get(url + "/")
    assert response.headers["content-security-policy"] == PAGE_POLICY
    assert "http" not in PAGE_POLICY
    assert "unsafe-eval" not in PAGE_POLICY


def test_data_is_kept_by_no_cache(url: str) -> None:
    assert httpx.get(url + "/api/conversations").headers["cache-control"] == "no-store"
