"""What the store gives back: conversations and their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

__all__ = [
    "Conversation",
    "Outcome",
    "Page",
    "Role",
    "State",
    "StoredMessage",
    "Summary",
    "branch",
    "title_of",
]

State: TypeAlias = Literal["running", "done", "stopped", "failed"]
Role: TypeAlias = Literal["user", "assistant"]

_TITLE = 60  # characters


@dataclass(frozen=True)
class Outcome:
    """How a reply ended.

    finish_reason: ``stop``, ``length`` or ``cancelled``; ``None`` where it failed. stats: figures
    to show, JSON types. error: ``{"message", "code"}`` of a reply that failed.
    """

    state: State
    finish_reason: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None


@dataclass(frozen=True)
class StoredMessage:
    """A question or a reply.

    parent: the message it follows, ``None`` for a first question; messages with the same parent are
    branches. content: the question, or the answer; reasoning: the thought before it. created:
    seconds since 1970. state: a question is always ``done``. model: who wrote a reply. The rest as
    in :class:`Outcome`.
    """

    id: str
    conversation: str
    parent: str | None
    role: Role
    content: str
    reasoning: str
    created: float
    state: State
    finish_reason: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    model: str = ""

    def with_text(self, reasoning: str, content: str) -> StoredMessage:
        """Return the message with these texts."""
        return replace(self, reasoning=reasoning, content=content)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types, without the conversation's id."""
        return {
            "id": self.id,
            "parent": self.parent,
            "role": self.role,
            "content": self.content,
            "reasoning": self.reasoning,
            "created": self.created,
            "state": self.state,
            "finish_reason": self.finish_reason,
            "stats": dict(self.stats),
            "error": None if self.error is None else dict(self.error),
            "model": self.model,
        }


@dataclass(frozen=True)
class Conversation:
    """A conversation with all its branches.

    title: the first words of the first question until it is renamed (``renamed``). created,
    updated: seconds since 1970; ``updated`` is when something was last said. settings: how replies
    are sampled, JSON types. model: who answered last. leaf: the last message of the branch that is
    shown. messages: parents before children.
    """

    id: str
    title: str
    renamed: bool
    created: float
    updated: float
    system: str | None
    settings: Mapping[str, Any]
    model: str
    leaf: str | None
    messages: tuple[StoredMessage, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "id": self.id,
            "title": self.title,
            "created": self.created,
            "updated": self.updated,
            "system": self.system,
            "settings": dict(self.settings),
            "model": self.model,
            "leaf": self.leaf,
            "messages": [message.to_dict() for message in self.messages],
        }


@dataclass(frozen=True)
class Summary:
    """A conversation in a list. messages: how many. snippet: a few words of it."""

    id: str
    title: str
    created: float
    updated: float
    messages: int
    snippet: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "id": self.id,
            "title": self.title,
            "created": self.created,
            "updated": self.updated,
            "messages": self.messages,
            "snippet": self.snippet,
        }


@dataclass(frozen=True)
class Page:
    """A part of the list. next: where the next part begins, ``None`` behind the last."""

    conversations: tuple[Summary, ...]
    next: str | None


def branch(messages: Sequence[StoredMessage], leaf: str | None) -> list[StoredMessage]:
    """Return the messages from the first question to ``leaf``."""
    by_id = {message.id: message for message in messages}
    found: list[StoredMessage] = []
    while leaf is not None and (message := by_id.get(leaf)) is not None:
        found.append(message)
        leaf = message.parent
    return found[::-1]


def title_of(question: str) -> str:
    """Return the first words of a question."""
    text = " ".join(question.split())
    if len(text) <= _TITLE:
        return text
    cut = text[:_TITLE]
    # A word is not cut, but where it is very long, or Chinese, which does not part words.
    place = cut.rfind(" ")
    return (cut[:place] if place > _TITLE // 2 else cut).rstrip() + "…"
