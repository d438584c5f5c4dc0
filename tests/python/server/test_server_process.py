"""Starting and stopping: where it listens, and how it ends."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_backend import FakeBackend
from hostile import PATIENCE, SHORT, until

from pocketr1.errors import PocketR1Error
from pocketr1.server.app import Settings, build_app
from pocketr1.server.binding import bind, check_settings, is_loopback
from pocketr1.server.http import RunningServer

SCRIPT = Path(__file__).parent / "serve_scripted.py"
KEY = "correct-horse-battery"
ASK = {"stream": True, "messages": [{"role": "user", "content": "hi"}]}


class Process:
    """The server as a process; url: where it is."""

    def __init__(self, **told: Any) -> None:
        command = [sys.executable, str(SCRIPT), json.dumps(told)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def lets_nobody_in(self) -> bool:
        try:
            httpx.get(self.url + "/health")
        except httpx.TransportError:
            return True
        return False

    def end(self) -> tuple[int, str]:
        """Return the exit code and what was said on stderr."""
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err


@contextmanager
def process(**told: Any) -> Iterator[Process]:
    started = Process(**told)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


@contextmanager
def stream(url: str) -> Iterator[Iterator[str]]:
    with httpx.stream("POST", url + "/v1/chat/completions", json=ASK, timeout=PATIENCE) as response:
        lines = response.iter_lines()
        while "word" not in next(lines):
            pass
        yield lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_an_idle_server(number: signal.Signals) -> None:
    with process() as server:
        assert httpx.get(server.url + "/health").status_code == 200
        server.process.send_signal(number)
        assert server.end() == (0, "")


def test_a_reply_under_way_is_finished() -> None:
    with process(pieces=20, delay=0.03) as server, stream(server.url) as lines:
        server.process.send_signal(signal.SIGINT)
        rest = list(lines)
        assert sum("word" in line for line in rest) == 19
        assert rest[-2] == "data: [DONE]" or rest[-1] == "data: [DONE]"
        assert server.end() == (0, "")


def test_a_reply_longer_than_the_grace_ends_with_a_last_event() -> None:
    with process(pieces=100_000, delay=0.02, grace=0.2) as server, stream(server.url) as lines:
        server.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert server.end() == (0, "")


def test_a_model_that_does_not_end_does_not_keep_the_server() -> None:
    told = {"pieces": 100_000, "delay": 0.02, "grace": 0.1, "heed": False}
    with process(**told) as server, stream(server.url):
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == (0, "")


def test_while_it_stops_nobody_new_is_let_in() -> None:
    with process(pieces=100_000, delay=0.02, grace=30) as server, stream(server.url):
        server.process.send_signal(signal.SIGINT)
        until(server.lets_nobody_in)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once(number: signal.Signals) -> None:
    with process(pieces=100_000, delay=0.02, grace=600) as server, stream(server.url):
        server.process.send_signal(number)
        until(server.lets_nobody_in)
        server.process.send_signal(number)
        assert server.end() == (128 + number, "")


def test_off_loopback_it_does_not_start_without_a_key() -> None:
    with process(host="0.0.0.0") as server:
        code, err = server.end()
    assert code == 2
    assert "server-open" in err
    assert "--api-key" in err


# Where it listens. The tests may bind loopback only, so the addresses are looked at instead.


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"]
)
def test_an_address_others_reach_needs_a_key(host: str) -> None:
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(host=host, port=0))
    assert caught.value.code == "server-open"


def test_a_name_that_others_reach_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(host="phone", port=0))
    assert caught.value.code == "server-open"
    assert "192.0.2.7" in str(caught.value)


def test_a_name_of_which_one_address_is_reached_needs_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = ["127.0.0.1", "192.0.2.7"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(host="phone", port=0))
    assert caught.value.code == "server-open"


def test_with_a_key_it_may_be_reached() -> None:
    check_settings(Settings(host="0.0.0.0", api_key=KEY), ["0.0.0.0"])


@pytest.mark.parametrize("key", ["", "short", "1234567"])
def test_a_short_key_is_refused(key: str) -> None:
    with pytest.raises(PocketR1Error) as caught:
        check_settings(Settings(api_key=key), ["127.0.0.1"])
    assert caught.value.code == "server-key-short"


@pytest.mark.parametrize("key", ["with a space in", "schlüssel-lang", "line\nbreak-long"])
def test_a_key_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(PocketR1Error) as caught:
        check_settings(Settings(api_key=key), ["127.0.0.1"])
    assert caught.value.code == "server-key-characters"


@pytest.mark.parametrize("origin", ["*", "null", "http://*", "localhost", "http://a/b", ""])
def test_what_is_no_origin_cannot_be_allowed(origin: str) -> None:
    with pytest.raises(PocketR1Error) as caught:
        check_settings(Settings(allowed_origins=(origin,)), ["127.0.0.1"])
    assert caught.value.code == "server-origin"


@pytest.mark.parametrize("host", ["*", "a/b", "", "a b", "http://a"])
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(PocketR1Error) as caught:
        check_settings(Settings(allowed_hosts=(host,)), ["127.0.0.1"])
    assert caught.value.code == "server-allowed-host"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
    ],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PocketR1Error) as caught:
            bind(Settings(port=port))
    assert caught.value.code == "server-port-taken"
    assert str(port) in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(port=port))
    assert caught.value.code == "server-port-range"


@pytest.mark.parametrize("host", ["no such host", "host\x00name", "a" * 300, "é" * 100])
def test_a_host_that_is_none_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(host=host, port=0))
    assert caught.value.code == "server-host-unknown"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "server-port-forbidden"),
        (errno.EADDRNOTAVAIL, "server-host-foreign"),
        (errno.ENOBUFS, "server-listen"),
    ],
)
def test_what_the_system_refuses_is_explained(
    number: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr("pocketr1.server.binding._listen", refuse)
    with pytest.raises(PocketR1Error) as caught:
        bind(Settings(port=80))
    assert caught.value.code == code


def test_localhost_is_every_loopback_address_on_one_port() -> None:
    settings = Settings(host="localhost", port=0, page=False, limits=SHORT)
    with RunningServer(build_app(FakeBackend(), settings), settings) as server:
        assert server.url == f"http://localhost:{server.port}"
        assert httpx.get(f"http://127.0.0.1:{server.port}/health").status_code == 200
        found = socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)
        for *_, (address, port, *_rest) in found:
            with socket.create_connection((address, port)):
                pass


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_alone() -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    settings = Settings(host="::1", port=0, page=False, limits=SHORT)
    with RunningServer(build_app(FakeBackend(), settings), settings) as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert httpx.get(server.url + "/v1/models").status_code == 200


def test_a_machine_without_ipv6_has_a_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    from pocketr1.server import binding

    listen = binding._listen

    def only_4(family: socket.AddressFamily, place: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no IPv6")
        return listen(family, place)

    monkeypatch.setattr(binding, "_listen", only_4)
    opened = bind(Settings(host="localhost", port=0))
    assert [one.family for one in opened] == [socket.AF_INET]
    opened[0].close()


def test_an_application_that_does_not_start_says_why() -> None:
    settings = Settings(port=0, page=False, limits=SHORT)
    app = build_app(FakeBackend(), settings)

    class NoRoomError(Exception):
        pass

    def fail(*_: object) -> None:
        raise NoRoomError

    app.router.lifespan_context = fail
    with pytest.raises(NoRoomError), RunningServer(app, settings):
        pass


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
