"""A request for a chat completion, and the task it asks of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from pocketr1.chat import Message
from pocketr1.server import tools
from pocketr1.server.backend import Facts, Task
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits
from pocketr1.server.openai.fields import ANY_FIELDS, CompletionFields, Positive
from pocketr1.server.tools import Function
from pocketr1.server.validation import Fields

__all__ = ["ChatFields", "ChatRequest", "plain_messages", "refuse_media"]

FunctionName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TextPart(Fields):
    """A part of a message's content; text is the only kind."""

    type: Literal["text"]
    text: str


Content: TypeAlias = str | list[TextPart]


class SystemMessage(Fields):
    """Instructions; all of them stand in front of the conversation."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(Fields):
    """What a user says."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(Fields):
    """The function of a call, its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Fields):
    """A call the model made."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Fields):
    """What the model said; an earlier thought is dropped."""

    role: Literal["assistant"]
    content: Content | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    prefix: bool | None = None
    name: str | None = None


class ToolMessage(Fields):
    """What a call gave."""

    role: Literal["tool"]
    content: Content | None
    tool_call_id: str | None = None


AnyMessage: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class ToolFunction(Fields):
    """A function: parameters is the JSON Schema of its arguments."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Fields):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: ToolFunction


class NamedFunction(Fields):
    """A function by its name."""

    name: FunctionName


class NamedTool(Fields):
    """A tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Fields):
    """A JSON Schema with a name."""

    name: str | None = Field(None, max_length=64)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextFormat(Fields):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Fields):
    """A JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(Fields):
    """What matches a JSON Schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class Thinking(Fields):
    """Whether to think, and for how many tokens at most."""

    type: Literal["enabled", "disabled"]
    budget_tokens: Annotated[int, Field(ge=0, le=1 << 31)] | None = None


class TemplateOptions(Fields):
    """enable_thinking: another spelling of ``thinking``."""

    enable_thinking: bool | None = None


class ChatFields(Fields):
    """What makes the prompt of a chat."""

    messages: list[AnyMessage] = Field(min_length=1)
    thinking: Thinking | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    chat_template_kwargs: TemplateOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: (
        Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
        | None
    ) = None

    @property
    def think(self) -> bool:
        """Whether a thought is wanted; the first field that says something counts."""
        if self.thinking is not None:
            return self.thinking.type == "enabled"
        if self.reasoning_effort is not None:
            return self.reasoning_effort != "none"
        options = self.chat_template_kwargs
        return options is None or options.enable_thinking is not False

    @property
    def functions(self) -> list[Function]:
        """The functions the model is told of: none for ``none``, one where one is named."""
        if self.tool_choice == "none":
            return []
        offered = [
            Function(t.function.name, t.function.description, t.function.parameters)
            for t in self.tools or ()
        ]
        if isinstance(self.tool_choice, NamedTool):
            return [f for f in offered if f.name == self.tool_choice.function.name]
        return offered

    @property
    def forced(self) -> bool:
        """Whether the answer must be a call."""
        return self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)

    @property
    def wanted(self) -> dict[str, Any] | None:
        """What the answer must match, as :class:`Task` has it."""
        if self.forced:
            return tools.forced_schema(self.functions)
        asked = self.response_format
        if isinstance(asked, JsonSchemaFormat):
            return asked.json_schema.schema_ or {}
        return {"type": "object"} if isinstance(asked, JsonObjectFormat) else None

    def prompt(self) -> list[Message]:
        """Return the messages as templates know them, with what the model must be told."""
        extra = []
        functions = self.functions
        if functions:
            extra.append(
                tools.forced_text(functions) if self.forced else tools.tools_text(functions)
            )
        asked = self.response_format
        if isinstance(asked, JsonSchemaFormat) and not self.forced:
            told = asked.json_schema
            extra.append(tools.schema_text(told.schema_ or {}, told.name or "", told.description))
        return plain_messages(self.messages, extra)

    def check_chat(self, limits: Limits) -> None:
        """Raise RequestError for what is not possible, or beyond a limit."""
        if len(self.messages) > limits.messages:
            limit = limits.messages
            raise RequestError("request-limit", param="messages", where="messages", limit=limit)
        _check_messages(self.messages)
        # With what the model is told of tools and formats.
        if sum(map(_chars, self.prompt())) > limits.prompt_chars:
            limit, param = limits.prompt_chars, "messages"
            if sum(map(_chars, plain_messages(self.messages))) <= limit:
                param = "tools" if self.functions else "response_format"
            raise RequestError("request-chars", param=param, where=param, limit=limit)
        offered = [tool.function for tool in self.tools or ()]
        if len(offered) > limits.tools:
            raise RequestError("request-limit", param="tools", where="tools", limit=limits.tools)
        names = [function.name for function in offered]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise RequestError("request-tool-twice", param=f"tools[{place}]", name=name)
        if self.forced and not self.functions:
            raise RequestError("request-tool-choice", param="tool_choice")
        if self.functions and not self.forced and self.wanted is not None:
            # Held to the format, the model could never call: better said than found out.
            raise RequestError("request-format-tools", param="response_format")
        schema = json.dumps(self.wanted, ensure_ascii=False) if self.wanted else ""
        if len(schema.encode()) > limits.schema_bytes:
            param = "tools" if self.forced else "response_format"
            limit = limits.schema_bytes
            raise RequestError("request-bytes", param=param, where="JSON Schema", limit=limit)


class ChatRequest(CompletionFields, ChatFields):
    """The body of ``/v1/chat/completions``."""

    model_config = ANY_FIELDS

    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    parallel_tool_calls: bool | None = None
    # Accepted; they change nothing here.
    store: bool | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    verbosity: str | None = None

    def check(self, facts: Facts, limits: Limits) -> None:
        """Raise RequestError for what a model does not do, or a limit forbids."""
        super().check(facts, limits)
        self.check_chat(limits)
        both = (self.max_tokens, self.max_completion_tokens)
        if None not in both and both[0] != both[1]:
            raise RequestError("request-max-tokens", param="max_tokens")
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("request-top-logprobs", param="top_logprobs")
        for name in ("functions", "function_call", "audio", "web_search_options"):
            if (self.model_extra or {}).get(name) is not None:
                raise RequestError("request-unsupported", param=name, where=name)
        if (self.model_extra or {}).get("modalities") not in (None, ["text"]):
            raise RequestError("request-unsupported", param="modalities", where="modalities")

    def task(self) -> Task:
        """Return what is asked of the model."""
        stop = self.stops()
        if self.functions and not self.forced:
            # Nothing is wanted behind the calls; behind the first where there may be but one.
            alone = self.parallel_tool_calls is False
            stop += (tools.CALL_END if alone else tools.CALLS_END,)
        return Task(
            prompt=self.prompt(),
            sampling=self.sampling(),
            n=self.n or 1,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=stop,
            think=self.think,
            think_budget=self.thinking.budget_tokens if self.thinking and self.think else None,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            json_schema=self.wanted,
        )


def refuse_media(body: Any) -> None:
    """Raise RequestError where a message brings an image, sound or file: none is fetched or read.

    Before the body is held against its model, whose complaint would be less clear.
    """
    messages = body.get("messages") if isinstance(body, Mapping) else None
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, Mapping) else None
        for place, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, Mapping) else None
            if isinstance(kind, str) and kind != "text":
                where = f"messages[{number}].content[{place}]"
                raise RequestError("request-media", param=where, where=where, kind=kind[:40])


def plain_messages(asked: Sequence[AnyMessage], extra: Sequence[str] = ()) -> list[Message]:
    """Return messages as chat templates know them.

    One system message stands in front, with all there are and ``extra``: R1's template shows the
    last one only. Thoughts are left out. Text beside calls becomes a message of its own, because
    the template shows one or the other.
    """
    system = [_text(m.content) for m in asked if isinstance(m, SystemMessage)]
    system = [text for text in [*system, *extra] if text]
    plain: list[Message] = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    for message in asked:
        if isinstance(message, UserMessage | ToolMessage):
            plain.append({"role": message.role, "content": _text(message.content)})
        elif isinstance(message, AssistantMessage):
            text = _text(message.content)
            if text or not message.tool_calls:
                plain.append({"role": "assistant", "content": text})
            if message.tool_calls:
                calls = [
                    {"id": c.id, "type": c.type, "function": c.function.model_dump()}
                    for c in message.tool_calls
                ]
                plain.append({"role": "assistant", "content": None, "tool_calls": calls})
    return plain


def _text(content: Content | None) -> str:
    if content is None:
        return ""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _chars(message: Message) -> int:
    """Return how many characters a message brings into the prompt."""
    called = [call["function"] for call in message.get("tool_calls", ())]
    texts = [message["content"] or "", *(f[name] for f in called for name in ("name", "arguments"))]
    return sum(map(len, texts))


def _check_messages(asked: Sequence[AnyMessage]) -> None:
    """Raise RequestError where calls and results do not belong together."""
    open_ids: set[str | None] | None = None
    for number, message in enumerate(asked):
        where = f"messages[{number}]"
        if isinstance(message, ToolMessage):
            known = open_ids is not None and (
                message.tool_call_id is None or None in open_ids or message.tool_call_id in open_ids
            )
            if not known:
                raise RequestError("request-tool-result", param=where, where=where)
            continue
        open_ids = None
        if isinstance(message, AssistantMessage):
            if message.content is None and not message.tool_calls:
                raise RequestError("request-missing", param=where, where=f"{where}.content")
            if message.prefix:
                name = f"{where}.prefix"
                raise RequestError("request-unsupported", param=name, where=name)
            if message.tool_calls:
                open_ids = {call.id for call in message.tool_calls}
