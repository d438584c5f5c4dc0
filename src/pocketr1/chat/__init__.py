"""From a conversation to token ids, and from token ids to a thought and an answer."""

from __future__ import annotations

from pocketr1.chat.detokenizer import IncrementalDetokenizer
from pocketr1.chat.reasoning import Delta, ReasoningSplitter, split_reasoning
from pocketr1.chat.template import ChatTemplate, Message, Prompt
from pocketr1.chat.tokenizer import AddedToken, Tokenizer, load_tokenizer

__all__ = [
    "AddedToken",
    "ChatTemplate",
    "Delta",
    "IncrementalDetokenizer",
    "Message",
    "Prompt",
    "ReasoningSplitter",
    "Tokenizer",
    "load_tokenizer",
    "split_reasoning",
]
