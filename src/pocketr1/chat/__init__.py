"""From a conversation to token ids, and from token ids to a thought and an answer."""

from __future__ import annotations

from pocketr1.chat.chat import Chat
from pocketr1.chat.conversation import Conversation
from pocketr1.chat.detokenizer import IncrementalDetokenizer
from pocketr1.chat.reasoning import Delta, ReasoningSplitter, split_reasoning
from pocketr1.chat.reply import Reply, ReplyStream, Timings
from pocketr1.chat.template import ChatTemplate, Message, Prompt
from pocketr1.chat.tokenizer import AddedToken, Tokenizer, load_tokenizer

__all__ = [
    "AddedToken",
    "Chat",
    "ChatTemplate",
    "Conversation",
    "Delta",
    "IncrementalDetokenizer",
    "Message",
    "Prompt",
    "ReasoningSplitter",
    "Reply",
    "ReplyStream",
    "Timings",
    "Tokenizer",
    "load_tokenizer",
    "split_reasoning",
]
