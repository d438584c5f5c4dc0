"""What has been said so far, as the template wants to hear it."""

from __future__ import annotations

from typing import Any

from pocketr1.chat.reasoning import CLOSE, OPEN
from pocketr1.chat.template import Message

__all__ = ["Conversation"]


class Conversation:
    """The messages of a conversation.

    A reply is kept as the model wrote it, thought included: what becomes of an earlier thought is
    for the template to say, which sees the text as its authors expected it. R1's drops all up to
    the last ``</think>``. A thought that was cut off is closed first, so that it goes as well.

    system: a system prompt. R1 is better without one (its model card, usage recommendations).
    """

    def __init__(self, system: str | None = None) -> None:
        self._messages: list[Message] = []
        if system is not None:
            self._messages.append({"role": "system", "content": system})
        self._start = len(self._messages)

    @property
    def messages(self) -> list[Message]:
        """The messages so far; the list is a copy."""
        return list(self._messages)

    def with_question(self, text: str) -> list[Message]:
        """Return the messages with one of the user behind them; nothing is kept."""
        return [*self._messages, {"role": "user", "content": text}]

    def add(self, question: str, written: str, *, thinking: bool, ended: bool) -> None:
        """Keep a question and its reply.

        written: what the model wrote. thinking: the prompt had opened the thought for it.
        ended: it is past its thought, or has none.
        """
        content = (f"{OPEN}\n" if thinking else "") + written
        if not ended:
            content += f"\n{CLOSE}\n\n"
        self._messages = self.with_question(question)
        self._messages.append({"role": "assistant", "content": content})

    def add_message(self, role: str, content: str, **fields: Any) -> None:
        """Keep a message from elsewhere: an earlier conversation, an example, a tool's result."""
        self._messages.append({"role": role, "content": content, **fields})

    def clear(self) -> None:
        """Forget everything but the system prompt."""
        del self._messages[self._start :]
