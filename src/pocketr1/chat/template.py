"""Chat templates: messages in, the exact token ids of the prompt out, nothing in them forged.

The template is rendered twice: once on the real texts, which gives the official text, and once on
:class:`~pocketr1.chat.marked.Marked` texts, in which every character that could take part in an
added token (``<think>``, ``<｜User｜>`` …) is replaced by a private twin. Added tokens are looked
for in the second text, where only the template can have written them; the stretches between them
are taken from the first and encoded without any added token. So

- for harmless messages the ids are those of encoding the official text in one go, because a
  tokenizer cuts at added tokens first and encodes what lies between them apart;
- whatever stands in a message, of any role, in a name or in a tool's JSON, becomes ordinary text,
  even where two messages, or a message and the template, would form a tag only together.

The two texts must agree. A template that does to a text what twins cannot follow is refused rather
than trusted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from pocketr1.chat import sandbox
from pocketr1.chat.marked import Marks
from pocketr1.chat.reasoning import CLOSE, OPEN
from pocketr1.chat.tokenizer import (
    Tokenizer,
    read_limited,
    read_tokenizer_config,
    whole_characters,
)
from pocketr1.errors import ChatError

__all__ = ["ChatTemplate", "Message", "Prompt"]

Message = Mapping[str, Any]
"""``role`` (system, user, assistant or tool), ``content``, and what else the template knows."""

# The longest published templates are near 30 KB; compiling this much of the worst kind takes a
# few seconds.
_MAX_TEMPLATE_BYTES = 128 << 10
_MAX_FILE_BYTES = 4 << 20
_ROLES = ("system", "user", "assistant", "tool")
_R1_TEMPLATE = Path(__file__).parent / "templates" / "r1.jinja"
_R1_TOKENS = ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>")


@dataclass(frozen=True)
class Prompt:
    """A rendered conversation.

    ids: its tokens, with exactly one BOS where the model has one.
    text: what they stand for.
    thinking: the prompt ends inside ``<think>``: the reply starts with the thought.
    skipped: a thought would have been opened, but an empty one stands in the prompt, as asked.
    """

    ids: tuple[int, ...]
    text: str
    thinking: bool
    skipped: bool = False


class ChatTemplate:
    """One chat template, compiled.

    source: the template's text. where: what errors call it.

    Raises ChatError (``chat-template-damaged``) where jinja2 cannot compile it.
    """

    def __init__(
        self,
        source: str,
        tokenizer: Tokenizer,
        *,
        where: str = "chat template",
        limits: sandbox.Limits | None = None,
    ) -> None:
        self.source = source
        self.where = where
        self._tokenizer = tokenizer
        self._limits = limits or sandbox.Limits()
        self._pattern = _pattern(tokenizer.added_tokens)
        size = len(source.encode("utf-8", "replace"))
        if size > _MAX_TEMPLATE_BYTES:
            reason = f"{size} bytes, more than {_MAX_TEMPLATE_BYTES}"
            raise ChatError("chat-template-damaged", where=where, reason=reason)
        try:
            self._template = sandbox.compile_template(source)
        except jinja2.TemplateSyntaxError as error:
            reason = f"line {error.lineno}: {error.message}"
            raise ChatError("chat-template-damaged", where=where, reason=reason) from error
        except (
            jinja2.TemplateError,
            SyntaxError,
            ValueError,
            RecursionError,
            MemoryError,
        ) as error:
            reason = _reason(error)
            raise ChatError("chat-template-damaged", where=where, reason=reason) from error

    @classmethod
    def load(cls, directory: str | Path, tokenizer: Tokenizer) -> ChatTemplate:
        """Return the template of a model directory, or R1's where it has none.

        Looked for in ``chat_template.jinja``, ``chat_template.json`` and ``tokenizer_config.json``,
        as transformers does. R1's official template is used only where the tokenizer has its tags.

        Raises ChatError: ``chat-template-missing``, ``chat-template-damaged``, and those of
        reading ``tokenizer_config.json``.
        """
        directory = Path(directory)
        path = directory / "chat_template.jinja"
        if path.exists():
            try:
                source = read_limited(path, _MAX_FILE_BYTES).decode("utf-8")
            except UnicodeDecodeError as error:
                reason = "it is not UTF-8"
                raise ChatError("chat-template-damaged", where=str(path), reason=reason) from error
            return cls(source, tokenizer, where=str(path))
        for path, config in (
            (directory / "chat_template.json", _read_json(directory / "chat_template.json")),
            (directory / "tokenizer_config.json", read_tokenizer_config(directory)),
        ):
            found = _default_template(config.get("chat_template"))
            if found is not None:
                return cls(found, tokenizer, where=str(path))
        if all(tokenizer.token_to_id(token) is not None for token in _R1_TOKENS):
            return cls.r1(tokenizer)
        raise ChatError("chat-template-missing", where=str(directory))

    @classmethod
    def r1(cls, tokenizer: Tokenizer) -> ChatTemplate:
        """Return DeepSeek-R1's official template (MIT), which is shipped with the package."""
        return cls(_R1_TEMPLATE.read_text("utf-8"), tokenizer, where=str(_R1_TEMPLATE))

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **variables: Any
    ) -> str:
        """Return the official text of a conversation, as transformers' ``apply_chat_template``.

        variables: what else the template reads (``tools``, ``enable_thinking`` …).

        Raises ChatError: ``chat-message`` (no such role, or a value that is not JSON-like),
        ``chat-template-refused`` (the template's own complaint), ``chat-template-failed``,
        ``chat-template-limit`` (time or size).
        """
        variables["add_generation_prompt"] = add_generation_prompt
        return self._render_twice(messages, variables)[0]

    def encode(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        think: bool = True,
        skip_thought: bool = False,
        **variables: Any,
    ) -> Prompt:
        """Return the prompt of a conversation.

        think: let the reply open with ``<think>\\n`` where the template does not do it itself, as
            DeepSeek advises (R1 model card, usage recommendations). Without effect on a tokenizer
            that has no such token, where the template has written an empty thought, and behind a
            tool's result.
        skip_thought: end an opened thought at once, with ``<think>\\n\\n</think>\\n\\n``, which is
            how R1 itself answers without thinking.

        Raises ChatError as ``render``, and ``chat-template-untraceable``.
        """
        variables["add_generation_prompt"] = add_generation_prompt
        text, marked = self._render_twice(messages, variables)
        thinking = skipped = False
        if add_generation_prompt:
            tail = marked.rstrip("\n")
            thinking = tail.endswith(OPEN)
            wanted = think and OPEN in self._tokenizer.added_tokens
            if messages and messages[-1]["role"] == "tool":
                wanted = False
            if wanted and not thinking and not tail.endswith(CLOSE):
                text, marked, thinking = f"{text}{OPEN}\n", f"{marked}{OPEN}\n", True
            if skip_thought and thinking:
                empty = f"\n\n{CLOSE}\n\n"
                text, marked = text.rstrip("\n") + empty, marked.rstrip("\n") + empty
                thinking, skipped = False, True
        ids = self._with_one_bos(self._encode(text, marked))
        return Prompt(tuple(ids), text, thinking, skipped)

    def _encode(self, text: str, marked: str) -> list[int]:
        ids: list[int] = []
        place = 0
        for match in self._pattern.finditer(marked):
            token = self._tokenizer.added_tokens[match.group()]
            start, end = match.span()
            if token.single_word and re.search(
                r"\w", text[max(start - 1, 0) : start] + text[end : end + 1]
            ):
                continue
            while token.left_strip and start > place and text[start - 1].isspace():
                start -= 1
            while token.right_strip and end < len(text) and text[end].isspace():
                end += 1
            ids += self._tokenizer.encode_text(text[place:start])
            ids.append(token.id)
            place = end
        return ids + self._tokenizer.encode_text(text[place:])

    def _with_one_bos(self, ids: list[int]) -> list[int]:
        bos = self._tokenizer.bos_id
        if bos is None:
            return ids
        start = next((n for n, i in enumerate(ids) if i != bos), len(ids))
        return [bos, *ids[start:]] if start or self._tokenizer.adds_bos else ids

    def _render_twice(
        self, messages: Sequence[Message], variables: dict[str, Any]
    ) -> tuple[str, str]:
        """Return the official text, and the same text with twins for what is not the template's."""
        foreign = {"messages": _checked_messages(messages), **_checked(variables, "variables")}
        texts: list[str] = []
        _collect(foreign, texts)
        tokens = {
            "bos_token": self._tokenizer.bos_token or "",
            "eos_token": self._tokenizer.eos_token or "",
        }
        try:
            marks = Marks(self._tokenizer.added_tokens, [self.source, *texts])
        except ValueError as error:
            raise ChatError("chat-message", reason=str(error)) from error
        twins = {name: marks.wrap(value) for name, value in foreign.items()}
        size, now = sum(map(len, texts)), datetime.now()
        text = self._render(tokens | foreign, size, now)
        marked = self._render(tokens | twins, size, now)
        if marks.unmark(marked) != text:
            raise ChatError("chat-template-untraceable", where=self.where)
        return text, marked

    def _render(self, variables: dict[str, Any], size: int, now: datetime) -> str:
        try:
            return sandbox.render(self._template, variables, self._limits, size, now)
        except sandbox.SandboxLimitError as error:
            raise ChatError("chat-template-limit", where=self.where, reason=str(error)) from error
        except sandbox.TemplateRefusal as error:
            raise ChatError(
                "chat-template-refused", where=self.where, reason=_reason(error)
            ) from error
        except Exception as error:
            # A template is a program; any of Python's errors may come out of it.
            raise ChatError(
                "chat-template-failed", where=self.where, reason=_reason(error)
            ) from error


def _pattern(added: Iterable[str]) -> re.Pattern[str]:
    """Return what finds added tokens: leftmost, then longest, as the tokenizers library does."""
    longest_first = sorted(filter(None, added), key=lambda token: -len(token))
    # Without added tokens: what matches nowhere.
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _checked_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    checked = []
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            role = message.get("role") if isinstance(message, Mapping) else message
            reason = f"message {number} has the role {role!r}, not one of {', '.join(_ROLES)}"
            raise ChatError("chat-message", reason=reason)
        if not isinstance(message.get("content"), str | list | None):
            reason = f"the content of message {number} is neither text nor a list of parts"
            raise ChatError("chat-message", reason=reason)
        checked.append(_checked(dict(message), f"message {number}"))
    return checked


def _checked(value: Any, where: str) -> Any:
    """Return a JSON-like value with whole characters only."""
    try:
        return _json_like(value)
    except (TypeError, RecursionError) as error:
        raise ChatError("chat-message", reason=f"{where}: {_reason(error)}") from error


def _json_like(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(str(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_json_like(key): _json_like(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_like(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def _collect(value: Any, texts: list[str]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(key, texts)
            _collect(item, texts)
    elif isinstance(value, list):
        for item in value:
            _collect(item, texts)


def _default_template(value: Any) -> str | None:
    """Return the template of a configuration entry: a text, or the ``default`` of a list."""
    if isinstance(value, list):
        named = {t.get("name"): t.get("template") for t in value if isinstance(t, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        config = json.loads(read_limited(path, _MAX_FILE_BYTES))
    except (ValueError, RecursionError) as error:
        reason = _reason(error)
        raise ChatError("chat-template-damaged", where=str(path), reason=reason) from error
    return config if isinstance(config, dict) else {}


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
