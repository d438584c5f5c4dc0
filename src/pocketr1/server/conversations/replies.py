"""All replies that are being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pocketr1.chat.history import History, StoredMessage, branch, prompt_messages
from pocketr1.errors import HistoryError
from pocketr1.server.backend import Backend, Task
from pocketr1.server.conversations.keeper import Keeper
from pocketr1.server.conversations.running import ALIVE_SECONDS, RunningReply, event_text
from pocketr1.server.conversations.schemas import task_of

__all__ = ["LAST_EVENT", "Replies"]

#: Number of the last event of a reply that is told from the store: behind all others.
LAST_EVENT = 2**31 - 1
# Replies that are over and can still be heard event by event.
_KEPT = 32
# How often a reply that another process writes is looked at.
_LOOK_SECONDS = 1.0


class Replies:
    """Begins replies, and finds them again."""

    def __init__(self, backend: Backend, keeper: Keeper) -> None:
        self._backend = backend
        self._keeper = keeper
        self._running: dict[str, RunningReply] = {}

    async def ask(
        self, conversation: str, parent: str | None, content: str, settings: Mapping[str, Any]
    ) -> tuple[StoredMessage, StoredMessage]:
        """Keep a question and begin its reply."""
        model = self._backend.facts.name

        def keep(history: History) -> tuple[StoredMessage, StoredMessage, Task]:
            task = self._task(history, conversation, None, settings)
            question, reply = history.ask(conversation, parent, content, model)
            task = self._task(history, conversation, question.id, settings)
            return question, reply, task

        question, reply, task = await self._keeper.do(keep)
        self._begin(reply, task)
        return question, reply

    async def retry(
        self, conversation: str, parent: str, settings: Mapping[str, Any]
    ) -> StoredMessage:
        """Begin another reply to a question."""
        model = self._backend.facts.name

        def keep(history: History) -> tuple[StoredMessage, Task]:
            task = self._task(history, conversation, parent, settings)
            return history.retry(conversation, parent, model), task

        reply, task = await self._keeper.do(keep)
        self._begin(reply, task)
        return reply

    async def stop(self, id: str) -> StoredMessage:
        """End a reply; one that is over stays as it is.

        Raises HistoryError (``history-no-message``), also for a question.
        """
        if id in self._running:
            return await self._running[id].stop()
        return await self._keeper.do(lambda history: _reply(history, id))

    async def stop_all(self, conversation: str | None = None) -> None:
        """End the replies of a conversation; ``None``: of all."""
        found = [
            reply
            for reply in self._running.values()
            if not reply.over and conversation in (None, reply.message.conversation)
        ]
        await asyncio.gather(*(reply.stop() for reply in found))

    async def forget(self, conversation: str | None = None) -> None:
        """End the replies of a conversation, or of all, and drop what is known of them."""
        await self.stop_all(conversation)
        self._running = {
            id: reply
            for id, reply in self._running.items()
            if conversation not in (None, reply.message.conversation)
        }

    async def listen(self, id: str, after: int) -> AsyncIterator[str] | None:
        """Return the events of a reply behind number ``after``; ``None`` where there are none.

        Raises HistoryError (``history-no-message``).
        """
        running = self._running.get(id)
        if running is not None:
            return None if running.heard(after) else running.listen(after)
        message = await self._keeper.do(lambda history: _reply(history, id))
        return None if after >= LAST_EVENT else self._tell(message)

    async def _tell(self, message: StoredMessage) -> AsyncIterator[str]:
        """Yield the end of a reply that this process does not write."""
        id, waited = message.id, 0.0
        while message.state == "running":
            await asyncio.sleep(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
            if waited >= ALIVE_SECONDS:
                waited = 0.0
                yield ": \n\n"
            message = await self._keeper.do(lambda history: _recovered(history, id))
        failed = message.state == "failed"
        data = message.error if failed else message.to_dict()
        yield event_text("failed" if failed else "ended", data, LAST_EVENT)

    def _task(
        self, history: History, id: str, leaf: str | None, settings: Mapping[str, Any]
    ) -> Task:
        """Return what the model is asked; raises UsageError for settings it cannot have."""
        conversation = history.conversation(id)
        said = branch(conversation.messages, leaf)
        messages = prompt_messages(conversation.system, said)
        return task_of(messages, {**conversation.settings, **settings})

    def _begin(self, reply: StoredMessage, task: Task) -> None:
        over = [id for id, running in self._running.items() if running.over]
        for id in over[: max(len(over) - _KEPT, 0)]:
            del self._running[id]
        self._running[reply.id] = RunningReply(self._backend, self._keeper, task, reply)


def _reply(history: History, id: str) -> StoredMessage:
    message = history.message(id)
    if message.role != "assistant":
        raise HistoryError("history-no-message", id=id)
    return message


def _recovered(history: History, id: str) -> StoredMessage:
    history.recover()
    return history.message(id)
