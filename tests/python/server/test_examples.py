"""examples/serve/*.py, as their reader runs them, and what a measurement asks of the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import client, serving

import pocketr1
from pocketr1.server.http import RunningServer
from pocketr1.server.local import LocalBackend

EXAMPLES = Path(__file__).parents[3] / "examples" / "serve"
QUESTION = "Tom has 12 apples and buys 7 more. How many apples does Tom have?"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are not beside the tests"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    backend = LocalBackend(lambda: pocketr1.load("tiny"), name="tiny")
    with serving(backend, data=tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize(("script", "path"), [("openai_client.py", "/v1"), ("event_source.py", "")])
def test_an_example_shows_thought_and_answer_apart(
    server: RunningServer, script: str, path: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), QUESTION, "--url", server.url + path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "19" in done.stdout and "<think>" not in done.stdout
    assert "12" in done.stderr  # the thought


def test_an_example_says_when_nobody_answers(server: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "event_source.py"), "Hi", "--url", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "127.0.0.1:1" in done.stderr


def test_a_measurement_gets_as_many_tokens_as_it_asks_for(server: RunningServer) -> None:
    prompt = f"<｜User｜>{QUESTION}<｜Assistant｜><think>\n"
    fields = {"model": "tiny", "prompt": prompt, "max_tokens": 300, "temperature": 0}
    ended = client(server).completions.create(**fields)
    assert ended.choices[0].finish_reason == "stop"
    assert ended.usage is not None and ended.usage.completion_tokens < 300
    whole = client(server).completions.create(**fields, extra_body={"ignore_eos": True})
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None and whole.usage.completion_tokens == 300
