"""What is not HTTP, or not quite: it gets a 4xx or is cut, and the server lives."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator

import pytest
import uvicorn
from hostile import ECHO, Answer, ask, get, patient, post, serving, talk
from uvicorn.protocols.http.h11_impl import H11Protocol

from pocketr1.server.http import RunningServer, _Server
from pocketr1.server.protocol import Connection

TAIL = "Host: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> Iterator[RunningServer]:
    with patient(running):
        yield running


def answers(came: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.1 \d", came))


def refused(answer: Answer) -> bool:
    return answer.status == 0 or 400 <= answer.status < 500


@pytest.mark.parametrize(
    "data",
    [
        b"GET /health\r\n",  # HTTP/0.9
        b"GET /health HTTP/9.9\r\n" + TAIL.encode(),
        b"GET  /health HTTP/1.1\r\n" + TAIL.encode(),
        b"GET /health HTTP/1.1\n\n",
        b"\r\n\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\n",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
        random.Random(1).randbytes(5000) + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nA\x00b: c\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\na: \x00\r\n\r\n",
        b"GET /h\xc3\xa9 HTTP/1.1\r\n" + TAIL.encode(),
        b"GET /health HTTP/1.1\r\nnonsense\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(server: RunningServer, data: bytes) -> None:
    assert refused(ask(server, data))


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_refused(server: RunningServer, seed: int) -> None:
    assert refused(ask(server, random.Random(seed).randbytes(100_000)))


def test_a_refusal_of_what_is_not_http_has_the_shape_of_every_error(server: RunningServer) -> None:
    answer = ask(server, b"GET /health HTTP/1.1\r\nnonsense\r\n\r\n")
    assert answer.status == 400
    assert answer.code == "server-not-http"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "hosts", [[], ["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.example"], [""], ["a b"], ["@x"]]
)
def test_one_proper_host_is_needed(server: RunningServer, hosts: list[str]) -> None:
    lines = ["GET /v1/models HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
    assert ask(server, "\r\n".join(lines).encode()).status == 400


def test_an_older_request_without_a_host_is_refused(server: RunningServer) -> None:
    assert ask(server, b"GET /v1/models HTTP/1.0\r\n\r\n").status == 400


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "192.0.2.1",
        "[2001:db8::1]",
        "0.0.0.0",
        "2130706433",
        "127.1",
    ],
)
def test_a_name_that_somebody_rebound_is_refused(server: RunningServer, host: str) -> None:
    answer = ask(server, get("/v1/models", host=host))
    assert answer.status == 403
    assert answer.code == "host-refused"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]", "127.0.0.9"])
def test_names_of_loopback_are_taken(server: RunningServer, host: str) -> None:
    assert ask(server, get("/health", host=host)).status == 200


@pytest.mark.parametrize(
    "target", ["http://evil.example/v1/models", "http://127.0.0.1/v1/models", "*", "models"]
)
def test_a_target_that_is_no_path_is_refused(server: RunningServer, target: str) -> None:
    assert ask(server, get(target)).status == 400


def test_an_absolute_target_does_not_stand_in_for_the_host(server: RunningServer) -> None:
    answer = ask(server, get("http://127.0.0.1/v1/models", host="evil.example"))
    assert answer.status in (400, 403)


@pytest.mark.parametrize("method", ["PUT", "TRACE", "CONNECT", "OPTIONS", "BREW", "get", "X" * 50])
def test_other_methods_are_refused(server: RunningServer, method: str) -> None:
    answer = ask(server, f"{method} /v1/models HTTP/1.1\r\n{TAIL}".encode())
    assert answer.status == 405
    assert "get" in answer.headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: " + "9" * 100,
    ],
)
def test_a_body_of_two_lengths_is_refused(server: RunningServer, headers: str) -> None:
    head = f"POST {ECHO} HTTP/1.1\r\nContent-Type: application/json\r\n{headers}\r\n{TAIL}"
    smuggled = get("/v1/models")
    came = talk(server, head.encode() + b"0\r\n\r\n" + smuggled)
    assert came.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert answers(came) == 1


def test_chunks_of_an_older_request_are_refused(server: RunningServer) -> None:
    head = f"POST {ECHO} HTTP/1.0\r\nContent-Type: application/json\r\n"
    head += f"Transfer-Encoding: chunked\r\n{TAIL}"
    assert ask(server, head.encode() + b"2\r\n{}\r\n0\r\n\r\n").status == 400


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}XX0\r\n\r\n",
        b"2\n{}\n0\n\n",
        b"ffffffffffffffffffffffff\r\n{}",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"2;" + b"a" * 2_000_000 + b"\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_bad_chunks_are_refused(server: RunningServer, chunks: bytes) -> None:
    head = f"POST {ECHO} HTTP/1.1\r\nContent-Type: application/json\r\n"
    head += f"Transfer-Encoding: chunked\r\n{TAIL}"
    assert refused(ask(server, head.encode() + chunks))


def test_many_headers_are_refused(server: RunningServer) -> None:
    answer = ask(server, get("/v1/models", *(f"a{n}: b" for n in range(200))))
    assert answer.status == 431
    assert answer.code == "server-header-count"


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_large_headers_are_refused(server: RunningServer, size: int) -> None:
    answer = ask(server, get("/v1/models", "a: " + "b" * size))
    assert answer.status in (0, 431)


def test_endless_headers_are_cut(server: RunningServer) -> None:
    flood = (b"a%d: b\r\n" % n for n in range(2_000_000))
    start = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    assert ask(server, start, *(b"".join(next(flood) for _ in range(10_000)) for _ in range(50)))


def test_a_long_line_without_an_end_is_refused(server: RunningServer) -> None:
    assert ask(server, b"GET /" + b"a" * 200_000).status in (0, 431)


def test_pipelined_requests_are_answered_in_turn(server: RunningServer) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    assert talk(server, one * 50 + get("/health")).count(b"HTTP/1.1 200") == 51


def test_noise_behind_a_request_does_not_reach_its_answer(server: RunningServer) -> None:
    came = talk(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\x00\x01\x02\r\n\r\n")
    assert came.startswith(b"HTTP/1.1 200")
    assert answers(came) <= 2


def test_a_web_socket_is_not_opened(server: RunningServer) -> None:
    upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"]
    assert ask(server, get("/nowhere", *upgrade)).status == 404


def test_a_body_that_is_announced_too_large_is_refused_unread(server: RunningServer) -> None:
    head = post(ECHO, b"").replace(b"Content-Length: 0", b"Content-Length: 99999999999")
    answer = ask(server, head)
    assert answer.status == 413
    assert answer.code == "body-large"


def test_chunks_that_grow_too_large_are_refused(server: RunningServer) -> None:
    head = f"POST {ECHO} HTTP/1.1\r\nContent-Type: application/json\r\n"
    head += f"Transfer-Encoding: chunked\r\n{TAIL}"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = ask(server, head.encode(), *[chunk] * 100)
    assert answer.status in (0, 413)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
        "",
    ],
)
def test_what_is_not_said_to_be_json_is_refused(server: RunningServer, kind: str) -> None:
    data = post(ECHO, b"{}").replace(b"application/json", kind.encode())
    assert ask(server, data).status == 415


def test_a_compressed_body_is_refused(server: RunningServer) -> None:
    assert ask(server, post(ECHO, b"{}", "Content-Encoding: gzip")).status == 415


def test_what_uvicorn_is_told_anew_is_there() -> None:
    """The names are its own, not promised: another version may have others."""
    for own, base in ((Connection, H11Protocol), (_Server, uvicorn.Server)):
        # Of each method that is defined here: another's, or called by nobody but us.
        told = {name for name, value in vars(own).items() if inspect.isfunction(value)}
        ours = {"_read_on", "_answered", "_unsent", "_watch", "_reading_stands", "_writing_stands"}
        ours |= {"_refuse", "serve_until_stopped", "_call"}
        assert [name for name in sorted(told - ours) if not hasattr(base, name)] == []
