"""A model in this process, asked as the server asks it."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_support import LONG, QUESTION, SEEDED, WILD, ask, events, run, text, wait_for

import pocketr1
from pocketr1.chat import Chat
from pocketr1.engine import Engine, load
from pocketr1.engine.scheduler import Scheduler, SchedulerOptions
from pocketr1.errors import BusyError, EngineError
from pocketr1.server.backend import Begun, Ended, Event, Piece, Task
from pocketr1.server.errors import RequestError
from pocketr1.server.local import LocalBackend


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with load("tiny", threads=1) as engine:
        yield engine


# --- replies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 300},
        {"max_tokens": 40},
        {"think_budget": 10},
        {"think_budget": 0},
        {"max_tokens": 300, "max_answer_tokens": 3},
        {"max_tokens": 300, "stop": ("3",)},
    ],
)
def test_a_reply_is_the_one_chat_gives(engine: Engine, options: dict[str, Any]) -> None:
    found = run(lambda backend: events(backend, ask("3 + 4 = ?", **options)))
    with Chat(engine, sampling=SEEDED) as chat:
        reply = chat.send("3 + 4 = ?", **{"max_tokens": 60, **options})
    begun, ended = found[0], found[-1]
    assert isinstance(begun, Begun)
    assert isinstance(ended, Ended)
    assert (begun.prompt_tokens, begun.seed) == (reply.prompt_tokens, 5)
    assert (text(found, "reasoning"), text(found, "answer")) == (reply.reasoning, reply.answer)
    assert ended.finish_reason == reply.finish_reason
    assert ended.completion_tokens == reply.completion_tokens
    assert ended.thought_closed == reply.thought_closed


def test_many_at_once_are_what_each_is_alone(engine: Engine) -> None:
    questions = [f"What is {n} times {n + 3}?" for n in range(12)]

    async def all_of_them(backend: LocalBackend) -> list[list[Event]]:
        return await asyncio.gather(*(events(backend, ask(q)) for q in questions))

    found = run(all_of_them, SchedulerOptions(running=5))
    for question, one in zip(questions, found, strict=True):
        with Chat(engine, sampling=SEEDED) as chat:
            reply = chat.send(question, max_tokens=60)
        assert (text(one, "reasoning"), text(one, "answer")) == (reply.reasoning, reply.answer)


def test_several_replies_to_one_prompt_differ_and_begin_once() -> None:
    found = run(lambda backend: events(backend, ask("你好", n=3, sampling=WILD)))
    assert sum(isinstance(event, Begun) for event in found) == 1
    assert isinstance(found[0], Begun)
    assert sorted(e.index for e in found if isinstance(e, Ended)) == [0, 1, 2]
    assert len({text(found, "reasoning", index) for index in range(3)}) == 3


def test_a_text_goes_on_as_it_is() -> None:
    prompt = "<｜User｜>3 + 4 = ?<｜Assistant｜><think>\n"
    found = run(lambda backend: events(backend, Task(prompt, SEEDED, max_tokens=200)))
    rendered = run(lambda backend: events(backend, ask("3 + 4 = ?", max_tokens=200)))
    assert found[0].thinking is False
    assert "</think>" in text(found, "answer")
    assert text(found, "reasoning") == ""
    assert text(rendered, "answer") in text(found, "answer")


def test_token_ids_are_a_prompt_too() -> None:
    async def both(backend: LocalBackend) -> tuple[list[Event], list[Event]]:
        encoded = await backend.encode("3 + 4 = ")
        one = await events(backend, Task("3 + 4 = ", SEEDED, max_tokens=9))
        return one, await events(backend, Task(encoded.ids, SEEDED, max_tokens=9))

    one, other = run(both)
    assert text(one, "answer") == text(other, "answer")


def test_no_thought_where_none_is_wanted() -> None:
    found = run(lambda backend: events(backend, ask(think=False)))
    assert found[0].thinking is False
    assert text(found, "reasoning") == ""
    assert found[-1].reasoning_tokens == 0
    assert found[-1].thought_closed is None


def test_the_prompt_is_what_encode_says() -> None:
    messages = [{"role": "user", "content": QUESTION}]

    async def both(backend: LocalBackend) -> tuple[Any, Any]:
        begun = (await events(backend, ask(think=False)))[0]
        return await backend.encode(messages, think=False), begun

    encoded, begun = run(both)
    assert len(encoded.ids) == begun.prompt_tokens
    assert encoded.text.endswith("<think>\n\n</think>\n\n")


def test_every_token_is_reported_with_its_log_probability() -> None:
    found = run(lambda backend: events(backend, ask("你好", top_logprobs=2, sampling=LONG)))
    pieces = [event for event in found if isinstance(event, Piece)]
    scored = [piece for piece in pieces if piece.logprobs]
    ended = found[-1]
    assert len(scored) == ended.completion_tokens
    for piece in scored:
        (score,) = piece.logprobs
        assert piece.token_ids[-1] == score.chosen.token_id
        assert len(score.top) == 2
        assert score.top[0].logprob >= score.chosen.logprob or score.top[0] == score.chosen
        assert sum(math.exp(other.logprob) for other in score.top) <= 1.0001
    said = b"".join(piece.logprobs[0].chosen.data for piece in scored)
    shown = "".join(piece.text for piece in pieces)
    assert shown.strip() in said.decode("utf-8", "replace")


def test_an_answer_matches_its_schema_and_the_thought_is_free() -> None:
    schema = {
        "type": "object",
        "properties": {"result": {"type": "integer"}, "sure": {"type": "boolean"}},
        "required": ["result", "sure"],
        "additionalProperties": False,
    }
    found = run(
        lambda backend: events(
            backend, ask(json_schema=schema, think_budget=30, max_tokens=400, n=2, sampling=LONG)
        )
    )
    for index in range(2):
        answer = json.loads(text(found, "answer", index))
        assert answer.keys() == {"result", "sure"}
        assert text(found, "reasoning", index)
    assert [e.finish_reason for e in found if isinstance(e, Ended)] == ["stop", "stop"]


def test_a_constraint_takes_hold_behind_a_thought_that_ends_by_itself() -> None:
    found = run(
        lambda backend: events(
            backend, ask("3 + 4 = ?", json_schema={"type": "integer"}, max_tokens=400)
        )
    )
    assert text(found, "reasoning")
    assert isinstance(json.loads(text(found, "answer")), int)
    assert found[-1].thought_closed is None


def test_what_was_said_is_not_computed_again() -> None:
    async def twice(backend: LocalBackend) -> list[Event]:
        long = "Tell me about the number seventeen. " * 8
        first = await events(backend, ask(long))
        answer = {"role": "assistant", "content": text(first, "answer") or "Yes."}
        asked = {"role": "user", "content": long}
        again = Task([asked, answer, asked], SEEDED, max_tokens=5)
        return [first[0], (await events(backend, again))[0]]

    first, again = run(twice)
    assert first.cached_tokens == 0
    assert again.cached_tokens >= first.prompt_tokens - 4


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (ask(max_tokens=0), pocketr1.UsageError),
        (ask(n=0), pocketr1.UsageError),
        (ask(think_budget=-1), pocketr1.UsageError),
        (ask(stop=("",)), pocketr1.UsageError),
        (ask(top_logprobs=-1), pocketr1.UsageError),
        (ask(n=10_000), pocketr1.UsageError),
        (Task(()), pocketr1.UsageError),
        (Task((1, 999_999)), pocketr1.UsageError),
        (Task([{"role": "nobody", "content": "?"}]), pocketr1.ChatError),
        (ask("long " * 600), pocketr1.ContextFullError),
        (ask(json_schema={"type": "nothing"}), RequestError),
    ],
)
def test_a_bad_task_is_refused_and_the_next_one_answered(task: Task, kind: type[Exception]) -> None:
    async def both(backend: LocalBackend) -> list[Event]:
        with pytest.raises(kind):
            await events(backend, task)
        return await events(backend, ask(max_tokens=3))

    assert isinstance(run(both, max_context=512)[-1], Ended)


def test_where_the_queue_is_full_it_says_when_to_come_again() -> None:
    async def crowd(backend: LocalBackend) -> list[Any]:
        # So long that none has ended before the last is asked.
        long = {"max_tokens": 1500, "sampling": LONG, "loop_check": False}
        tasks = (events(backend, ask(str(n), **long)) for n in range(6))
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = run(crowd, SchedulerOptions(running=2, waiting=1))
    busy = [one for one in found if isinstance(one, BusyError)]
    assert len(busy) == 3
    assert all(error.retry_after >= 1 for error in busy)
    assert all(isinstance(one[-1], Ended) for one in found if isinstance(one, list))


def test_a_step_that_fails_ends_its_replies_and_the_worker_goes_on() -> None:
    async def fail(backend: LocalBackend) -> list[Event]:
        engine = backend._engine
        step = engine._step_rows

        def broken(*_args: Any, **_kwargs: Any) -> Any:
            engine._step_rows = step  # type: ignore[method-assign]
            raise EngineError("engine-busy")

        engine._step_rows = broken  # type: ignore[method-assign]
        found = await asyncio.gather(
            events(backend, ask()), events(backend, ask(n=2)), return_exceptions=True
        )
        assert any(isinstance(one, EngineError) for one in found)
        return await events(backend, ask())

    assert isinstance(run(fail)[-1], Ended)


def test_a_thread_that_dies_is_reported_to_all_and_from_then_on() -> None:
    async def die(backend: LocalBackend) -> None:
        def broken() -> Any:
            raise SystemError("a bug")

        assert backend._worker._scheduler is not None
        backend._worker._scheduler.turn = broken  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await events(backend, ask())
            assert caught.value.code == "server-worker"
        with pytest.raises(EngineError):
            await backend.cached()

    run(die)


# --- coming and going -------------------------------------------------------------------------


def test_closing_the_generator_frees_the_pages_of_its_replies() -> None:
    async def leave(backend: LocalBackend) -> None:
        stream = backend.generate(ask(n=3, max_tokens=2000, sampling=LONG, loop_check=False))
        await anext(stream)
        assert backend.load().kv_pages_used > 0
        await stream.aclose()
        await wait_for(lambda: backend.load().running == backend.load().kv_pages_used == 0)

    run(leave)


def test_cancelling_who_reads_ends_the_reply_running_or_waiting() -> None:
    async def leave(backend: LocalBackend) -> None:
        long = ask(max_tokens=3000, sampling=LONG, loop_check=False)
        tasks = [asyncio.create_task(events(backend, long)) for _ in range(3)]
        await wait_for(lambda: backend.load().waiting == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await wait_for(lambda: backend.load().running + backend.load().waiting == 0)

    run(leave, SchedulerOptions(running=1))


def test_a_reader_that_sleeps_holds_up_nobody() -> None:
    async def both(backend: LocalBackend) -> list[Event]:
        slow = backend.generate(ask(max_tokens=100, sampling=LONG))
        first = await anext(slow)
        other = await events(backend, ask("3 + 4 = ?"))
        assert isinstance(other[-1], Ended)
        await wait_for(lambda: backend.load().running == 0)
        return [first, *[event async for event in slow]]

    found = run(both)
    assert found[-1].completion_tokens == 100


def test_closing_lets_replies_end_within_the_grace() -> None:
    async def close(backend: LocalBackend) -> list[Event]:
        task = asyncio.create_task(events(backend, ask(max_tokens=100)))
        await wait_for(lambda: backend.load().running == 1)
        await backend.close(grace=30)
        with pytest.raises(RequestError) as caught:
            await events(backend, ask())
        assert caught.value.status == 503
        return await task

    assert run(close)[-1].finish_reason == "length"


def test_closing_without_grace_ends_replies_as_cancelled_with_what_came() -> None:
    async def close(backend: LocalBackend) -> list[list[Event]]:
        long = ask(max_tokens=3000, sampling=LONG, loop_check=False)
        tasks = [asyncio.create_task(events(backend, long)) for _ in range(3)]
        await wait_for(lambda: backend.load().generated_tokens_total > 20)
        await backend.close()
        await backend.close()
        return await asyncio.gather(*tasks)

    found = run(close, SchedulerOptions(running=2))
    assert [one[-1].finish_reason for one in found] == ["cancelled"] * 3
    # Which of them waits is decided by who was encoded last.
    first = max(found, key=lambda one: one[-1].completion_tokens)
    assert first[-1].completion_tokens > 5
    assert text(first, "reasoning")


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())  # the parser of large bodies is the process's
    run(lambda backend: events(backend, ask()))
    more = set(threading.enumerate()) - before
    assert not [t for t in more if t.name.startswith("pocketr1")]
    assert len(more) <= 1  # asyncio's own may linger


def test_a_given_engine_is_lent_and_comes_back(engine: Engine) -> None:
    async def use() -> list[Event]:
        backend = LocalBackend(engine)
        found = await events(backend, ask(max_tokens=3))
        await backend.close()
        return found

    assert isinstance(asyncio.run(use())[-1], Ended)
    engine.take_ownership()
    assert engine.kv_bytes >= 0


def test_a_model_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        LocalBackend.open(tmp_path / "nothing")
    assert caught.value.code == "model-missing"


# --- the rest ---------------------------------------------------------------------------------


def test_facts_and_load_are_true() -> None:
    async def look(backend: LocalBackend) -> tuple[Any, Any, list[Event]]:
        found = await events(backend, ask(max_tokens=20))
        return backend.facts, backend.load(), found

    facts, load_, found = run(look, memory_budget="500MB")
    assert (facts.name, facts.architecture, facts.max_context) == ("tiny-r1", "qwen2", 4096)
    assert facts.parameters == 5198080
    assert (load_.running, load_.waiting, load_.replies_total) == (0, 0, 1)
    assert load_.generated_tokens_total == found[-1].completion_tokens == 20
    assert load_.prompt_tokens_total == found[0].prompt_tokens
    assert load_.memory_budget == 500_000_000
    assert load_.kv_pages_limit == 64
    assert load_.rss_bytes > 10 << 20
    assert load_.steps_total >= 20


def test_text_becomes_tokens_and_back() -> None:
    async def convert(backend: LocalBackend) -> None:
        plain = await backend.tokenize("<think>你好")
        marked = await backend.tokenize("<think>你好", added_tokens=True)
        assert len(plain) > len(marked)
        assert await backend.detokenize(marked) == "<think>你好"
        for bad in ([-1], [10**9], [True]):
            with pytest.raises(pocketr1.UsageError):
                await backend.detokenize(bad)

    run(convert)


def test_what_is_kept_is_shown_and_dropped_memory_and_store(tmp_path: Path) -> None:
    async def drop(backend: LocalBackend) -> None:
        await events(backend, ask("A long question. " * 60, max_tokens=4))
        kept = await backend.cached()
        assert kept.pages >= 4
        assert kept.bytes == kept.pages * 131072
        for _ in range(200):
            if (await backend.cached()).store_pages >= 4:
                break
            await asyncio.sleep(0.02)
        kept = await backend.cached()
        assert kept.store_path == str(tmp_path / "store")
        assert kept.store_pages >= 4
        assert kept.store_bytes > 4 * 131072
        await backend.drop_cached()
        kept = await backend.cached()
        assert (kept.pages, kept.bytes, kept.store_pages) == (0, 0, 0)
        again = await events(backend, ask("A long question. " * 60, max_tokens=4))
        assert again[0].cached_tokens == 0

    run(drop, kv_store=tmp_path / "store")


def test_the_facts_name_the_store(tmp_path: Path) -> None:
    async def look(backend: LocalBackend) -> str | None:
        return backend.facts.kv_store

    assert run(look, kv_store=tmp_path / "store") == str(tmp_path / "store")
    assert run(look) is None


def test_a_worker_that_has_died_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Any]:
        raise MemoryError

    async def die(backend: LocalBackend) -> None:
        assert backend.load().alive
        monkeypatch.setattr(Scheduler, "turn", fail)
        with pytest.raises(EngineError):
            await events(backend, ask())
        assert not backend.load().alive

    run(die)


def test_replies_that_outgrow_the_memory_take_turns_and_say_the_same(engine: Engine) -> None:
    options = SchedulerOptions(running=6, kv_pages=8, kept_pages=2)
    questions = [f"{n}: 你好" for n in range(6)]

    async def crowd(backend: LocalBackend) -> list[list[Event]]:
        tasks = (ask(q, max_tokens=250, sampling=WILD, loop_check=False) for q in questions)
        found = await asyncio.gather(*(events(backend, task) for task in tasks))
        assert backend.load().preempted_total > 0
        return found

    found = run(crowd, options, max_context=512)
    for question, one in zip(questions, found, strict=True):
        with Chat(engine, sampling=WILD) as chat:
            reply = chat.send(question, max_tokens=250, loop_check=False)
        assert (text(one, "reasoning"), text(one, "answer")) == (reply.reasoning, reply.answer)
