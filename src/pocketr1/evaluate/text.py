"""Texts to measure on: running text, or conversations with their parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketr1.chat import ChatTemplate, Tokenizer
from pocketr1.errors import UsageError
from pocketr1.measure import Exchange
from pocketr1.measure.problems import read_lines

__all__ = ["Conversation", "exchanges_of", "read_conversations", "read_text"]

_LARGEST = 64 << 20  # bytes
_QUESTION, _REASONING, _ANSWER = (
    ("question", "problem", "input"),
    ("reasoning", "thought"),
    "answer",
)


@dataclass(frozen=True)
class Conversation:
    """One question with the reply to it, in text."""

    question: str
    reasoning: str
    answer: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.question}\n{self.reasoning}\n{self.answer}"


def read_text(path: Path) -> tuple[str, str]:
    """Return a text file and its SHA-256. Raises UsageError (``evaluate-text``)."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError("evaluate-text", path=path, reason=f"> {_LARGEST >> 20} MiB")
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("evaluate-text", path=path, reason=reason) from error


def read_conversations(path: Path) -> list[Conversation]:
    """Read a JSON-lines file of conversations: ``question``, ``reasoning`` and ``answer``.

    ``problem`` and ``input`` stand for ``question`` too, ``thought`` for ``reasoning``, which may
    be missing. Raises UsageError: ``task-file``, ``task-line``, ``task-field``, ``task-empty``.
    """
    found = []
    for number, entry in read_lines(path):
        question = next((key for key in _QUESTION if entry.get(key) is not None), _QUESTION[0])
        thought = next((key for key in _REASONING if entry.get(key) is not None), _REASONING[0])
        fields = {key: entry.get(key) for key in (question, thought, _ANSWER)}
        if fields[thought] is None:
            fields[thought] = ""
        for key, value in fields.items():
            if not isinstance(value, str) or (key != thought and not value.strip()):
                raise UsageError("task-field", path=path, line=number, key=key)
        found.append(Conversation(*map(str, fields.values())))
    if not found:
        raise UsageError("task-empty", path=path)
    return found


def exchanges_of(
    conversations: Sequence[Conversation], tokenizer: Tokenizer, template: ChatTemplate
) -> list[Exchange]:
    """Return conversations as a model would have had and written them, token by token.

    The reply ends with the end-of-text token, where the model has one.
    """
    exchanges = []
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    for each in conversations:
        prompt = template.encode([{"role": "user", "content": each.question}])
        thought = f"{each.reasoning.strip(chr(10))}\n</think>"
        if not prompt.thinking:
            thought = f"<think>\n{thought}" if each.reasoning else ""
        opening = tokenizer.encode_markup(thought) if thought else []
        answer = tokenizer.encode_markup(f"\n\n{each.answer}" if thought else each.answer)
        begin = len(prompt.ids)
        ids = (*prompt.ids, *opening, *answer, *end)
        exchanges.append(Exchange(ids, begin, begin + len(opening)))
    return exchanges
