"""One reply of a chat: from what the model writes to OpenAI's deltas and messages."""

from __future__ import annotations

from typing import Any

from pocketr1.server.backend import Ended, Piece
from pocketr1.server.errors import RequestError
from pocketr1.server.openai.chat_request import ChatRequest
from pocketr1.server.openai.logprobs import chat_logprobs
from pocketr1.server.tools import CALL_END, CALLS_END, Call, CallParser, forced_call

__all__ = ["ChatReply", "Gathered"]


class ChatReply:
    """Turns the pieces of one reply into deltas.

    A delta is ``reasoning_content``, ``content`` or ``tool_calls``. A call is given when it is
    whole, because what turns out to be none is text.
    """

    def __init__(self, asked: ChatRequest) -> None:
        self._logprobs = bool(asked.logprobs)
        functions = asked.functions
        self._forced: list[str] | None = [] if asked.forced else None
        self._parser = None
        if functions and not asked.forced:
            self._parser = CallParser([function.name for function in functions])
        self._blank = ""  # goes where a call follows
        self._calls = 0

    def take(self, piece: Piece) -> list[dict[str, Any]]:
        """Return the deltas of a piece; log probabilities go with the first."""
        deltas: list[dict[str, Any]] = []
        if piece.kind == "reasoning":
            if piece.text:
                deltas.append({"reasoning_content": piece.text})
        elif self._forced is not None:
            self._forced.append(piece.text)
        elif self._parser is not None:
            deltas += self._found(self._parser.feed(piece.text))
        elif piece.text:
            deltas.append({"content": piece.text})
        return deltas

    def logprobs(self, piece: Piece) -> dict[str, Any] | None:
        """Return the log probabilities of a piece's tokens, ``None`` where none are asked for."""
        if not self._logprobs or not piece.logprobs:
            return None
        entries = chat_logprobs(piece.logprobs)
        thought = piece.kind == "reasoning"
        return {
            "content": None if thought else entries,
            "reasoning_content": entries if thought else None,
            "refusal": None,
        }

    def end(self, ended: Ended) -> tuple[list[dict[str, Any]], str]:
        """Return the last deltas, and the reason of the end.

        Raises RequestError (``server-closing``) for a reply the server did not let come to its end.
        """
        if ended.finish_reason == "cancelled":
            raise RequestError("server-closing", status=503)
        deltas: list[dict[str, Any]] = []
        if self._forced is not None:
            text = "".join(self._forced)
            call = forced_call(text)
            deltas += self._found([text if call is None else call])
        elif self._parser is not None:
            # The string that ended the reply belongs to the call.
            if ended.stop_string in (CALL_END, CALLS_END):
                deltas += self._found(self._parser.feed(ended.stop_string))
            deltas += self._found(self._parser.finish())
        if self._blank and not self._calls:
            deltas.append({"content": self._blank})
        reason = ended.finish_reason
        return deltas, "tool_calls" if self._calls and reason == "stop" else reason

    def _found(self, items: list[str | Call]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for item in items:
            if isinstance(item, Call):
                deltas += self._call(item)
                self._blank = ""
            elif item.strip():
                deltas.append({"content": self._blank + item})
                self._blank = ""
            else:
                self._blank += item
        return deltas

    def _call(self, call: Call) -> list[dict[str, Any]]:
        number = self._calls
        self._calls += 1
        begun = {"name": call.name, "arguments": ""}
        return [
            {
                "tool_calls": [
                    {"index": number, "id": call.id, "type": "function", "function": begun}
                ]
            },
            {"tool_calls": [{"index": number, "function": {"arguments": call.arguments}}]},
        ]


class Gathered:
    """Deltas joined to a whole message."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
        self._calls: list[dict[str, Any]] = []
        self._logprobs: dict[str, list[Any]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        """Take a delta."""
        for name, value in delta.items():
            if name != "tool_calls":
                self._texts[name].append(value)
                continue
            for part in value:
                if "id" in part:
                    self._calls.append({k: v for k, v in part.items() if k != "index"})
                else:
                    self._calls[-1]["function"]["arguments"] += part["function"]["arguments"]

    def add_logprobs(self, logprobs: dict[str, Any] | None) -> None:
        """Take the log probabilities of a piece."""
        for name, entries in (logprobs or {}).items():
            self._logprobs.setdefault(name, []).extend(entries or [])

    def message(self) -> dict[str, Any]:
        """Return the message; its content is ``null`` where there are calls alone."""
        content = "".join(self._texts["content"])
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if self._calls and not content else content,
            "refusal": None,
        }
        if self._texts["reasoning_content"]:
            message["reasoning_content"] = "".join(self._texts["reasoning_content"])
        if self._calls:
            message["tool_calls"] = self._calls
        return message

    def logprobs(self, asked: bool) -> dict[str, Any] | None:
        """Return all log probabilities."""
        if not asked:
            return None
        found = self._logprobs
        return {
            "content": found.get("content", []),
            "reasoning_content": found.get("reasoning_content") or None,
            "refusal": None,
        }
