"""Problems with known answers, read from JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketr1.errors import UsageError

__all__ = ["TaskProblem", "read_lines", "read_task"]

# The first key that is there counts. GSM8K has question and answer, CMATH input and golden, MATH
# problem and answer.
_KEYS = {
    "question": ("question", "problem", "input"),
    "answer": ("answer", "golden"),
    "group": ("group", "language", "subject", "grade"),
}
# GSM8K writes the whole solution, and the number behind these.
_MARK = "####"


@dataclass(frozen=True)
class TaskProblem:
    """A question and its answer; ``group`` (a language, a subject) lets figures be told apart."""

    question: str
    answer: str
    group: str | None = None


def read_task(path: str | Path) -> list[TaskProblem]:
    """Read a task: one JSON object a line, with a question, its answer and perhaps a group.

    The question stands under ``question``, ``problem`` or ``input``, the answer under ``answer`` or
    ``golden``, the group under ``group``, ``language``, ``subject`` or ``grade``: the first that is
    there. Of an answer that holds ``####``, as GSM8K's do, what stands behind the last of them
    counts. Empty lines are skipped, other keys ignored. A number is taken as it is written.

    Raises:
        UsageError: ``task-file`` (unreadable), ``task-empty``, and naming the line ``task-line``
            (no JSON) and ``task-field`` (a text is missing).
    """
    path = Path(path)
    problems = [_problem(path, number, entry) for number, entry in read_lines(path)]
    if not problems:
        raise UsageError("task-empty", path=path)
    return problems


def read_lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the number and the object of each line that is not empty; numbers stay text.

    Raises UsageError: ``task-file``, ``task-line``. What is no object comes as an empty one.
    """
    try:
        # Not splitlines(): JSON strings may hold U+2028 and its like as they are.
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("task-file", path=path, reason=reason) from error
    entries: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            # 0.10 is not to become 0.1, nor 12345678901234567890 a float.
            entry = json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError) as error:
            raise UsageError("task-line", path=path, line=number, reason=str(error)) from error
        entries.append((number, entry if isinstance(entry, dict) else {}))
    return entries


def _problem(path: Path, number: int, entry: Mapping[str, Any]) -> TaskProblem:
    fields: dict[str, str | None] = {}
    for field, keys in _KEYS.items():
        key = next((key for key in keys if entry.get(key) is not None), keys[0])
        value = entry.get(key)
        missing = value is None and field == "group"
        if not missing and (not isinstance(value, str) or not value.strip()):
            raise UsageError("task-field", path=path, line=number, key=key)
        fields[field] = value
    question, answer = str(fields["question"]), str(fields["answer"])
    if _MARK in answer:
        answer = answer.rpartition(_MARK)[2].strip()
        if not answer:
            raise UsageError("task-field", path=path, line=number, key=_MARK)
    return TaskProblem(question, answer, fields["group"])
