"""Conversations that are kept, in an SQLite file that server and terminal share."""

from __future__ import annotations

from pocketr1.chat.history.exported import document_of, markdown
from pocketr1.chat.history.history import FILE, History
from pocketr1.chat.history.prompt import prompt_messages
from pocketr1.chat.history.records import (
    Conversation,
    Outcome,
    Page,
    StoredMessage,
    Summary,
    branch,
)

__all__ = [
    "FILE",
    "Conversation",
    "History",
    "Outcome",
    "Page",
    "StoredMessage",
    "Summary",
    "branch",
    "document_of",
    "markdown",
    "prompt_messages",
]
