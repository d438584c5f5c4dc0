"""/v1/chat/completions, asked by OpenAI's client and by plain HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from fake_backend import FakeBackend, Script
from serving import client, events, refusal, serving

from pocketr1.errors import BusyError, ContextFullError, EngineError
from pocketr1.server import streams
from pocketr1.server.http import RunningServer

HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
URL = "/v1/chat/completions"


@pytest.fixture(scope="module")
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture(scope="module")
def server(backend: FakeBackend) -> Iterator[RunningServer]:
    with serving(backend) as running:
        yield running


def ask(server: RunningServer, **fields: Any) -> Any:
    fields = {"model": "fake", "messages": HELLO, **fields}
    return client(server).chat.completions.create(**fields)


def post(server: RunningServer, **fields: Any) -> httpx.Response:
    return httpx.post(server.url + URL, json={"messages": HELLO, **fields}).raise_for_status()


def test_a_reply_has_thought_answer_and_usage(server: RunningServer) -> None:
    reply = ask(server)
    message = reply.choices[0].message
    assert message.content == "Hello there."
    assert message.reasoning_content == "Let me think."
    assert message.role == "assistant"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.object == "chat.completion"
    assert reply.model == "fake"
    assert "fake" in reply.system_fingerprint
    assert reply.usage.completion_tokens == len("Let me think.Hello there.")
    assert reply.usage.completion_tokens_details.reasoning_tokens == len("Let me think.")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_gives_the_same_in_pieces(server: RunningServer) -> None:
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    thought = [t for d in deltas if (t := getattr(d, "reasoning_content", None))]
    assert thought == ["Let me ", "think."]
    assert [d.content for d in deltas if d.content] == ["Hello", " there", "."]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == len("Let me think.")
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_usage_does_not_speak_of_it(server: RunningServer) -> None:
    found = events(post(server, stream=True))
    assert found[-1] == "[DONE]"
    assert all("usage" not in chunk for chunk in found[:-1])
    assert found[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_says_that_it_is_not_to_be_kept(server: RunningServer) -> None:
    response = post(server, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"


def test_several_replies_to_one_prompt(server: RunningServer) -> None:
    reply = ask(server, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert reply.usage.completion_tokens == 3 * len("Let me think.Hello there.")
    chunks = list(ask(server, n=2, stream=True))
    ended = [c.choices[0].index for c in chunks if c.choices[0].finish_reason]
    assert ended == [0, 1]


def test_log_probabilities_come_with_bytes(server: RunningServer) -> None:
    logprobs = ask(server, logprobs=True, top_logprobs=2).choices[0].logprobs
    assert "".join(entry.token for entry in logprobs.content) == "Hello there."
    assert bytes(logprobs.content[0].bytes) == b"H"
    assert logprobs.content[0].logprob == -0.5
    assert len(logprobs.content[0].top_logprobs) == 2
    assert "".join(e["token"] for e in logprobs.reasoning_content) == "Let me think."


def test_log_probabilities_come_with_their_pieces(server: RunningServer) -> None:
    chunks = list(ask(server, logprobs=True, stream=True))
    for chunk in chunks:
        choice = chunk.choices[0]
        if choice.delta.content:
            assert "".join(e.token for e in choice.logprobs.content) == choice.delta.content


def test_sampling_reaches_the_model(server: RunningServer, backend: FakeBackend) -> None:
    extra = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1}
    ask(server, temperature=0, top_p=0.5, seed=2**64 - 1, max_tokens=9, stop="x", extra_body=extra)
    task = backend.tasks[-1]
    assert task.sampling.temperature == 0
    assert task.sampling.top_p == 0.5
    assert task.sampling.seed == 2**64 - 1
    assert task.sampling.top_k == 5
    assert task.sampling.min_p == 0.1
    assert task.sampling.repetition_penalty == 1.1
    assert task.max_tokens == 9
    assert task.stop == ("x",)


@pytest.mark.parametrize(("given", "seed"), [(-1, None), (-2, 2**64 - 2), (-(2**63), 2**63)])
def test_a_negative_seed_is_taken(
    server: RunningServer, backend: FakeBackend, given: int, seed: int | None
) -> None:
    ask(server, seed=given)
    assert backend.tasks[-1].sampling.seed == seed


def test_a_top_p_of_nothing_leaves_the_likeliest(
    server: RunningServer, backend: FakeBackend
) -> None:
    ask(server, top_p=0, temperature=1)
    assert backend.tasks[-1].sampling.temperature == 0


def test_an_empty_stop_is_none(server: RunningServer, backend: FakeBackend) -> None:
    ask(server, stop="")
    assert backend.tasks[-1].stop == ()


def test_null_is_as_if_absent(server: RunningServer, backend: FakeBackend) -> None:
    names = ("temperature", "top_p", "seed", "stop", "tools", "response_format", "n", "thinking")
    post(server, **dict.fromkeys(names), max_completion_tokens=5)
    task = backend.tasks[-1]
    assert task.sampling.temperature == 0.6
    assert task.max_tokens == 5
    assert task.stop == ()


@pytest.mark.parametrize(
    ("fields", "think", "budget"),
    [
        ({}, True, None),
        ({"thinking": {"type": "disabled"}}, False, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, True, 64),
        ({"thinking": {"type": "disabled", "budget_tokens": 64}}, False, None),
        ({"reasoning_effort": "none"}, False, None),
        ({"reasoning_effort": "high"}, True, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False, None),
        ({"reasoning_effort": "none", "thinking": {"type": "enabled"}}, True, None),
    ],
    ids=str,
)
def test_thinking_is_switched_and_bounded(
    server: RunningServer, backend: FakeBackend, fields: Any, think: bool, budget: int | None
) -> None:
    post(server, **fields)
    assert backend.tasks[-1].think is think
    assert backend.tasks[-1].think_budget == budget


def test_messages_reach_the_template_as_it_knows_them(
    server: RunningServer, backend: FakeBackend
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    post(
        server,
        messages=[
            {"role": "system", "content": "One."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {
                "role": "assistant",
                "content": "So.",
                "reasoning_content": "no",
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "developer", "content": "Two."},
        ],
    )
    assert backend.tasks[-1].prompt == [
        {"role": "system", "content": "One.\n\nTwo."},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "So."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "42"},
    ]


def test_what_means_nothing_here_is_accepted(server: RunningServer) -> None:
    response = post(
        server,
        store=True,
        metadata={"a": "b"},
        user="me",
        service_tier="auto",
        presence_penalty=0,
        frequency_penalty=0.0,
        logit_bias={},
        temprature=1,
        **{"odd\r\nname": 1},
    )
    assert response.headers["x-ignored-fields"] == "temprature"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"n": 100}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.0}, "max_tokens"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"stop": ["a"] * 100}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"stream": 1}, "stream"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": "json"}, "response_format"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"functions": [{}]}, "functions"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "god", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant"}]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        (
            {"messages": [*HELLO, {"role": "assistant", "content": "a", "prefix": True}]},
            "messages[1].prefix",
        ),
        ({"messages": HELLO * 2000}, "messages"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_named(server: RunningServer, fields: Any, param: str) -> None:
    error = refusal(server, URL, {"messages": HELLO, **fields})
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_a_wrong_value_is_told_with_what_was_wanted(server: RunningServer) -> None:
    error = refusal(server, URL, {"messages": HELLO, "temperature": "hot"})
    assert error["message"].startswith('temperature must be a number, not "hot".')
    error = refusal(server, URL, {"messages": [{"role": "user", "content": 5}]})
    assert error["message"].startswith("messages[0].content must be a string or a list, not 5.")


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_images_sound_and_files_are_not_fetched(server: RunningServer, kind: str) -> None:
    part = {"type": kind, kind: {"url": "file:///etc/passwd"}}
    error = refusal(server, URL, {"messages": [{"role": "user", "content": [part]}]})
    assert error["code"] == "request-media"
    assert error["param"] == "messages[0].content[0]"
    assert kind in error["message"]


def test_another_model_is_not_found(server: RunningServer) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(server, model="gpt-9")
    assert caught.value.param == "model"


def test_a_body_that_is_no_object_is_refused(server: RunningServer) -> None:
    for body in ([], "x", 5, None):
        refusal(server, URL, body)


def with_script(script: Script) -> Any:
    return serving(FakeBackend(script))


def test_busy_is_429_with_retry_after() -> None:
    error = BusyError("server-closing", retry_after=7)
    with with_script(Script(error=error)) as server:
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as caught:
                ask(server, stream=stream)
            assert caught.value.response.headers["retry-after"] == "7"


def test_a_prompt_that_does_not_fit_is_400() -> None:
    with with_script(
        Script(error=ContextFullError("context-full", where="x", reason="y"))
    ) as server:
        assert refusal(server, URL, {"messages": HELLO})["code"] == "context-full"


def test_an_error_in_a_stream_is_its_last_event() -> None:
    script = Script(late_error=EngineError("grammar-failed", reason="x"))
    with with_script(script) as server:
        found = events(post(server, stream=True))
        assert found[-2]["error"]["code"] == "grammar-failed"
        assert found[-1] == "[DONE]"
        with pytest.raises(openai.APIError):
            list(ask(server, stream=True))
        assert refusal(server, URL, {"messages": HELLO}, 500)["code"] == "grammar-failed"


def test_a_fault_of_ours_shows_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(FakeBackend):
        async def generate(self, task: Any) -> Any:
            raise KeyError("secret prompt")
            yield

    with serving(Broken()) as server:
        error = refusal(server, URL, {"messages": HELLO}, 500)
        assert error["code"] == "server-fault"
        assert "secret" not in str(error)
    assert "secret" not in capfd.readouterr().err


def test_a_reply_cut_off_by_closing_is_an_error() -> None:
    with with_script(Script(finish_reason="cancelled")) as server:
        assert refusal(server, URL, {"messages": HELLO}, 503)["code"] == "server-closing"
        assert events(post(server, stream=True))[-2]["error"]["code"] == "server-closing"


def test_length_is_told(server: RunningServer) -> None:
    with with_script(Script(answer=["{"], finish_reason="length")) as short:
        reply = ask(short, response_format={"type": "json_object"})
        assert reply.choices[0].finish_reason == "length"
        assert reply.choices[0].message.content == "{"


def test_comments_keep_a_silent_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.05)
    with with_script(Script(prefill=0.3)) as server:
        text = post(server, stream=True).text
        assert text.startswith(": keep-alive\n\n")
        assert events(post(server, stream=True))[-1] == "[DONE]"


def until(condition: Any) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_reply(stream: bool) -> None:
    backend = FakeBackend(Script(answer=["x"] * 1000, delay=0.02))
    with serving(backend) as server:
        body = {"messages": HELLO, "stream": stream}
        # Of a stream the first byte comes in time; then it is left.
        with (
            pytest.raises(httpx.ReadTimeout),
            httpx.Client() as http,
            http.stream("POST", server.url + URL, json=body, timeout=0.5),
        ):
            assert until(lambda: backend.running == 1)
            raise httpx.ReadTimeout("left")
        assert until(lambda: backend.running == 0)
        assert backend.closed == 1


def test_a_fault_behind_the_first_byte_is_an_event() -> None:
    class Broken(FakeBackend):
        async def generate(self, task: Any) -> Any:
            async for event in super().generate(task):
                yield event
                raise KeyError("secret")

    with serving(Broken()) as server:
        found = events(post(server, stream=True))
        assert found[-2]["error"]["code"] == "server-fault"
        assert found[-1] == "[DONE]"
