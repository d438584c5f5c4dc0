"""The list of conversations, newest first, and the search in it.

The search reads the texts. An index of trigrams (FTS5) would answer in a millisecond instead of 40
for 20,000 messages, but doubles the file, knows no word of two characters, which most Chinese ones
are, and keeps pieces of deleted texts (docs/adr/0023-conversations.md).
"""

from __future__ import annotations

import math

from pocketr1.chat.history.database import Database
from pocketr1.chat.history.records import Page, Summary
from pocketr1.errors import HistoryError

__all__ = ["list_conversations"]

_WORDS = 16
_SNIPPET = 120  # characters
_BEFORE = 30  # of them, before the word that was found

_HOLDS = (
    "(c.title LIKE ?{n} ESCAPE '\\' OR EXISTS (SELECT 1 FROM message m"
    " WHERE m.conversation = c.id AND m.content LIKE ?{n} ESCAPE '\\'))"
)


def list_conversations(database: Database, query: str, limit: int, before: str | None) -> Page:
    """Return a page of the list; see :meth:`History.conversations`."""
    words = query.split()[:_WORDS]
    values: list[object] = [f"%{_escaped(word)}%" for word in words]
    conditions = [_HOLDS.format(n=number + 1) for number in range(len(words))]
    if before is not None:
        place = len(values) + 1
        conditions.append(f"(c.updated, c.id) < (?{place}, ?{place + 1})")
        values += _place(before)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    values.append(limit + 1)
    with database.snapshot():
        rows = database.rows(
            "SELECT c.id, c.title, c.created, c.updated,"
            " (SELECT count(*) FROM message m WHERE m.conversation = c.id)"
            f" FROM conversation c {where} ORDER BY c.updated DESC, c.id DESC LIMIT ?{len(values)}",
            *values,
        )
        shown = [
            Summary(id, title, created, updated, count, _snippet(database, id, words))
            for id, title, created, updated, count in rows[:limit]
        ]
    following = len(rows) > limit and shown
    cursor = f"{shown[-1].updated!r}~{shown[-1].id}" if following else None
    return Page(tuple(shown), cursor)


def _place(cursor: str) -> tuple[float, str]:
    text, _, id = cursor.partition("~")
    try:
        updated = float(text)
    except ValueError:
        updated = math.nan
    if not math.isfinite(updated):
        raise HistoryError("history-cursor", cursor=cursor[:80])
    return updated, id


def _escaped(word: str) -> str:
    """Return what LIKE takes to find a word as it stands."""
    return "".join(f"\\{char}" if char in "\\%_" else char for char in word)


def _snippet(database: Database, id: str, words: list[str]) -> str:
    """Return the words around the first that was found, or the beginning of the last text."""
    for word in words:
        found = database.rows(
            "SELECT content FROM message WHERE conversation = ? AND content LIKE ? ESCAPE '\\'"
            " ORDER BY number LIMIT 1",
            *(id, f"%{_escaped(word)}%"),
        )
        if found:
            text = " ".join(found[0][0].split())
            place = max(text.lower().find(word.lower()) - _BEFORE, 0)
            return _cut(text[place:], "…" if place else "")
    last = database.rows(
        "SELECT substr(content, 1, 1000) FROM message WHERE conversation = ? AND content <> ''"
        " ORDER BY number DESC LIMIT 1",
        id,
    )
    return _cut(" ".join(last[0][0].split()), "") if last else ""


def _cut(text: str, before: str) -> str:
    return before + (text if len(text) <= _SNIPPET else text[:_SNIPPET].rstrip() + "…")
