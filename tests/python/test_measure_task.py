"""Tasks: how they are read, put to a model and judged."""

from __future__ import annotations

import json
from pathlib import Path

import chat_support
import pytest

import pocketr1
from pocketr1 import measure

PROBLEMS = [
    measure.TaskProblem("What is 1 + 1?", "2", "en"),
    measure.TaskProblem("一加一等于多少？", "2", "zh"),
    measure.TaskProblem("Which is larger, 9.11 or 9.9?", "9.9"),
]


def test_a_task_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    lines = [
        '{"question": "What is 1 + 1?", "answer": 2, "group": "en", "source": "me"}',
        "",
        json.dumps({"question": "一加一等于多少？", "answer": "2", "group": "zh"}),
        '{"question": "Which is larger, 9.11 or 9.9?", "answer": 9.9}',
    ]
    path.write_text("\n".join(lines), "utf-8")

    assert measure.read_task(path) == PROBLEMS


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            '{"question": "Eggs?", "answer": "16 - 7 = <<16-7=9>>9 eggs.\\n#### 1,018"}',
            measure.TaskProblem("Eggs?", "1,018"),
        ),
        (
            '{"grade": 1, "input": "还剩多少页？", "golden": "9", "reasoning_step": 1}',
            measure.TaskProblem("还剩多少页？", "9", "1"),
        ),
        (
            '{"problem": "Solve.", "answer": "\\\\frac{1}{2}", "subject": "Algebra"}',
            measure.TaskProblem("Solve.", "\\frac{1}{2}", "Algebra"),
        ),
        (
            '{"question": "q", "problem": "p", "answer": "1", "golden": "2", "language": "en"}',
            measure.TaskProblem("q", "1", "en"),
        ),
    ],
    ids=["GSM8K", "CMATH", "MATH", "the first key counts"],
)
def test_the_fields_of_published_tasks_are_known(
    tmp_path: Path, line: str, problem: measure.TaskProblem
) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(line, "utf-8")

    assert measure.read_task(path) == [problem]


@pytest.mark.parametrize(("name", "count"), [("gsm8k-test.jsonl", 1319), ("cmath_dev.jsonl", 600)])
def test_published_tasks_are_read_as_they_come(name: str, count: int) -> None:
    path = chat_support.DATA / "math" / name
    if not path.exists():
        pytest.skip(f"needs {path} (set POCKETR1_DATA)")

    problems = measure.read_task(path)

    assert len(problems) == count
    numbers = [measure.normal_form(problem.answer) for problem in problems]
    assert not [number for number in numbers if isinstance(number, str)]


def test_a_task_may_begin_with_a_byte_order_mark_and_hold_line_separators(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    path.write_bytes('\ufeff{"question": "a\u2028b", "answer": "1"}\r\n'.encode())

    assert measure.read_task(path) == [measure.TaskProblem("a\u2028b", "1")]


@pytest.mark.parametrize("line", ["[1]", '{"question": "a"', '{"answer": "1"}'])
def test_a_bad_line_is_named_in_chinese_too(tmp_path: Path, line: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text('{"question": "a", "answer": "1"}\n' + line, "utf-8")

    with pytest.raises(pocketr1.UsageError) as caught:
        measure.read_task(path)
    pocketr1.set_language("zh")
    try:
        assert "第 2 行" in caught.value.what
    finally:
        pocketr1.set_language(None)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"question": "a", "answer": "b"}\n{"question": "a"', "task-line"),
        ('{"question": "a", "answer": "b"}\n[1]', "task-field"),
        ('{"question": "a", "answer": "b"}\n{"question": "a"}', "task-field"),
        ('{"question": "a", "answer": "b"}\n{"question": " ", "answer": "1"}', "task-field"),
        (
            '{"question": "a", "answer": "b"}\n{"question": "a", "answer": "1", "group": []}',
            "task-field",
        ),
        ('{"question": "a", "answer": "b"}\n{"question": "a", "answer": "x ####"}', "task-field"),
        ("\n\n", "task-empty"),
    ],
)
def test_a_bad_task_is_refused_with_its_line(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(content, "utf-8")

    with pytest.raises(pocketr1.UsageError) as caught:
        measure.read_task(path)

    assert caught.value.code == code
    assert str(path) in str(caught.value)
    assert "2" in caught.value.what or code == "task-empty"


def test_a_missing_task_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(pocketr1.UsageError, match="nowhere"):
        measure.read_task(tmp_path / "nowhere.jsonl")


def test_outcomes_come_in_the_order_of_the_problems_whatever_the_batch(tiny_bundle: Path) -> None:
    seen = []
    with pocketr1.load(tiny_bundle) as engine:
        one = measure.run_task(engine, PROBLEMS, max_tokens=12, batch=1)
        all_ = measure.run_task(
            engine, PROBLEMS, max_tokens=12, progress=lambda done, total: seen.append((done, total))
        )

    assert one == all_
    assert [outcome.problem for outcome in one] == PROBLEMS
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_reply_that_never_leaves_its_thought_has_no_answer(tiny_bundle: Path) -> None:
    with pocketr1.load(tiny_bundle) as engine:
        outcomes = measure.run_task(engine, PROBLEMS, max_tokens=3)

    assert [outcome.given for outcome in outcomes] == [None] * 3
    assert not any(outcome.right for outcome in outcomes)


def test_skipping_the_thought_gives_the_model_an_empty_one(tiny_bundle: Path) -> None:
    from pocketr1.chat import ChatTemplate, load_tokenizer

    tokenizer = load_tokenizer(tiny_bundle)
    template = ChatTemplate.load(tiny_bundle, tokenizer)
    messages = [{"role": "user", "content": "Hi"}]

    prompt = template.encode(messages, skip_thought=True)

    assert prompt.text.endswith("<｜Assistant｜><think>\n\n</think>\n\n")
    assert not prompt.thinking
    assert template.encode(messages).thinking
    assert list(prompt.ids) == tokenizer.encode_markup(prompt.text)
