"""A task: problems with known answers, put to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketr1.chat import ChatTemplate, load_tokenizer, split_reasoning
from pocketr1.engine import Engine, Sampling
from pocketr1.engine.batch import DEFAULT_BATCH
from pocketr1.errors import UsageError
from pocketr1.measure.answers import final_answer, same_answer

__all__ = ["Outcome", "TaskProblem", "read_task", "run_task"]


@dataclass(frozen=True)
class TaskProblem:
    """A question and its answer; ``group`` (a language, a subject) lets figures be told apart."""

    question: str
    answer: str
    group: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a model made of a problem.

    right: its final answer is the expected one; given: that answer, None where there is none;
    tokens: how many it wrote; finish_reason: ``stop``, ``length`` or ``context``; text: the whole.
    """

    problem: TaskProblem
    right: bool
    given: str | None
    tokens: int
    finish_reason: str
    text: str


def read_task(path: str | Path) -> list[TaskProblem]:
    """Read a task: one JSON object a line, with ``question``, ``answer`` and perhaps ``group``.

    Empty lines are skipped, other keys ignored. A number as answer is taken as it is written.

    Raises:
        UsageError: ``task-file`` (unreadable), ``task-empty``, and naming the line ``task-line``
            (no JSON) and ``task-field`` (a text is missing).
    """
    path = Path(path)
    try:
        # Not splitlines(): JSON strings may hold U+2028 and its like as they are.
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("task-file", path=path, reason=reason) from error
    problems = [
        _problem(path, number, line) for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not problems:
        raise UsageError("task-empty", path=path)
    return problems


def _problem(path: Path, number: int, line: str) -> TaskProblem:
    try:
        # Numbers stay text: 0.10 is not to become 0.1, nor 12345678901234567890 a float.
        entry = json.loads(line, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise UsageError("task-line", path=path, line=number, reason=str(error)) from error
    fields = entry if isinstance(entry, dict) else {}
    for key in ("question", "answer"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise UsageError("task-field", path=path, line=number, key=key)
    group = fields.get("group")
    if group is not None and not isinstance(group, str):
        raise UsageError("task-field", path=path, line=number, key="group")
    return TaskProblem(fields["question"], fields["answer"], group)


def run_task(
    engine: Engine,
    problems: Sequence[TaskProblem],
    *,
    sampling: Sampling | None = None,
    max_tokens: int = 2048,
    think: bool = True,
    batch: int = DEFAULT_BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Put every problem to a model, each in a conversation of its own; outcomes in their order.

    sampling: None is greedy. max_tokens: of thought and answer together. think: False ends the
    thought before it begins (``ChatTemplate.encode(skip_thought=True)``). batch: how many answers
    are written together; it changes nothing but the time. progress: called with problems done and
    in all.

    The final answer is looked for behind the thought; a reply that never leaves its thought has
    none. Raises ChatError where the model has no usable tokenizer or template, and what
    ``Engine.generate_many`` raises.
    """
    tokenizer = load_tokenizer(engine.path)
    template = ChatTemplate.load(engine.path, tokenizer)
    prompts = [
        template.encode([{"role": "user", "content": problem.question}], skip_thought=not think)
        for problem in problems
    ]
    ends = {*engine.spec.eos_token_ids, tokenizer.eos_id}
    outcomes: list[Outcome | None] = [None] * len(problems)
    completions = engine.generate_many(
        (prompt.ids for prompt in prompts),
        sampling or Sampling(temperature=0.0),
        max_tokens=max_tokens,
        stop_token_ids=[end for end in ends if end is not None],
        batch=batch,
    )
    for done, completion in enumerate(completions, 1):
        problem, prompt = problems[completion.index], prompts[completion.index]
        text = tokenizer.decode(completion.token_ids)
        _, reply = split_reasoning(text, opened=prompt.thinking)
        given = final_answer(reply)
        outcomes[completion.index] = Outcome(
            problem,
            same_answer(given, problem.answer),
            given,
            len(completion.token_ids),
            completion.finish_reason,
            text,
        )
        if progress is not None:
            progress(done, len(problems))
    return [outcome for outcome in outcomes if outcome is not None]
