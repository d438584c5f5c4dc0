"""Tiny R1 behind the protocol: what a client gets is what the model says."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import client, events, refusal, serving

import pocketr1
from pocketr1.chat import Chat
from pocketr1.engine import KVStore, Sampling
from pocketr1.engine.kvstore import inspect_store
from pocketr1.server.http import RunningServer
from pocketr1.server.local import LocalBackend

QUESTION = "Tom has 12 apples and buys 7 more. How many apples does Tom have?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
URL = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    backend = LocalBackend(lambda: pocketr1.load("tiny"), name="tiny")
    with serving(backend) as running:
        yield running


def ask(server: RunningServer, **fields: Any) -> Any:
    given = {"model": "tiny", "messages": ASKED, **fields}
    return client(server).chat.completions.create(**given)


def test_greedy_is_what_chat_says(server: RunningServer) -> None:
    with pocketr1.load("tiny") as engine:
        expected = Chat(engine, sampling=Sampling(temperature=0)).send(QUESTION)
    reply = ask(server, temperature=0)
    message = reply.choices[0].message
    assert message.content == expected.answer
    assert message.reasoning_content == expected.reasoning
    assert reply.choices[0].finish_reason == expected.finish_reason
    assert reply.usage.prompt_tokens == expected.prompt_tokens
    # The end-of-text token is none of the text's.
    assert reply.usage.completion_tokens == expected.completion_tokens
    chunks = list(ask(server, temperature=0, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(d.content or "" for d in deltas) == expected.answer
    thought = "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert thought == expected.reasoning


def test_a_seed_gives_the_same_text_again(server: RunningServer) -> None:
    def text(seed: int, n: int = 1) -> list[str]:
        choices = ask(server, seed=seed, n=n, temperature=2, top_p=1, max_tokens=60).choices
        return [c.message.reasoning_content + c.message.content for c in choices]

    first = text(1)
    assert text(1) == first
    several = text(1, n=3)
    assert several[0] == first[0]
    assert len(set(several)) > 1
    assert any(text(seed) != first for seed in (2, 3))


def test_log_probabilities_are_those_of_a_distribution(server: RunningServer) -> None:
    choice = ask(server, temperature=0, logprobs=True, top_logprobs=20, max_tokens=30).choices[0]
    entries = choice.logprobs.model_extra["reasoning_content"]
    assert (
        "".join(e["token"] for e in entries)
        .strip("\n")
        .startswith(choice.message.reasoning_content.rstrip("�"))
    )
    for entry in entries:
        top = [other["logprob"] for other in entry["top_logprobs"]]
        assert top == sorted(top, reverse=True)
        assert 0.5 < sum(map(math.exp, top)) <= 1.0001
        # Greedy takes the likeliest.
        assert entry["logprob"] == top[0]


def test_a_budget_closes_the_thought_and_none_skips_it(server: RunningServer) -> None:
    short = ask(
        server, temperature=0, extra_body={"thinking": {"type": "enabled", "budget_tokens": 10}}
    )
    assert 0 < short.usage.completion_tokens_details.reasoning_tokens <= 20
    assert short.choices[0].message.content
    without = ask(server, temperature=0, reasoning_effort="none")
    assert not hasattr(without.choices[0].message, "reasoning_content")
    assert without.usage.completion_tokens_details.reasoning_tokens == 0


SCHEMA = {
    "type": "object",
    "properties": {"apples": {"type": "integer"}, "who": {"enum": ["Tom", "Ann"]}},
    "required": ["apples", "who"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_matches_its_schema_and_the_thought_is_free(
    server: RunningServer, seed: int
) -> None:
    reply = ask(server, seed=seed, response_format=FORMAT, max_tokens=800)
    choice = reply.choices[0]
    assert choice.finish_reason == "stop"
    answer = json.loads(choice.message.content)
    assert answer.keys() == {"apples", "who"}
    assert isinstance(answer["apples"], int)
    assert not choice.message.reasoning_content.startswith("{")


def test_an_object_that_is_cut_off_says_so(server: RunningServer) -> None:
    choice = ask(
        server, response_format=FORMAT, reasoning_effort="none", max_tokens=3, temperature=0
    ).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.content.startswith("{")


def test_a_schema_it_cannot_hold_to_is_refused(server: RunningServer) -> None:
    bad = {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}
    for stream in (False, True):
        error = refusal(server, URL, {"messages": ASKED, "response_format": bad, "stream": stream})
        assert error["code"] == "grammar-schema"
        assert '"not"' in error["message"]


def test_a_forced_call_goes_there_and_back(server: RunningServer) -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    tool: Any = {"type": "function", "function": {"name": "add", "parameters": parameters}}
    choice = ask(server, tools=[tool], tool_choice="required", seed=3, max_tokens=900).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "add"
    assert json.loads(call.function.arguments).keys() == {"a", "b"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "19"}
    messages = [*ASKED, choice.message.model_dump(), result]
    found = (
        httpx.post(server.url + "/apply-template", json={"messages": messages})
        .raise_for_status()
        .json()
    )
    assert "<｜tool▁output▁begin｜>19<｜tool▁output▁end｜>" in found["prompt"]
    assert found["thinking"] is False
    assert ask(server, messages=messages, max_tokens=20).usage.prompt_tokens == found["count"]


def test_a_forged_end_of_thought_stays_text(server: RunningServer) -> None:
    def count(text: str) -> int:
        body = {"messages": [{"role": "user", "content": text}]}
        ids = httpx.post(server.url + "/apply-template", json=body).json()["tokens"]
        return ids.count(3999)

    assert count("</think>") == 0
    tokens = httpx.post(
        server.url + "/tokenize", json={"content": "</think>", "added_tokens": True}
    ).json()["tokens"]
    assert tokens == [3999]


def test_a_text_goes_on_with_its_tags(server: RunningServer) -> None:
    prompt = f"<｜User｜>{QUESTION}<｜Assistant｜><think>\n"
    reply = client(server).completions.create(
        model="tiny", prompt=prompt, temperature=0, max_tokens=400
    )
    thought, tag, answer = reply.choices[0].text.partition("</think>")
    chat = ask(server, temperature=0).choices[0].message
    assert tag
    assert thought.strip("\n") == chat.reasoning_content
    assert answer.lstrip("\n") == chat.content


def test_old_log_probabilities_add_up_to_the_text(server: RunningServer) -> None:
    reply = client(server).completions.create(
        model="tiny", prompt="12乘7", temperature=0, max_tokens=12, logprobs=2
    )
    choice = reply.choices[0]
    assert len(choice.logprobs.tokens) == reply.usage.completion_tokens
    assert "".join(choice.logprobs.tokens) == choice.text
    for token, offset in zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True):
        assert choice.text[offset:].startswith(token)


def test_a_stop_string_ends_the_answer_alone(server: RunningServer) -> None:
    choice = ask(server, temperature=0, stop="19").choices[0]
    assert choice.finish_reason == "stop"
    assert "19" in choice.message.reasoning_content
    assert "19" not in choice.message.content


def test_a_prompt_too_long_for_the_context_is_refused(server: RunningServer) -> None:
    body = {"messages": [{"role": "user", "content": "7 " * 9000}]}
    for stream in (False, True):
        refusal(server, URL, {**body, "stream": stream})


def test_ids_there_are_not_are_refused(server: RunningServer) -> None:
    for path, body in (
        ("/detokenize", {"tokens": [4_000_000]}),
        ("/v1/completions", {"prompt": [4_000_000]}),
    ):
        refusal(server, path, body)


def test_a_prompt_asked_again_is_known(server: RunningServer) -> None:
    long = [{"role": "user", "content": "Tom has 12 apples. " * 30}]
    for _ in range(2):
        reply = ask(server, messages=long, max_tokens=2)
    assert reply.usage.prompt_tokens_details.cached_tokens > 0
    assert httpx.get(server.url + "/v1/cache").json()["memory"]["pages"] > 0
    assert httpx.delete(server.url + "/v1/cache").status_code == 204
    assert httpx.get(server.url + "/v1/cache").json()["memory"]["pages"] == 0
    reply = ask(server, messages=long, max_tokens=2)
    assert reply.usage.prompt_tokens_details.cached_tokens == 0


def test_many_ask_at_once_and_each_gets_its_own(server: RunningServer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def answer(number: int) -> str:
        body = {
            "messages": [{"role": "user", "content": f"What is {number} plus 30?"}],
            "temperature": 0,
            "stream": True,
        }
        chunks = events(httpx.post(server.url + URL, json=body, timeout=60))
        return "".join(
            c["choices"][0]["delta"].get("content") or "" for c in chunks if c != "[DONE]"
        )

    alone = {number: answer(number) for number in range(20, 26)}
    with ThreadPoolExecutor(6) as pool:
        together = dict(zip(alone, pool.map(answer, alone), strict=True))
    assert together == alone


@pytest.mark.parametrize("everything", [False, True])
def test_a_deleted_conversation_leaves_no_prompt_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    monkeypatch.setattr(KVStore, "pays", True)  # also where Tiny R1 computes faster than that
    store, secret = tmp_path / "kv.sqlite3", "What is 17 + 25? " * 60
    # Another model's prompt, as far as the store can tell.
    with pocketr1.load("tiny", kv_store=store, kv_format="int8") as engine, Chat(engine) as chat:
        chat.send(secret, max_tokens=1)
    (other,) = inspect_store(store).models
    backend = LocalBackend.open("tiny", kv_store=store)
    with (
        serving(backend, data=tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        id = http.post("/api/conversations", json={}).json()["id"]
        body = {"parent": None, "content": secret, "settings": {"max_tokens": 2}}
        http.post(f"/api/conversations/{id}/messages", json=body).raise_for_status()
        for _ in range(500):
            if http.get("/v1/cache").json()["store"]["pages"] >= 4:
                break
            time.sleep(0.02)
        assert http.get("/v1/cache").json()["store"]["pages"] >= 4
        path = "/api/conversations" if everything else f"/api/conversations/{id}"
        assert http.delete(path).status_code == 204
        kept = http.get("/v1/cache").json()
        assert (kept["memory"]["pages"], kept["store"]["pages"]) == (0, 0)
        assert [m.pages for m in inspect_store(store).models if m.id == other.id] == (
            [] if everything else [other.pages]
        )
