"""Clients that make the server wait: each wait has an end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from hostile import ECHO, SHORT, STREAM, ask, get, patient, post, serving, talk, until

from pocketr1.server.http import RunningServer

ENDLESS = get(STREAM + "?count=100000&delay=0.01").replace(b"Connection: close", b"A: b")


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> Iterator[RunningServer]:
    with patient(running):
        yield running


def trickle(server: RunningServer, start: bytes, drop: bytes) -> bytes:
    """Send ``drop`` again and again until the server has had enough; return what it said."""
    came = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(start)
        client.settimeout(0.05)
        for _ in range(400):
            try:
                client.sendall(drop)
                came += (data := client.recv(65536))
            except TimeoutError:
                continue
            except OSError:
                return came
            if not data:
                return came
    pytest.fail("it was not cut")


def test_a_connection_that_says_nothing_is_closed(server: RunningServer) -> None:
    assert talk(server) == b""


def test_headers_that_trickle_in_are_cut(server: RunningServer) -> None:
    came = trickle(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"a: b\r\n")
    assert came.startswith(b"HTTP/1.1 408")
    assert b"server-slow" in came


def test_headers_that_stop_are_cut(server: RunningServer) -> None:
    assert ask(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n").status == 408


def test_a_body_that_trickles_in_is_cut(server: RunningServer) -> None:
    start = post(ECHO, b"").replace(b"Content-Length: 0", b"Content-Length: 100000")
    came = trickle(server, start, b" ")
    assert came.startswith(b"HTTP/1.1 408")


def test_chunks_that_trickle_in_are_cut(server: RunningServer) -> None:
    start = post(ECHO, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert trickle(server, start, b"1\r\n \r\n").startswith(b"HTTP/1.1 408")


def test_a_body_that_stops_is_cut(server: RunningServer) -> None:
    start = post(ECHO, b"").replace(b"Content-Length: 0", b"Content-Length: 100000")
    assert ask(server, start + b"{").status == 408


def test_a_body_that_trickles_in_behind_its_refusal_is_cut(server: RunningServer) -> None:
    start = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    came = trickle(server, start + b"Content-Length: 100000\r\n\r\n", b" ")
    assert came.startswith(b"HTTP/1.1 404")
    assert b"HTTP/1.1 4" not in came[9:]


def test_a_byte_of_the_next_request_does_not_keep_a_connection(server: RunningServer) -> None:
    came = talk(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"G")
    assert came.startswith(b"HTTP/1.1 200")


def test_a_connection_that_idles_is_closed(server: RunningServer) -> None:
    came = talk(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert came.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 4" not in came[9:]


def test_an_end_in_the_middle_of_headers_closes(server: RunningServer) -> None:
    assert talk(server, b"GET /health HTTP/1.1\r\n", half_close=True) == b""


def test_an_end_in_the_middle_of_a_body_closes(server: RunningServer) -> None:
    start = post(ECHO, b"").replace(b"Content-Length: 0", b"Content-Length: 100000")
    assert talk(server, start + b"{", half_close=True) == b""


def test_a_client_that_hangs_up_ends_its_reply(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(get(STREAM + "?count=100000&delay=0.01"))
        assert client.recv(100)
        client.shutdown(socket.SHUT_WR)
        until(lambda: server.requests == 0)


def test_a_byte_of_the_next_request_does_not_hide_that_a_client_hangs_up(
    server: RunningServer,
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            get(STREAM + "?count=100000&delay=0.01").replace(b"Connection: close", b"A: b")
        )
        assert client.recv(100)
        client.sendall(b"G")
        client.sendall(b"E")
        client.shutdown(socket.SHUT_WR)
        until(lambda: server.requests == 0)


def test_a_client_that_sends_much_ahead_is_cut(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(ENDLESS)
        assert client.recv(100)
        client.sendall(b"G" * (SHORT.header_bytes + 1))
        until(lambda: server.requests == 0)


def test_a_slow_request_for_a_head_alone_is_cut_without_a_body(server: RunningServer) -> None:
    start = post(ECHO, b"").replace(b"Content-Length: 0", b"Content-Length: 100000")
    came = talk(server, start.replace(b"POST", b"HEAD") + b"{")
    assert came.startswith(b"HTTP/1.1 408")
    assert came.endswith(b"\r\n\r\n")


def test_a_client_that_reads_nothing_is_cut(server: RunningServer) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(get(STREAM + "?count=5000&size=10000"))
        until(lambda: server.requests == 1)
        until(lambda: server.requests == 0 and server.connections == 0)


def test_a_client_that_does_not_read_the_end_is_cut(server: RunningServer) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(get(STREAM + "?count=1&size=4000000"))
        until(lambda: server.connections == 1)
        until(lambda: server.connections == 0)


def test_a_client_that_reads_slowly_is_not_cut(server: RunningServer) -> None:
    came = b""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(20)
        client.sendall(get(STREAM + "?count=20&size=10000"))
        while data := client.recv(16384):
            came = came[-10:] + data
            time.sleep(0.01)
    assert b"over" in came


def test_too_many_connections_are_turned_away() -> None:
    limits = replace(SHORT, connections=3, idle_seconds=20, header_seconds=20)
    with serving(limits) as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        until(lambda: server.connections == 3)
        answer = ask(server, get("/health"))
        assert answer.status == 503
        assert answer.code == "server-connections"
        for one in held:
            one.close()
        until(lambda: server.connections == 0)
        assert httpx.get(server.url + "/health").status_code == 200


def test_a_crowd_of_slow_clients_leaves_room_for_others() -> None:
    limits = replace(SHORT, header_seconds=1.5)
    with serving(limits) as server, patient(server):
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        for one in held:
            one.sendall(b"GET /health HTTP/1.1\r\n")
        assert httpx.get(server.url + "/health").status_code == 200
        for one in held:
            one.settimeout(20)
            assert one.recv(100).startswith(b"HTTP/1.1 408")
            one.close()


def test_stopping_does_not_wait_for_a_slow_client() -> None:
    limits = replace(SHORT, header_seconds=600, idle_seconds=600)
    with (
        serving(limits) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(b"GET /health HTTP/1.1\r\n")
        until(lambda: server.connections == 1)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(20)
        assert not stopping.is_alive()
