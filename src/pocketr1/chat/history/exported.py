"""Conversations in a file: the JSON that is exported and imported, and Markdown to read.

``docs/reference/conversations.md`` describes the JSON.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pocketr1 import messages
from pocketr1.chat.history.records import Conversation, StoredMessage, branch
from pocketr1.chat.tokenizer import whole_characters
from pocketr1.errors import HistoryError

__all__ = ["FORMAT", "VERSION", "Exported", "document_of", "markdown"]

FORMAT = "pocketr1-conversations"
#: Version of the format. A newer one is refused.
VERSION = 1

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATES = ("done", "stopped", "failed")
_REASONS = ("stop", "length", "cancelled")
_DEEPEST = 8  # of settings and stats
# The page's reader of these files (web/src/imported.ts) knows fences by the same rule.
_FENCE = re.compile(r" {0,3}(`{3,}(?!.*`)|~{3,})")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Exported:
    """What a file holds."""

    conversations: tuple[Conversation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types. A reply that is being written is exported as ``stopped``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "exported": time.time(),
            "conversations": [_conversation_dict(each) for each in self.conversations],
        }

    @classmethod
    def parse(cls, document: object) -> Exported:
        """Return what a document holds; unknown fields are passed over.

        Raises HistoryError: ``history-import``, ``history-import-newer``.
        """
        fields = _Fields(document, "document")
        if fields.take("format", _text, None) != FORMAT:
            raise _refusal("document.format", f"it is not {FORMAT!r}")
        version = fields.take("version", _whole)
        if version > VERSION:
            raise HistoryError("history-import-newer", version=version, known=VERSION)
        if version < 1:
            raise _refusal("document.version", "there is no such version")
        listed = fields.take("conversations", _list)
        found = [
            _conversation(_Fields(item, f"conversations[{place}]"))
            for place, item in enumerate(listed)
        ]
        ids = [each.id for each in found]
        if len(set(ids)) < len(ids):
            raise _refusal("conversations", "two of them have one id")
        return cls(tuple(found))


def document_of(conversation: Conversation) -> dict[str, Any]:
    """Return one conversation as a document that can be imported."""
    return Exported((conversation,)).to_dict()


def markdown(conversation: Conversation) -> str:
    """Return the branch that is shown as Markdown, in the current language.

    Headings ``##`` at the beginning of a line are those of messages, and of nothing in them.
    """
    title = conversation.title or messages.text("history-untitled")
    parts = [f"# {_one_line(title)}"]
    if conversation.system:
        parts.append(f"## {messages.text('history-system')}")
        parts.append(_inner(conversation.system))
    for message in branch(conversation.messages, conversation.leaf):
        you = message.role == "user"
        who = messages.text("history-you") if you else message.model or "Pocket R1"
        parts.append(f"## {_one_line(who)}")
        if message.reasoning:
            thought = messages.text("history-thought")
            quoted = "\n".join(f"> {line}".rstrip() for line in message.reasoning.split("\n"))
            parts.append(f"> **{thought}**\n>\n{quoted}")
        if message.content.strip():
            parts.append(_inner(message.content))
        if message.state == "stopped":
            parts.append(f"*{messages.text('history-stopped')}*")
        if message.error is not None:
            parts.append(f"*{_one_line(message.error.get('message', ''))}*")
    return "\n\n".join(parts) + "\n"


def _inner(text: str) -> str:
    """Return a text that stands within a message, whatever Markdown is in it.

    One space in, a heading or a quote looks the same. A fence that was left open is closed.
    """
    lines = text.strip("\n").split("\n")
    if lines[0].startswith(">"):  # it would be a thought
        lines[0] = f" {lines[0]}"
    fence = ""
    for place, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence = mark[1]
        elif line.startswith("## "):
            lines[place] = f" {line}"
    return "\n".join([*lines, fence] if fence else lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _conversation_dict(conversation: Conversation) -> dict[str, Any]:
    document = conversation.to_dict()
    document["renamed"] = conversation.renamed
    for message in document["messages"]:
        if message["state"] == "running":
            message |= {"state": "stopped", "finish_reason": "cancelled"}
    return document


def _conversation(fields: _Fields) -> Conversation:
    id = fields.take("id", _id)
    created = fields.take("created", _time)
    listed = fields.take("messages", _list)
    found: list[StoredMessage] = []
    roles: dict[str, str] = {}
    for place, item in enumerate(listed):
        inner = _Fields(item, f"{fields.where}.messages[{place}]")
        message = _message(inner, id)
        if message.id in roles:
            raise _refusal(inner.where, "a message before it has the same id")
        before = None if message.parent is None else roles.get(message.parent, "")
        if before not in ({None, "assistant"} if message.role == "user" else {"user"}):
            raise _refusal(inner.where, "its parent is missing, behind it, or of the same role")
        roles[message.id] = message.role
        found.append(message)
    leaf = fields.take("leaf", _id, found[-1].id if found else None)
    if leaf is not None and leaf not in roles:
        raise _refusal(f"{fields.where}.leaf", "there is no such message")
    return Conversation(
        id=id,
        title=fields.take("title", _text, ""),
        renamed=fields.take("renamed", _truth, True),
        created=created,
        updated=fields.take("updated", _time, created),
        system=fields.take("system", _text, None),
        settings=fields.take("settings", _tree, {}),
        model=fields.take("model", _text, ""),
        leaf=leaf,
        messages=tuple(found),
    )


def _message(fields: _Fields, conversation: str) -> StoredMessage:
    role = fields.take("role", _one_of("user", "assistant"))
    message = StoredMessage(
        id=fields.take("id", _id),
        conversation=conversation,
        parent=fields.take("parent", _id, None),
        role="user" if role == "user" else "assistant",
        content=fields.take("content", _text),
        reasoning=fields.take("reasoning", _text, ""),
        created=fields.take("created", _time),
        state=fields.take("state", _one_of(*_STATES), "done"),  # type: ignore[arg-type]
        finish_reason=fields.take("finish_reason", _one_of(*_REASONS), None),
        stats=fields.take("stats", _tree, {}),
        error=fields.take("error", _tree, None),
        model=fields.take("model", _text, ""),
    )
    if message.error is not None:
        error = {name: str(message.error.get(name, "")) for name in ("message", "code")}
        message = replace(message, error=error)
    return message


class _Fields:
    """The fields of one JSON object, taken out one by one and checked."""

    _NEEDED: Any = object()

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise _refusal(where, "it is not an object")
        self._value = value
        self.where = where

    def take(self, name: str, check: Callable[[object], _T], default: Any = _NEEDED) -> _T:
        """Return a field; ``default`` stands for one that is missing or null."""
        value = self._value.get(name)
        if value is None:
            if default is self._NEEDED:
                raise _refusal(f"{self.where}.{name}", "it is missing")
            return default  # type: ignore[no-any-return]
        try:
            return check(value)
        except ValueError as error:
            raise _refusal(f"{self.where}.{name}", str(error)) from error


def _refusal(where: str, reason: str) -> HistoryError:
    return HistoryError("history-import", where=where, reason=reason)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it is not a text")
    return whole_characters(value)


def _id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise ValueError("it is not an id: 1 to 64 letters, digits, - or _")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it is not a list")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("it is not a whole number")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("it is not a number of seconds")
    if not 0 <= value < 1e11:  # the year 5138
        raise ValueError("it is not a time since 1970")
    return float(value)


def _one_of(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"it is none of {', '.join(allowed)}")
        return str(value)

    return check


def _tree(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    _check_tree(value, _DEEPEST)
    return value


def _check_tree(value: object, deep: int) -> None:
    if isinstance(value, dict | list):
        if deep == 0:
            raise ValueError("it is nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check_tree(item, deep - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
