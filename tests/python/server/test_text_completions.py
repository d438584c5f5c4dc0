"""/v1/completions, asked by OpenAI's client and by plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_backend import FakeBackend, Script
from serving import client, events, refusal, serving

from pocketr1.errors import BusyError
from pocketr1.server.http import RunningServer

URL = "/v1/completions"
TEXT = "Hello there."


@pytest.fixture(scope="module")
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture(scope="module")
def server(backend: FakeBackend) -> Iterator[RunningServer]:
    with serving(backend) as running:
        yield running


def ask(server: RunningServer, **fields: Any) -> Any:
    return client(server).completions.create(**{"model": "fake", "prompt": "Say", **fields})


def test_a_text_goes_on(server: RunningServer, backend: FakeBackend) -> None:
    reply = ask(server)
    assert reply.choices[0].text == TEXT
    assert reply.choices[0].finish_reason == "stop"
    assert reply.object == "text_completion"
    assert reply.usage.prompt_tokens == len("Say")
    assert backend.tasks[-1].prompt == "Say"
    assert backend.tasks[-1].max_tokens == 16


def test_a_stream_gives_the_same_in_pieces(server: RunningServer) -> None:
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == len(TEXT)


def test_several_prompts_are_numbered_through(server: RunningServer) -> None:
    reply = ask(server, prompt=["ab", "c"], n=2, echo=True)
    assert [c.index for c in reply.choices] == [0, 1, 2, 3]
    assert [c.text for c in reply.choices] == ["ab" + TEXT] * 2 + ["c" + TEXT] * 2
    assert reply.usage.prompt_tokens == 3
    chunks = list(ask(server, prompt=["ab", "c"], echo=True, stream=True))
    texts = ["", ""]
    for chunk in chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == ["ab" + TEXT, "c" + TEXT]


def test_token_ids_are_a_prompt(server: RunningServer, backend: FakeBackend) -> None:
    assert ask(server, prompt=[72, 105], echo=True).choices[0].text == "Hi" + TEXT
    assert backend.tasks[-1].prompt == (72, 105)
    assert len(ask(server, prompt=[[72], [105]]).choices) == 2


def test_the_end_of_the_text_is_ignored_where_that_is_asked_for(
    server: RunningServer, backend: FakeBackend
) -> None:
    ask(server, extra_body={"ignore_eos": True})
    assert backend.tasks[-1].ignore_eos
    ask(server)
    assert not backend.tasks[-1].ignore_eos


def test_log_probabilities_have_the_old_shape(server: RunningServer) -> None:
    found = ask(server, logprobs=1).choices[0].logprobs
    assert "".join(found.tokens) == TEXT
    assert found.text_offset == list(range(len(TEXT)))
    assert found.token_logprobs == [-0.5] * len(TEXT)
    assert found.top_logprobs[0] == {"H": -0.5}
    chunks = list(ask(server, logprobs=0, stream=True))
    offsets = [
        o for c in chunks if c.choices[0].logprobs for o in c.choices[0].logprobs.text_offset
    ]
    assert offsets == list(range(len(TEXT)))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": ["a"] * 50}, "prompt"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": [1, "a"]}, "prompt[0]"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(server: RunningServer, fields: Any, param: str) -> None:
    assert refusal(server, URL, {"prompt": "a", **fields})["param"] == param


def test_a_missing_prompt_is_named(server: RunningServer) -> None:
    assert refusal(server, URL, {})["code"] == "request-missing"


def test_best_of_as_many_as_wanted_is_no_wish(server: RunningServer) -> None:
    assert len(ask(server, n=2, best_of=2).choices) == 2


def test_one_prompt_that_fails_ends_the_others() -> None:
    backend = FakeBackend(
        Script(answer=["x"] * 1000, delay=0.01),
        Script(error=BusyError("server-closing", retry_after=1)),
    )
    with serving(backend) as server:
        refusal(server, URL, {"prompt": ["a", "b"]}, 429)
        assert backend.running == 0


def test_an_error_in_a_stream_is_its_last_event() -> None:
    with serving(FakeBackend(Script(finish_reason="cancelled"))) as server:
        response = httpx.post(server.url + URL, json={"prompt": "a", "stream": True})
        assert events(response)[-2]["error"]["code"] == "server-closing"
