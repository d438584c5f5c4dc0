"""The store: what can be done with conversations."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pocketr1.chat.history.database import Database
from pocketr1.chat.history.exported import Exported
from pocketr1.chat.history.listing import list_conversations
from pocketr1.chat.history.owner import Owner, forget, lives
from pocketr1.chat.history.records import (
    Conversation,
    Outcome,
    Page,
    Role,
    State,
    StoredMessage,
    title_of,
)
from pocketr1.chat.tokenizer import whole_characters
from pocketr1.errors import HistoryError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FILE", "History"]

#: The file's name in the directory of a user's data.
FILE = "conversations.db"

_CONVERSATION = "id, title, renamed, created, updated, system, settings, model, leaf"
_MESSAGE = (
    "id, conversation, parent, role, content, reasoning, created, state, finish_reason, stats,"
    " error, model"
)


class History:
    """Conversations, each a tree of messages, in one SQLite file.

    Several processes may use the file at once, and several threads one History.

    path: the file, made where there is none; ``None`` keeps everything in memory, for as long as
    the History is open. Replies that a process left ``running`` when it died become ``stopped``.

    Every method raises HistoryError for a store that cannot be used (see
    :class:`~pocketr1.chat.history.database.Database`), and ``history-no-conversation`` or
    ``history-no-message`` for an id that is not there.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._database = Database(path)
        self._locks = None if path is None else path.with_name(f"{path.name}.writers")
        self._owner = Owner(self._locks)
        #: What was deleted is gone, but its texts still lie in the log beside the file, because
        #: another process reads; they go with what is done next, or at the close.
        self.unscrubbed = False
        self.recover()

    # Conversations.

    def conversations(self, query: str = "", limit: int = 50, before: str | None = None) -> Page:
        """Return the newest conversations whose title or texts hold every word of ``query``.

        limit: how many at most. before: the ``next`` of the page before. Raises HistoryError
        (``history-cursor``).
        """
        self._scrub_later()
        return list_conversations(self._database, whole_characters(query), limit, before)

    def create(
        self,
        title: str | None = None,
        system: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Conversation:
        """Begin a conversation; without a title it gets one from its first question."""
        now = time.time()
        id = new_id()
        with self._database.transaction():
            self._database.rows(
                f"INSERT INTO conversation({_CONVERSATION}) VALUES (?, ?, ?, ?, ?, ?, ?, '', NULL)",
                id,
                whole_characters(title or ""),
                bool(title),
                now,
                now,
                None if system is None else whole_characters(system),
                _json(settings or {}),
            )
        return self.conversation(id)

    def conversation(self, id: str) -> Conversation:
        """Return a conversation with all its messages."""
        self._scrub_later()
        self.recover()
        with self._database.snapshot():
            head = self._head(id)
            rows = self._database.rows(
                f"SELECT {_MESSAGE} FROM message WHERE conversation = ? ORDER BY number", id
            )
            messages = tuple(self._grown(_message(row)) for row in rows)
        return _conversation(head, messages)

    def change(
        self,
        id: str,
        *,
        title: str | None = None,
        system: str | None = None,
        settings: Mapping[str, Any] | None = None,
        leaf: str | None = None,
        no_system: bool = False,
    ) -> Conversation:
        """Change what is given; ``no_system`` takes the system prompt away."""
        with self._database.transaction():
            self._head(id)
            if title is not None:
                statement = "UPDATE conversation SET title = ?, renamed = 1 WHERE id = ?"
                self._database.rows(statement, whole_characters(title), id)
            if system is not None or no_system:
                text = None if system is None or no_system else whole_characters(system)
                self._database.rows("UPDATE conversation SET system = ? WHERE id = ?", text, id)
            if settings is not None:
                text = _json(settings)
                self._database.rows("UPDATE conversation SET settings = ? WHERE id = ?", text, id)
            if leaf is not None:
                self._row(leaf, id)
                self._database.rows("UPDATE conversation SET leaf = ? WHERE id = ?", leaf, id)
        return self.conversation(id)

    def delete(self, id: str) -> None:
        """Delete a conversation for good; its texts are overwritten in the file.

        Where another process reads just now, they are a little later (``unscrubbed``).
        """
        with self._database.transaction():
            if not self._database.changed("DELETE FROM conversation WHERE id = ?", id):
                raise HistoryError("history-no-conversation", id=id)
        self._scrub()

    def erase(self) -> None:
        """Delete all conversations for good; their texts are overwritten, as in :meth:`delete`."""
        with self._database.transaction():
            self._database.rows("DELETE FROM conversation")
            self._database.rows("DELETE FROM sqlite_sequence")
        self._scrub(shrink=True)

    # Messages.

    def message(self, id: str) -> StoredMessage:
        """Return a message, of whatever conversation."""
        with self._database.snapshot():
            return self._grown(_message(self._row(id)))

    def ask(
        self, conversation: str, parent: str | None, content: str, model: str = ""
    ) -> tuple[StoredMessage, StoredMessage]:
        """Keep a question, and begin its reply, which this process is to write.

        parent: the reply it follows; ``None``: a first question. Raises HistoryError:
        ``history-parent``, ``history-parent-running``.
        """
        self._hold()
        content = whole_characters(content)
        with self._database.transaction():
            head = self._head(conversation)
            if parent is not None:
                found = self._row(parent, conversation)
                self._check_parent(found, "assistant")
            question = self._insert(conversation, parent, "user", content, "done", "")
            reply = self._insert(conversation, question, "assistant", "", "running", model)
            title, renamed = head[1], head[2]
            if not title and not renamed:
                statement = "UPDATE conversation SET title = ? WHERE id = ?"
                self._database.rows(statement, title_of(content), conversation)
        return self.message(question), self.message(reply)

    def retry(self, conversation: str, parent: str, model: str = "") -> StoredMessage:
        """Begin another reply to a question. Raises HistoryError: ``history-parent``."""
        self._hold()
        with self._database.transaction():
            self._head(conversation)
            self._check_parent(self._row(parent, conversation), "user")
            reply = self._insert(conversation, parent, "assistant", "", "running", model)
        return self.message(reply)

    def grow(self, reply: str, reasoning: str, content: str) -> None:
        """Append to a running reply. Costs what is appended, not what is there.

        Raises ``history-no-message`` where the reply was deleted meanwhile.
        """
        with self._database.transaction(durable=False):
            self._append(reply, reasoning, content)

    def finish(
        self, reply: str, outcome: Outcome, reasoning: str = "", content: str = ""
    ) -> StoredMessage:
        """Append the last of a reply, and say how it ended."""
        with self._database.transaction():
            self._append(reply, reasoning, content)
            self._finish(reply, outcome)
            self._database.rows(
                "UPDATE conversation SET updated = ?"
                " WHERE id = (SELECT conversation FROM message WHERE id = ?)",
                time.time(),
                reply,
            )
        return self.message(reply)

    def withdraw(self, question: str) -> None:
        """Delete a question and everything behind it, as if it had not been asked."""
        with self._database.transaction():
            found = _message(self._row(question))
            self._database.rows(
                "WITH RECURSIVE gone(id) AS (VALUES (?)"
                " UNION SELECT m.id FROM message m JOIN gone ON m.parent = gone.id)"
                " DELETE FROM message WHERE id IN (SELECT id FROM gone)",
                question,
            )
            self._database.rows(
                "UPDATE conversation SET leaf = ? WHERE id = ?", found.parent, found.conversation
            )

    def recover(self) -> int:
        """Stop the replies whose writers have died; return how many there were."""
        if self._locks is None:
            return 0
        rows = self._database.rows("SELECT DISTINCT owner FROM message WHERE state = 'running'")
        names = [str(name) for (name,) in rows if name != self._owner.name]
        dead = [name for name in names if not lives(self._locks, name)]
        count = 0
        for name in dead:
            with self._database.transaction():
                found = self._database.rows(
                    "SELECT id FROM message WHERE state = 'running' AND owner = ?", name
                )
                for (reply,) in found:
                    self._finish(reply, Outcome("stopped", "cancelled"))
            count += len(found)
            forget(self._locks, name)
        return count

    # Files.

    def export(self, id: str | None = None) -> dict[str, Any]:
        """Return one conversation, or all, as the JSON document that :meth:`load` takes."""
        if id is not None:
            return Exported((self.conversation(id),)).to_dict()
        ids = [
            row[0] for row in self._database.rows("SELECT id FROM conversation ORDER BY created")
        ]
        return Exported(tuple(self.conversation(each) for each in ids)).to_dict()

    def load(self, document: object) -> int:
        """Add the conversations of an exported document; return how many are new or have grown.

        What is there stays as it is: of a conversation that is there, messages that are not are
        added. All of the document is added, or nothing.

        Raises HistoryError: ``history-import`` (what is wrong, where), ``history-import-newer``.
        """
        exported = Exported.parse(document)
        with self._database.transaction():
            return sum(self._merge(conversation) for conversation in exported.conversations)

    def close(self) -> None:
        """Close; harmless twice."""
        self._scrub_later()
        self._database.close()
        self._owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _scrub(self, *, shrink: bool = False, wait: bool = True) -> None:
        self.unscrubbed = True
        try:
            self._database.scrub(shrink=shrink, wait=wait)
        except HistoryError as error:
            # The deletion itself is done, and must not be told as if it had failed.
            if error.code != "history-busy":
                raise
        else:
            self.unscrubbed = False

    def _scrub_later(self) -> None:
        if self.unscrubbed:
            with suppress(HistoryError):  # nothing that is asked now fails for it
                self._scrub(wait=False)

    # Rows; inside of a transaction or a snapshot.

    def _head(self, id: str) -> tuple[Any, ...]:
        rows = self._database.rows(f"SELECT {_CONVERSATION} FROM conversation WHERE id = ?", id)
        if not rows:
            raise HistoryError("history-no-conversation", id=id)
        return rows[0]

    def _row(self, id: str, conversation: str | None = None) -> tuple[Any, ...]:
        rows = self._database.rows(f"SELECT {_MESSAGE} FROM message WHERE id = ?", id)
        if not rows or (conversation is not None and rows[0][1] != conversation):
            raise HistoryError("history-no-message", id=id)
        return rows[0]

    def _check_parent(self, row: tuple[Any, ...], role: Role) -> None:
        parent = _message(row)
        if parent.role != role:
            raise HistoryError("history-parent", id=parent.id)
        if parent.state == "running":
            raise HistoryError("history-parent-running", id=parent.id)

    def _insert(
        self,
        conversation: str,
        parent: str | None,
        role: Role,
        content: str,
        state: State,
        model: str,
    ) -> str:
        id, now = new_id(), time.time()
        self._database.rows(
            f"INSERT INTO message({_MESSAGE}, owner)"
            " VALUES (?, ?, ?, ?, ?, '', ?, ?, NULL, '{}', NULL, ?, ?)",
            *(id, conversation, parent, role, content, now, state, model),
            self._owner.name if state == "running" else None,
        )
        self._database.rows(
            "UPDATE conversation SET leaf = ?, updated = ?,"
            " model = CASE WHEN ? = '' THEN model ELSE ? END WHERE id = ?",
            *(id, now, model, model, conversation),
        )
        return id

    def _append(self, reply: str, reasoning: str, content: str) -> None:
        if not reasoning and not content:
            return
        added = self._database.changed(
            "INSERT INTO growth(message, reasoning, content)"
            " SELECT number, ?, ? FROM message WHERE id = ?",
            *(whole_characters(reasoning), whole_characters(content), reply),
        )
        if not added:
            raise HistoryError("history-no-message", id=reply)

    def _finish(self, reply: str, outcome: Outcome) -> None:
        whole = self._grown(_message(self._row(reply)))
        self._database.rows(
            "UPDATE message SET state = ?, finish_reason = ?, stats = ?, error = ?, owner = NULL,"
            " content = ?, reasoning = ? WHERE id = ?",
            outcome.state,
            outcome.finish_reason,
            _json(outcome.stats),
            None if outcome.error is None else _json(outcome.error),
            whole.content,
            whole.reasoning,
            reply,
        )
        self._database.rows(
            "DELETE FROM growth WHERE message = (SELECT number FROM message WHERE id = ?)", reply
        )

    def _grown(self, message: StoredMessage) -> StoredMessage:
        """Return a message with what it has grown by."""
        if message.role == "user":
            return message
        rows = self._database.rows(
            "SELECT reasoning, content FROM growth"
            " WHERE message = (SELECT number FROM message WHERE id = ?) ORDER BY number",
            message.id,
        )
        return message.with_text(
            message.reasoning + "".join(row[0] for row in rows),
            message.content + "".join(row[1] for row in rows),
        )

    def _merge(self, conversation: Conversation) -> bool:
        """Add what is not there of an exported conversation; return whether there was any."""
        id = conversation.id
        known = bool(self._database.rows("SELECT 1 FROM conversation WHERE id = ?", id))
        if not known:
            self._database.rows(
                f"INSERT INTO conversation({_CONVERSATION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                *(id, conversation.title, conversation.renamed, conversation.created),
                *(conversation.updated, conversation.system, _json(conversation.settings)),
                conversation.model,
            )
        named: dict[str | None, str | None] = {None: None}
        added = 0
        for message in conversation.messages:
            place = self._place(message.id)
            if place == id:
                named[message.id] = message.id
                continue
            # Another conversation has taken the id. The new one is always the same, so that a
            # second import finds it.
            fresh = message.id
            if place is not None:
                fresh = sha256(f"{id}/{message.id}".encode()).hexdigest()[:32]
            named[message.id] = fresh
            if place is not None and self._place(fresh) is not None:
                continue
            self._database.rows(
                f"INSERT INTO message({_MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(fresh, id, named[message.parent], message.role, message.content),
                *(message.reasoning, message.created, message.state, message.finish_reason),
                *(_json(message.stats), None if message.error is None else _json(message.error)),
                message.model,
            )
            added += 1
        if not known:
            leaf = named[conversation.leaf]
            self._database.rows("UPDATE conversation SET leaf = ? WHERE id = ?", leaf, id)
        return not known or added > 0

    def _place(self, message: str) -> str | None:
        """Return the conversation that has a message of this id."""
        rows = self._database.rows("SELECT conversation FROM message WHERE id = ?", message)
        return rows[0][0] if rows else None

    def _hold(self) -> None:
        try:
            self._owner.hold()
        except OSError as error:
            reason = error.strerror or str(error)
            raise HistoryError("history-unusable", path=self.path, reason=reason) from error


def new_id() -> str:
    """Return an id that nothing else has."""
    return secrets.token_hex(8)


def _json(value: Mapping[str, Any]) -> str:
    # Escapes, so that half a surrogate pair is no trouble.
    return json.dumps(dict(value), allow_nan=False)


def _conversation(row: tuple[Any, ...], messages: tuple[StoredMessage, ...]) -> Conversation:
    id, title, renamed, created, updated, system, settings, model, leaf = row
    return Conversation(
        *(id, title, bool(renamed), created, updated, system, json.loads(settings), model, leaf),
        messages,
    )


def _message(row: tuple[Any, ...]) -> StoredMessage:
    named = dict(zip(_MESSAGE.replace(" ", "").split(","), row, strict=True))
    error = named.pop("error")
    stats = json.loads(named.pop("stats"))
    return StoredMessage(**named, stats=stats, error=None if error is None else json.loads(error))
