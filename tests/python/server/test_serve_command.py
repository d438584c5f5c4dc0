"""``pocketr1 serve``, and the guide's page about it, line by line."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
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

from pocketr1.cli.app import main

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs" / room / "serve.md" for room in ("guide", "zh")]


@contextmanager
def started(*options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Start the command; give the line it prints when it is ready."""
    line = [sys.executable, "-m", "pocketr1", "serve", "tiny", "--port", "0", "--kv-store", "off"]
    process = subprocess.Popen(
        [*line, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started("--json") as (ready, _):
        yield ready["url"]


def test_it_says_when_it_is_ready_and_ends_cleanly() -> None:
    with started("--json", "--parallel", "2", "--queue", "1") as (ready, process):
        assert ready.keys() == {"url", "model", "pid"}
        assert ready["model"] == "tiny"
        assert ready["pid"] == process.pid
        assert httpx.get(f"{ready['url']}/health").json() == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert out == ""
        assert "Traceback" not in err


def test_a_person_gets_an_address_and_a_line_to_try() -> None:
    line = [sys.executable, "-m", "pocketr1", "--lang", "en", "serve", "tiny", "--port", "0"]
    process = subprocess.Popen(
        [*line, "--kv-store", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        for text in process.stderr:
            if "curl" in text:
                break
        assert re.search(r"curl http://127\.0\.0\.1:\d+/v1/chat/completions -H ", text)
        done = subprocess.run(text.strip(), shell=True, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGINT)
        assert "Ended." in process.communicate(timeout=30)[1]
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def error_of(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["--lang", "en", "serve", "tiny", *options])
    return code, capsys.readouterr().err


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    code, text = error_of(capsys)
    assert code == 1
    assert "pip install 'pocketr1[serve]'" in text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--parallel", "0"], "--parallel"),
        (["--queue", "-1"], "--queue"),
        (["--port", "x"], "--port"),
        (["--port", "99999"], "99999"),
        (["--host", "0.0.0.0", "--port", "0"], "--api-key"),
    ],
    ids=str,
)
def test_wrong_options_are_named(
    capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    code, text = error_of(capsys, *options, "--kv-store", "off")
    assert code == 2
    assert named in text


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, text = error_of(capsys, "--port", str(port), "--kv-store", "off")
    assert code == 1
    assert str(port) in text


def blocks(kind: str) -> list[str]:
    """Return the blocks of both pages, each once."""
    found = [
        re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for page in PAGES
    ]
    return list(dict.fromkeys(text for texts in found for text in texts))


def test_both_pages_have_the_same_programs() -> None:
    for kind in ("py", "python", "sh", "json"):
        pattern = rf"^```{kind}\n.*?^```$"
        one, other = (
            re.findall(pattern, page.read_text("utf-8"), re.MULTILINE | re.DOTALL) for page in PAGES
        )
        assert one == other


@pytest.mark.parametrize("text", blocks("py"), ids=range(len(blocks("py"))))
def test_the_guide_s_programs_run(url: str, text: str) -> None:
    assert "http://127.0.0.1:8080" in text
    code = text.replace("http://127.0.0.1:8080", url)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "serve.md", "exec"), {"__name__": "guide"})
    assert out.getvalue().strip()


@pytest.mark.parametrize("text", [b for b in blocks("sh") if b.startswith("curl")], ids=str)
def test_the_guide_s_requests_are_answered(url: str, text: str) -> None:
    code = text.replace("http://127.0.0.1:8080", url).replace("curl ", "curl -sSf ")
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
