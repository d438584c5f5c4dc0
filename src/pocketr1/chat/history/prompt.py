"""A branch of a kept conversation as the model's template wants to hear it."""

from __future__ import annotations

from collections.abc import Sequence

from pocketr1.chat.history.records import StoredMessage
from pocketr1.chat.reasoning import CLOSE, OPEN
from pocketr1.chat.template import Message

__all__ = ["prompt_messages"]


def prompt_messages(system: str | None, said: Sequence[StoredMessage]) -> list[Message]:
    """Return the messages of a branch, its last question included.

    A reply is given as the model wrote it, its thought in tags before the answer: what becomes of
    earlier thoughts is for the template to say. One that was stopped inside its thought has the
    thought closed. A reply that failed before it said anything is left out together with its
    question, which may be why it failed.
    """
    messages: list[Message] = []
    if system is not None:
        messages.append({"role": "system", "content": system})
    for message in said:
        if message.role == "user":
            messages.append({"role": "user", "content": message.content})
        elif message.state == "failed" and not message.content and not message.reasoning:
            messages.pop()
        else:
            content = message.content
            if message.reasoning:
                content = f"{OPEN}\n{message.reasoning}\n{CLOSE}\n\n{content}"
            messages.append({"role": "assistant", "content": content})
    return messages
