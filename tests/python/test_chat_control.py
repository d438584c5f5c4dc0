"""Thoughts that are closed at their budget, and replies that are ended where they loop."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chat_support as support
import pytest
from chat_scripted import Talk, words

import pocketr1
from pocketr1 import Engine, Sampling, Speculation, errors, measure
from pocketr1.chat import Chat, Delta
from pocketr1.chat.control import LOOP_TOKENS
from pocketr1.engine.looping import LoopWatch

CLOSING = "\n</think>\n\n"
QUESTIONS = [
    "What is 17 times 23?",
    "解方程3x+7=22。",
    "Seven trains each carry 23 people. How many people?",
]


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(support.write_small_model(tmp_path))
    with talk.chat:
        yield talk


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with pocketr1.load("tiny", threads=1, max_context=512) as engine:
        yield engine


def ids(text: str) -> list[int]:
    return support.small_tokenizer().encode_markup(text)


# --- the budget -----------------------------------------------------------------------------


def test_a_thought_is_closed_at_its_budget_and_the_answer_follows(talk: Talk) -> None:
    thought = ids("first this, then that, and then all over")
    talk.session.script.extend(thought[:6])
    talk.will_say("It is 42.")
    seen: list[Delta] = []
    reply = talk.chat.send("Hi", think_budget=6, on_delta=seen.append)
    expected = support.small_tokenizer().decode(thought[:6])
    assert reply.thought_closed == "budget"
    assert reply.finish_reason == "stop"
    assert (reply.reasoning, reply.answer) == (expected, "It is 42.")
    assert (words(seen, "reasoning"), words(seen, "answer")) == (expected, "It is 42.")
    assert reply.text == expected + CLOSING + "It is 42."
    assert list(reply.token_ids) == [*thought[:6], *ids(CLOSING), *ids("It is 42.")]
    assert reply.completion_tokens == len(reply.token_ids)
    assert reply.answer_tokens == len(ids("\n\n")) + len(ids("It is 42."))


def test_a_thought_within_its_budget_is_left_alone(talk: Talk) -> None:
    talk.will_say("6 * 7 = 42\n</think>\n\n42")
    reply = talk.chat.send("Hi", think_budget=200)
    assert reply.thought_closed is None
    assert reply.text == "6 * 7 = 42\n</think>\n\n42"


def test_a_line_that_has_ended_is_not_ended_again(talk: Talk) -> None:
    line = ids("a line\n")
    talk.session.script.extend(line)
    talk.will_say("42")
    reply = talk.chat.send("Hi", think_budget=len(line))
    assert reply.text == "a line\n</think>\n\n42"


def test_a_character_is_never_broken(talk: Talk) -> None:
    emoji = support.small_tokenizer().encode_text("🀄")
    assert len(emoji) > 2
    for budget in range(1, len(emoji) + 1):
        talk.session.script.extend(emoji)
        talk.will_say("好")
        reply = talk.chat.send("Hi", think_budget=budget)
        assert (reply.reasoning, reply.answer) == ("🀄", "好")
        assert reply.text == "🀄" + CLOSING + "好"
        talk.chat.clear()


def test_bytes_that_never_become_a_character_do_not_hold_the_budget_up(talk: Talk) -> None:
    first = support.small_tokenizer().encode_text("🀄")[:1]
    talk.session.script.extend(first * 40)
    reply = talk.chat.send("Hi", think_budget=3, max_tokens=20)
    assert reply.thought_closed == "budget"
    assert list(reply.token_ids[: 3 + 4]) == first * 7
    assert list(reply.token_ids[7 : 7 + len(ids(CLOSING))]) == ids(CLOSING)


def test_a_budget_of_nothing_puts_an_empty_thought_into_the_prompt(talk: Talk) -> None:
    talk.will_say("42")
    reply = talk.chat.send("Hi", think_budget=0)
    assert talk.prompt().startswith(
        "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n\n</think>\n\n"
    )
    assert (reply.reasoning, reply.answer, reply.thought_closed) == ("", "42", "budget")
    talk.will_say("6 * 7\n</think>\n\n42")
    assert talk.chat.send("Again").thought_closed is None
    assert "<｜Assistant｜>42<｜end▁of▁sentence｜><｜User｜>Again" in talk.prompt()


def test_where_no_thought_was_opened_a_budget_of_nothing_closes_nothing(tmp_path: Path) -> None:
    directory = support.write_small_model(tmp_path, "{{ messages[-1].content }}")
    talk = Talk(directory, think=False)
    talk.will_say("42")
    assert talk.chat.send("Hi", think_budget=0).thought_closed is None
    # Unless the model opens one by itself, whose tag is none of its tokens.
    talk.will_say("<think>")
    talk.will_say("42")
    reply = talk.chat.send("Hi", think_budget=0)
    assert (reply.reasoning, reply.answer, reply.thought_closed) == ("", "42", "budget")
    assert reply.text == "<think>\n</think>\n\n42"
    talk.will_say("<think>", *ids("abcd")[:2])
    talk.will_say("42")
    assert talk.chat.send("Hi", think_budget=2).reasoning == support.small_tokenizer().decode(
        ids("abcd")[:2]
    )


def test_max_tokens_may_come_within_the_closing(talk: Talk) -> None:
    talk.will_say("x" * 40)
    reply = talk.chat.send("Hi", think_budget=4, max_tokens=5)
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 5)
    assert reply.thought_closed == "budget"


def test_a_full_context_may_come_within_the_closing(tmp_path: Path) -> None:
    talk = Talk(support.write_small_model(tmp_path), max_context=40)
    talk.will_say("x" * 60)
    room = 40 - len(ids("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n"))
    reply = talk.chat.send("Hi", think_budget=room)
    assert reply.finish_reason in ("length", "context")
    assert reply.completion_tokens == room + 1


def test_the_history_keeps_the_answer_without_the_closed_thought(talk: Talk) -> None:
    talk.session.script.extend(ids("abcd")[:2])
    talk.will_say("42")
    talk.chat.send("Hi", think_budget=2)
    talk.will_say("43")
    talk.chat.send("More")
    assert "<｜Assistant｜>\n\n42<｜end▁of▁sentence｜><｜User｜>More" in talk.prompt()


def test_a_tag_of_several_tokens_closes_as_well(tmp_path: Path) -> None:
    directory = support.write_small_model(tmp_path, "{{ messages[-1].content }}<think>\n")
    path = directory / "tokenizer.json"
    tree = json.loads(path.read_text("utf-8"))
    tree["added_tokens"] = [t for t in tree["added_tokens"] if "think" not in t["content"]]
    path.write_text(json.dumps(tree), encoding="utf-8")
    talk = Talk(directory, tokenizer=None)
    encode = talk.chat.tokenizer.encode_text
    assert len(encode("</think>")) > 1
    talk.session.script.extend(encode("some thought")[:4] + encode("42"))
    seen: list[Delta] = []
    reply = talk.chat.send("Hi", think_budget=4, on_delta=seen.append)
    thought = talk.chat.tokenizer.decode(encode("some thought")[:4])
    assert (reply.reasoning, reply.answer, reply.thought_closed) == (thought, "42", "budget")
    assert reply.text == thought + CLOSING + "42"
    assert (words(seen, "reasoning"), words(seen, "answer")) == (thought, "42")
    # 0 too: no thought was opened in the prompt that a tokenizer without tags would see.
    talk.session.script.extend(encode("43"))
    reply = talk.chat.send("Hi", think_budget=0)
    assert (reply.reasoning, reply.answer, reply.thought_closed) == ("", "43", "budget")


def test_qwen3s_template_gets_the_empty_thought_that_it_would_write_itself(tmp_path: Path) -> None:
    source = support.data_path("templates", "Qwen-Qwen3-0.6B.jinja").read_text("utf-8")
    talk = Talk(support.write_small_model(tmp_path, source))
    messages = [{"role": "user", "content": "Hi"}]
    own = talk.chat.template.encode(messages, enable_thinking=False)
    assert talk.chat.template.encode(messages, skip_thought=True).ids == own.ids
    talk.will_say("42")
    assert talk.chat.send("Hi", think_budget=0).thought_closed == "budget"
    assert talk.session.sequences[1][: len(own.ids)] == list(own.ids)
    talk.chat.clear()
    talk.session.script.extend(ids("some thought")[:3])
    talk.will_say("43")
    reply = talk.chat.send("Hi", think_budget=3)
    assert (reply.answer, reply.thought_closed) == ("43", "budget")


@pytest.mark.parametrize("value", [-1, 1.5, True, "8"])
def test_a_budget_that_is_no_count_is_refused(talk: Talk, value: Any) -> None:
    with pytest.raises(errors.UsageError) as caught:
        talk.chat.stream("Hi", think_budget=value)
    assert caught.value.code == "chat-think-budget"
    with pytest.raises(errors.UsageError):
        measure.Answering(think_budget=value)


# --- the real model -------------------------------------------------------------------------


def test_what_follows_is_what_the_model_writes_behind_the_same_text(engine: Engine) -> None:
    """The closing is computed like any text, and the random numbers are those of the place."""
    for seed, question in enumerate(QUESTIONS):
        sampling = Sampling(seed=seed, temperature=1.0)
        with Chat(engine, sampling=sampling) as chat:
            reply = chat.send(question, think_budget=9)
            prompt = chat.template.encode([{"role": "user", "content": question}]).ids
            closing = chat.tokenizer.encode_markup(CLOSING)
        before = list(reply.token_ids[: 9 + len(closing)])
        assert before[-len(closing) :] == closing
        assert reply.thought_closed == "budget"
        ends = {*engine.spec.eos_token_ids}
        plain = engine.generate([*prompt, *before], sampling, stop_token_ids=ends)
        assert [token.id for token in plain] == list(reply.token_ids[len(before) :])
        free = engine.generate(prompt, sampling, max_tokens=9)
        assert [token.id for token in free] == before[:9]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_drafting_changes_nothing(engine: Engine, temperature: float) -> None:
    sampling = Sampling(seed=3, temperature=temperature)
    for question in QUESTIONS:
        replies = []
        for speculation in (None, Speculation("lookup", adaptive=False)):
            with Chat(engine, sampling=sampling, speculation=speculation) as chat:
                reply = chat.send(question, think_budget=20)
            replies.append((reply.token_ids, reply.text, reply.thought_closed))
        assert replies[0] == replies[1]


@pytest.mark.parametrize("budget", [0, 1, 12, 40])
def test_an_evaluation_closes_thoughts_as_a_chat_does(engine: Engine, budget: int) -> None:
    problems = [measure.TaskProblem(question, "1") for question in QUESTIONS]
    task = measure.JsonLinesTask(Path("unused"))
    answering = measure.Answering(Sampling(temperature=0.0), think_budget=budget, batch=2)
    for problem, given in zip(problems, task.run(engine, problems, answering), strict=True):
        with Chat(engine, sampling=Sampling(temperature=0.0)) as chat:
            reply = chat.send(problem.question, think_budget=budget)
        assert (given.token_ids, given.text) == (reply.token_ids, reply.text)
        assert given.answer == reply.answer


# --- loops ----------------------------------------------------------------------------------


def test_a_thought_that_loops_is_closed_and_the_answer_follows(talk: Talk) -> None:
    block = ids("and again, ")
    talk.session.script.extend([*ids("Well, "), *block * (LOOP_TOKENS // len(block) + 1)])
    stream = talk.chat.stream("Hi")
    for _ in stream:
        if stream.in_answer:
            talk.session.script.clear()
            talk.will_say("42")
            break
        if not talk.session.script:
            talk.will_say("42")
    rest = "".join(delta.text for delta in stream)
    reply = stream.reply
    assert (reply.thought_closed, reply.finish_reason) == ("loop", "stop")
    assert reply.answer.endswith("42") and rest.endswith("2")
    written = len(ids("Well, ")) + LOOP_TOKENS
    assert written - len(block) <= len(reply.token_ids) - len(ids(CLOSING + "42")) <= written + 1


def test_an_answer_that_loops_is_ended(talk: Talk) -> None:
    block = ids("and again, ")
    talk.will_say("hm\n</think>\n\n", *block * 200)
    reply = talk.chat.send("Hi")
    assert (reply.thought_closed, reply.answer_closed) == (None, "loop")
    assert reply.finish_reason == "length"
    assert LOOP_TOKENS <= len(reply.token_ids) < LOOP_TOKENS + 20
    assert talk.chat.messages[-1]["content"].endswith(reply.text)


def test_a_thought_and_an_answer_are_no_loop_together(talk: Talk) -> None:
    block = ids("and again, ")
    half = block * (LOOP_TOKENS // 2 // len(block))
    talk.will_say("", *half, *ids("</think>"), *half)
    reply = talk.chat.send("Hi")
    assert (reply.thought_closed, reply.answer_closed) == (None, None)


def test_the_check_can_be_left_out(talk: Talk) -> None:
    block = ids("and again, ")
    talk.will_say("hm\n</think>\n\n", *block * 200)
    reply = talk.chat.send("Hi", loop_check=False)
    assert (reply.answer_closed, reply.finish_reason) == (None, "stop")
    assert reply.answer_tokens > 200 * len(block)


def test_a_model_that_really_loops_comes_to_an_end(tmp_path: Path) -> None:
    """Tiny R1 rounded to 2 bits goes round over this problem until its context is full."""
    path = tmp_path / "two-bits"
    source = pocketr1.inspect("tiny").path
    pocketr1.Quantizer(source, output_path=path, bits=2, group_size=128).run()
    question, greedy = (
        "一本书有262页，小芳每天读33页，读了7天，还剩多少页？",
        Sampling(temperature=0.0),
    )
    with pocketr1.load(path, threads=1, max_context=2048) as engine, Chat(engine) as chat:
        free = chat.send(question, sampling=greedy, loop_check=False)
        chat.clear()
        reply = chat.send(question, sampling=greedy)
    assert free.finish_reason in ("context", "length") and not free.answer
    assert measure.is_looping(free.token_ids)
    assert (reply.thought_closed, reply.answer_closed) == ("loop", "loop")
    assert reply.finish_reason == "length"
    assert free.reasoning.startswith(reply.reasoning)
    assert len(reply.token_ids) < 1000 < len(free.token_ids)


# --- false alarms ---------------------------------------------------------------------------

LEGITIMATE = {
    "a table": "| name | count |\n|---|---|\n" + "| x | 0 |\n" * 4 + "| y | 1 |\n| z | 0 |\n" * 6,
    "a refrain": (
        "The wind is high, the sea is wide,\nrow, brothers, row!\n"
        "The moon is up, we have the tide,\nrow, brothers, row!\n"
        "The oar is long, the night is cold,\nrow, brothers, row!\n"
        "The net is full of silver and gold,\nrow, brothers, row!\n"
    ),
    "a chant": "Row, row, row your boat, gently down the stream. " * 3,
    "digits": "1/7 = 0." + "142857" * 8 + "\n1/9 = 0." + "1 " * 100,
    "code": "x = [\n" + "    [0, 0, 0, 0],\n" * 8 + "]\n" + "print()\n" * 12,
    "a rule": "=" * 80 + "\n" + "-" * 80 + "\n" + "- - - - " * 20,
    "a factorial by hand": "".join(f"{n}! = {n} × {n - 1}!\n" for n in range(60, 0, -1)),
    "中文": "床前明月光，疑是地上霜。" * 3 + "一二三四五，上山打老虎。\n" * 3 + "哈" * 60,
    "乘法口诀": "".join(f"{a}×{b}={a * b}，" for a in range(1, 10) for b in range(1, 10)),
}


def alarms(tokens: list[int]) -> int:
    watch = LoopWatch(LOOP_TOKENS)
    return sum(watch.feed(token) for token in tokens)


@pytest.mark.parametrize("name", LEGITIMATE)
def test_what_repeats_with_good_reason_is_no_loop(name: str) -> None:
    assert alarms(support.small_tokenizer().encode_text(LEGITIMATE[name])) == 0
    assert alarms(support.real_tokenizer().encode_text(LEGITIMATE[name])) == 0


@pytest.mark.parametrize(
    "parts",
    [
        ("text", "wikitext2-raw-test.txt"),
        ("text", "hongloumeng.txt"),
        ("math", "gsm8k-test.jsonl"),
    ],
    ids=lambda parts: parts[-1],
)
def test_no_text_that_people_wrote_is_a_loop(parts: tuple[str, ...]) -> None:
    text = support.data_path(*parts).read_text("utf-8")[:400_000]
    assert alarms(support.real_tokenizer().encode_text(text)) == 0


def test_random_tokens_are_no_loop() -> None:
    draw = random.Random(5)
    assert alarms([draw.randrange(3) for _ in range(20_000)]) == 0
