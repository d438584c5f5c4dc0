"""Functions a model may call: how it is told of them, and its calls found in what it writes.

R1's template knows calls and their results, but no definitions: these stand in the system prompt,
as JSON, one function a line. A call is written as the template has it::

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
    ```json
    {"argument": "value"}
    ```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

Where a call is required, the answer is held to the JSON Schema of
``{"name": …, "arguments": …}`` instead, which no model can miss.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CALLS_END",
    "CALL_END",
    "Call",
    "CallParser",
    "Function",
    "forced_call",
    "forced_schema",
    "forced_text",
    "schema_text",
    "tools_text",
]

CALLS_BEGIN = "<｜tool▁calls▁begin｜>"
CALL_BEGIN = "<｜tool▁call▁begin｜>"
SEPARATOR = "<｜tool▁sep｜>"
CALL_END = "<｜tool▁call▁end｜>"
CALLS_END = "<｜tool▁calls▁end｜>"

_HOW = f"""\
To call a function, write this and nothing behind it:

{CALLS_BEGIN}{CALL_BEGIN}function{SEPARATOR}NAME
```json
{{"argument": "value"}}
```{CALL_END}{CALLS_END}

To call several, repeat from {CALL_BEGIN} to {CALL_END}. The results come back to you. Where no \
function is needed, answer as usual."""
_ABOUT = """\
You can call functions. Each line describes one in JSON: its name, what it does, and the JSON \
Schema of its arguments.

"""
_FORCED = """\
Answer with one function call, as JSON: {"name": NAME, "arguments": {"argument": "value"}}"""
_SCHEMA = "Answer with JSON that matches this JSON Schema:\n\n"
_DATA = ("const", "enum", "default", "examples")


@dataclass(frozen=True)
class Function:
    """A function a model may call; parameters: the JSON Schema of its arguments, an object."""

    name: str
    description: str | None
    parameters: Mapping[str, Any] | None

    @property
    def line(self) -> str:
        """Its description, as the model reads it."""
        tree: dict[str, Any] = {"name": self.name}
        if self.description:
            tree["description"] = self.description
        tree["parameters"] = self.parameters or {"type": "object", "properties": {}}
        return json.dumps(tree, ensure_ascii=False)


@dataclass(frozen=True)
class Call:
    """A call: an id, the function's name, its arguments as the JSON that was written."""

    id: str
    name: str
    arguments: str


def tools_text(functions: Iterable[Function]) -> str:
    """Return what the system prompt says of functions that may be called."""
    lines = "\n".join(function.line for function in functions)
    return f"{_ABOUT}{lines}\n\n{_HOW}"


def forced_text(functions: Iterable[Function]) -> str:
    """Return what it says of functions one of which must be called."""
    lines = "\n".join(function.line for function in functions)
    return f"{_ABOUT}{lines}\n\n{_FORCED}"


def schema_text(schema: Mapping[str, Any], name: str, description: str | None) -> str:
    """Return what it says of an answer's schema."""
    about = f"{name}: {description}\n" if description else ""
    return f"{_SCHEMA}{about}{json.dumps(schema, ensure_ascii=False)}"


def forced_schema(functions: Collection[Function]) -> dict[str, Any]:
    """Return the schema of an answer that is a call of one of ``functions``."""
    one = len(functions) == 1
    calls = []
    for number, function in enumerate(functions):
        place = "#" if one else f"#/anyOf/{number}"
        arguments = function.parameters or {"type": "object", "properties": {}}
        moved = _moved(arguments, f"{place}/properties/arguments")
        calls.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": function.name},
                    "arguments": {"type": "object", **moved},
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return calls[0] if one else {"anyOf": calls}


def forced_call(answer: str) -> Call | None:
    """Return the call that an answer held to :func:`forced_schema` is, ``None`` if cut off."""
    try:
        tree = json.loads(answer)
        arguments = json.dumps(tree["arguments"], ensure_ascii=False)
    except (ValueError, RecursionError):  # cut off; nested beyond what Python reads or writes
        return None
    return _call(tree["name"], arguments)


class CallParser:
    """Finds calls in an answer, however it is cut.

    ``feed`` and ``finish`` return what is certain, in order: text, and whole calls. What looks like
    a call but is none (no such function, arguments that are no JSON object, no end) is text, to
    the letter.

    names: of the functions that may be called.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self._searched = 0  # how much of _held has no end of the open call
        self._behind_call = False

    def feed(self, text: str) -> list[str | Call]:
        """Take the next piece of the answer."""
        self._held += text
        found: list[str | Call] = []
        while self._step(found):
            pass
        return _joined(found)

    def finish(self) -> list[str | Call]:
        """Take the end of the answer."""
        held, self._held = self._held, ""
        if self._behind_call and not held.strip():
            return []
        return [held] if held else []

    def _step(self, found: list[str | Call]) -> bool:
        """Take what is certain off the front of ``_held``; return whether to go on."""
        if self._behind_call:
            return self._skip()
        start = _first(self._held, (CALLS_BEGIN, CALL_BEGIN))
        if start is None:
            keep = _overlap(self._held, (CALLS_BEGIN, CALL_BEGIN))
            self._release(len(self._held) - keep, found)
            return False
        if start:
            self._release(start, found)
            return True
        end = self._held.find(CALL_END, max(0, self._searched - len(CALL_END)))
        if end < 0:
            self._searched = len(self._held)
            return False
        end += len(CALL_END)
        call = self._parse(self._held[:end])
        if call is None:
            self._release(end, found)
        else:
            found.append(call)
            self._held, self._searched, self._behind_call = self._held[end:], 0, True
        return True

    def _skip(self) -> bool:
        """Drop blanks and the end of the calls; return whether it is certain what follows."""
        rest = self._held.lstrip()
        if rest.startswith(CALLS_END):
            self._held, self._behind_call = rest[len(CALLS_END) :], False
            return True
        tags = (CALLS_END, CALLS_BEGIN, CALL_BEGIN)
        if rest.startswith(tags):
            self._held = rest
        elif any(tag.startswith(rest) for tag in tags):
            return False
        self._behind_call = False
        return True

    def _release(self, count: int, found: list[str | Call]) -> None:
        text, self._held = self._held[:count], self._held[count:]
        self._searched = 0
        if text:
            found.append(text)

    def _parse(self, text: str) -> Call | None:
        inner = text.removeprefix(CALLS_BEGIN).lstrip().removesuffix(CALL_END)
        if not inner.startswith(CALL_BEGIN):
            return None
        kind, separator, rest = inner.removeprefix(CALL_BEGIN).partition(SEPARATOR)
        name, _, arguments = rest.partition("\n")
        name, arguments = name.strip(), arguments.strip()
        if kind.strip() != "function" or not separator or name not in self._names:
            return None
        if arguments.startswith("```json") and arguments.endswith("```"):
            arguments = arguments[len("```json") : -len("```")].strip()
        return _call(name, arguments) if _is_object(arguments) else None


def _call(name: str, arguments: str) -> Call:
    return Call(f"call_{secrets.token_hex(12)}", name, arguments)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _moved(schema: Any, place: str) -> Any:
    """Return a schema whose references to its own root point to where it stands now."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/")):
            value = place + value[1:]
        elif key not in _DATA:
            value = _moved(value, place)
        moved[key] = value
    return moved


def _first(text: str, tags: Iterable[str]) -> int | None:
    places = [place for tag in tags if (place := text.find(tag)) >= 0]
    return min(places, default=None)


def _overlap(text: str, tags: Iterable[str]) -> int:
    """Return how many characters at the end of ``text`` may begin a tag."""
    longest = 0
    for tag in tags:
        for count in range(min(len(tag) - 1, len(text)), longest, -1):
            if text.endswith(tag[:count]):
                longest = count
                break
    return longest


def _joined(found: list[str | Call]) -> list[str | Call]:
    joined: list[str | Call] = []
    for item in found:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined
