"""The whole test run is offline, its child processes too, and so is every command but ``pull``."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forbid_network import LOG_VARIABLE, NetworkForbiddenError

import pocketr1

SOURCE = Path(pocketr1.__file__).parent

# RFC 5737 and RFC 3849 keep these addresses for documentation: nobody answers there.
ADDRESS, ADDRESS_6 = "192.0.2.1", "2001:db8::1"


def connect() -> None:
    socket.create_connection((ADDRESS, 80), timeout=1)


def connect_6() -> None:
    socket.socket(socket.AF_INET6).connect((ADDRESS_6, 80))


def connect_ex() -> None:
    socket.socket().connect_ex((ADDRESS, 80))


def send() -> None:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (ADDRESS, 53))


def listen_to_all() -> None:
    socket.socket().bind(("", 0))


def resolve() -> None:
    socket.getaddrinfo("example.org", 443)


def resolve_as_of_old() -> None:
    socket.gethostbyname("example.org")


def fetch() -> None:
    import urllib.request

    urllib.request.urlopen("http://example.org/", timeout=1)


ATTEMPTS: list[Callable[[], None]] = [
    connect,
    connect_6,
    connect_ex,
    send,
    listen_to_all,
    resolve,
    resolve_as_of_old,
    fetch,
]


@pytest.fixture
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that this test's attempts are written into, instead of failing it."""
    log = tmp_path / "attempts"
    monkeypatch.setenv(LOG_VARIABLE, str(log))
    return log


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
def test_no_test_reaches_the_network(attempt: Callable[[], None], attempts: Path) -> None:
    with pytest.raises(NetworkForbiddenError):
        attempt()
    assert "test_no_test_reaches_the_network" in attempts.read_text(encoding="utf-8")


def test_a_child_process_does_not_either(attempts: Path) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://example.org/', timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "NetworkForbiddenError" in done.stderr
    assert "example.org" in attempts.read_text(encoding="utf-8")


def test_who_catches_the_refusal_is_found_out(tmp_path: Path) -> None:
    """A run of its own, with this one's conftest, of a test that swallows every error."""
    test = tmp_path / "test_sly.py"
    test.write_text(
        "import socket\n\n"
        "def test_sly():\n"
        "    try:\n"
        f"        socket.create_connection(('{ADDRESS}', 80), timeout=1)\n"
        "    except Exception:\n"
        "        pass\n\n"
        "def test_honest():\n"
        "    pass\n",
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(test)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"test_sly (call): connect to ('{ADDRESS}', 80)" in done.stdout
    assert "2 passed, 1 error" in done.stdout


def test_loopback_and_unix_sockets_are_free(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    thread = threading.Thread(target=lambda: server.accept()[0].sendall(b"hello"))
    thread.start()
    with socket.create_connection(("localhost", port), timeout=10) as client:
        assert client.recv(5) == b"hello"
    thread.join()
    server.close()
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)


def without_network() -> list[str]:
    """Return what starts a program in a network namespace that has no interface up."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare")
    prefix = [unshare, "-r", "-n"]
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"unshare -rn is not permitted: {done.stderr.strip()}")
    return prefix


@pytest.mark.parametrize("how", ["forbidden", "without any network"])
def test_everything_but_pull_works_offline(how: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    prefix = without_network() if how == "without any network" else []
    bundle = str(tmp_path / "bundle")

    def command(*arguments: str, question: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "pocketr1", *arguments],
            input=question,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    def document(*arguments: str) -> dict[str, Any]:
        tree: dict[str, Any] = json.loads(command(*arguments, "--json").stdout)
        return tree

    command("compress", str(tiny_checkpoint), "-o", bundle, "--bits", "4", "--group-size", "64")
    assert document("inspect", bundle, "--verify")["verified"]
    assert 1 <= document("run", bundle, "Hi", "--max-tokens", "5")["completion_tokens"] <= 5
    said = command("chat", bundle, "--max-tokens", "5", question="Hi\n")
    assert "tok/s" in said.stderr  # random weights may think to the end and answer nothing
    options = ["--prompt-tokens", "8", "--gen-tokens", "2", "--repeat", "1"]
    assert document("bench", bundle, *options)["gen_tokens"] == 2
    assert document("doctor", "--path", str(tmp_path))["models"]


def test_only_the_pull_command_imports_the_hub_room() -> None:
    users = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in node.names
        for module in (f"{getattr(node, 'module', '')}.{name.name}".strip("."),)
        if module.startswith("pocketr1.hub") and path.parent.name != "hub"
    }
    assert users == {"cli/pull.py"}


def test_other_commands_do_not_load_it() -> None:
    code = (
        "import sys\nfrom pocketr1.cli.app import main\nmain(['inspect', 'nothing'])\n"
        "print(sorted({'pocketr1.hub', 'huggingface_hub'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
