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
# For how many seconds, and how many, replies that are over can still be heard event by event; then
# the store tells their end. A text that is deleted must not lie here for long either.
_HEARD_SECONDS = 60.0
_KEPT = 8
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
            kept = history.conversation(conversation)
            seed = kept.settings.get("seed")
            wanted = dict(settings)
            if type(seed) is int and "seed" not in wanted:
                # With the conversation's own seed it would be the same answer again.
                others = sum(message.parent == parent for message in kept.messages)
                wanted["seed"] = (seed + others) % 2**64
            task = self._task(history, conversation, parent, wanted)
            return history.retry(conversation, parent, model), task

        reply, task = await self._keeper.do(keep)
        self._begin(reply, task)
        return reply

    async def stop(self, id: str) -> StoredMessage:
        """End a reply; one that is over stays as it is.

        Raises HistoryError: ``history-no-message``, also for a question; ``history-elsewhere`` for
        one that another process writes.
        """
        running = await self._known(id)
        if running is not None:
            return await running.stop()
        message = await self._keeper.do(lambda history: _recovered(history, id))
        if message.state == "running":
            raise HistoryError("history-elsewhere", id=id)
        return message

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
        for id, reply in [*self._running.items()]:
            if conversation in (None, reply.message.conversation):
                self._running.pop(id, None)

    async def listen(self, id: str, after: int) -> AsyncIterator[str] | None:
        """Return the events of a reply behind number ``after``; ``None`` where there are none.

        Raises HistoryError (``history-no-message``).
        """
        running = await self._known(id)
        if running is not None:
            return None if running.heard(after) else running.listen(after)
        message = await self._keeper.do(lambda history: _reply(history, id))
        return None if after >= LAST_EVENT else self._tell(message)

    async def _known(self, id: str) -> RunningReply | None:
        """Return a reply that this process writes, or has written lately.

        Raises HistoryError (``history-no-message``) where it was deleted since, by whomever.
        """
        running = self._running.get(id)
        if running is not None and running.over:
            try:
                await self._keeper.do(lambda history: history.message(id))
            except HistoryError as error:
                if error.code == "history-no-message":
                    self._running.pop(id, None)
                    raise
        return running

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
        running = RunningReply(self._backend, self._keeper, task, reply)
        self._running[reply.id] = running
        loop = asyncio.get_running_loop()
        running.when_over(
            lambda: loop.call_later(_HEARD_SECONDS, self._running.pop, reply.id, None)
        )


def _reply(history: History, id: str) -> StoredMessage:
    message = history.message(id)
    if message.role != "assistant":
        raise HistoryError("history-no-message", id=id)
    return message


def _recovered(history: History, id: str) -> StoredMessage:
    history.recover()
    return _reply(history, id)
