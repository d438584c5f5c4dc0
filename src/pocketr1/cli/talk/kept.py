"""The conversation of a terminal, in the store that the server shares."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from pocketr1.chat import Delta, Message
from pocketr1.chat.history import (
    Conversation,
    History,
    Outcome,
    Page,
    StoredMessage,
    branch,
    prompt_messages,
)
from pocketr1.cli.output import print_error, say
from pocketr1.errors import HistoryError, PocketR1Error

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Kept"]

_SAVE_SECONDS = 1.0
# With these nothing can be kept, now or later.
_LOST = ("full", "unusable", "damaged", "foreign", "newer")


class Kept:
    """One conversation at a time; begun in the store with its first question.

    path: the store; ``None`` keeps nothing beyond this process. Where the store cannot be used, or
    the disk is full, the conversation goes on in memory, which is said once.
    """

    def __init__(self, path: Path | None, model: str, system: str | None) -> None:
        self.system = system
        self.leaf: str | None = None
        self._model = model
        self._id: str | None = None
        self._reply: str | None = None
        self._unsaved: dict[str, list[str]] = {}
        self._saved_at = 0.0
        try:
            self._history = History(path)
        except HistoryError as error:
            _tell_not_kept(error)
            self._history = History(None)

    @property
    def path(self) -> Path | None:
        """Where it is kept; ``None``: in memory."""
        return self._history.path

    @property
    def conversation(self) -> Conversation | None:
        """What has been said, all branches; ``None`` before the first question."""
        return None if self._id is None else self._history.conversation(self._id)

    def said(self) -> list[StoredMessage]:
        """Return the messages of the branch that is spoken on."""
        found = self.conversation
        return [] if found is None else branch(found.messages, self.leaf)

    def prompt(self) -> list[Message]:
        """Return what the model is to hear before the next question."""
        return prompt_messages(self.system, self.said())

    def begin_anew(self, system: str | None) -> None:
        """Leave the conversation; the next question begins another."""
        self.system, self.leaf, self._id = system, None, None

    def find(self, words: str, limit: int) -> Page:
        """Return the newest conversations with these words."""
        return self._history.conversations(words, limit)

    def resume(self, id: str) -> Conversation:
        """Go on with a conversation of the store. Raises HistoryError."""
        found = self._history.conversation(id)
        self._id, self.system, self.leaf = found.id, found.system, found.leaf
        last = self.said()[-1:]
        if last and last[0].role == "user":  # its reply was never begun
            self.leaf = last[0].parent
        return found

    def ask(self, text: str, parent: str | None) -> None:
        """Keep a question behind the reply ``parent``, and begin its reply.

        Raises HistoryError where it cannot be asked now (``history-busy``) or there.
        """
        try:
            self._begin(text, parent)
        except HistoryError as error:
            if error.code in ("history-no-conversation", "history-no-message"):
                print_error(error, as_json=False)  # the page has deleted it
                self.begin_anew(self.system)
            elif error.code.removeprefix("history-") in _LOST:
                self._go_on_in_memory(error)
            else:
                raise
            self._begin(text, None if self._id is None else parent)

    def retry(self, question: str) -> None:
        """Begin another reply to a question."""
        assert self._id is not None
        reply = self._history.retry(self._id, question, self._model)
        self._start(reply)

    def add(self, delta: Delta) -> None:
        """Keep a piece of the reply; it is written about once a second."""
        self._unsaved[delta.kind].append(delta.text)
        if monotonic() - self._saved_at < _SAVE_SECONDS or self._reply is None:
            return
        self._saved_at = monotonic()
        try:
            self._history.grow(self._reply, *self._texts())
        except HistoryError:
            return  # with the next piece, or at the end, which says what is wrong
        self._unsaved = {"reasoning": [], "answer": []}

    def finish(self, outcome: Outcome) -> None:
        """Keep how the reply ended."""
        if self._reply is None:
            return
        try:
            self._finish(self._reply, outcome)
        except HistoryError as error:
            if error.code == "history-no-message":
                print_error(error, as_json=False)
                self.begin_anew(self.system)
            else:
                self._go_on_in_memory(error)
                if self._id is not None:
                    self._history.finish(self._reply, outcome, *self._texts())
        self.leaf, self._reply = (self._reply if self._id is not None else None), None

    def go_to(self, leaf: str | None) -> None:
        """Speak on behind ``leaf``, or anew where it is not of this conversation."""
        found = self.conversation
        known = found is not None and any(message.id == leaf for message in found.messages)
        self.leaf = leaf if known else None

    def withdraw(self, error: PocketR1Error) -> None:
        """Take the question back whose reply could not begin."""
        if self._reply is None or self._id is None:
            return
        question = self._history.message(self._reply).parent
        found = self._history.conversation(self._id)
        siblings = [m for m in found.messages if m.parent == question]
        reply, self._reply = self._reply, None
        if question is None or len(siblings) > 1:
            told = {"message": str(error), "code": error.code}
            self._history.finish(reply, Outcome("failed", error=told))
            return
        self._history.withdraw(question)
        if len(found.messages) <= 2:
            self._history.delete(self._id)
            self._id = None

    def close(self) -> None:
        """Close the store."""
        self._history.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, text: str, parent: str | None) -> None:
        if self._id is None:
            self._id = self._history.create(system=self.system).id
        _, reply = self._history.ask(self._id, parent, text, self._model)
        self._start(reply)

    def _start(self, reply: StoredMessage) -> None:
        self._reply = reply.id
        self._unsaved = {"reasoning": [], "answer": []}
        self._saved_at = monotonic()

    def _finish(self, reply: str, outcome: Outcome, tries: int = 3) -> None:
        try:
            self._history.finish(reply, outcome, *self._texts())
        except HistoryError as error:
            if error.code != "history-busy" or tries == 1:
                raise
            self._finish(reply, outcome, tries - 1)

    def _texts(self) -> tuple[str, str]:
        return "".join(self._unsaved["reasoning"]), "".join(self._unsaved["answer"])

    def _go_on_in_memory(self, error: HistoryError) -> None:
        _tell_not_kept(error)
        memory = History(None)
        if self._id is not None:
            try:
                memory.load(self._history.export(self._id))
            except HistoryError:  # it cannot be read either
                self.begin_anew(self.system)
        self._history.close()
        self._history = memory


def _tell_not_kept(error: HistoryError) -> None:
    print_error(error, as_json=False)
    say("cli-chat-not-kept")
