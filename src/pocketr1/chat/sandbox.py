"""Jinja for templates of unknown origin: what they can reach, how long and large they may get.

A chat template is code that comes with a model. jinja2's ImmutableSandboxedEnvironment keeps it
from Python's internals and from changing its input; it does not keep it from running for ever or
filling the memory. Added here, so that every template stops:

- **Time.** Every round of a loop, every macro and every call first looks at the CPU time of the
  thread. What runs between two looks is one operation on values of limited size.
- **Size.** Everything a template can make larger than its parts is checked before it is made:
  ``+``, ``*``, ``**``, ``~``, ``join``, ``replace``, ``indent``, lists and dictionaries, and every
  piece of output, that of ``{% set %}`` blocks and macros included. The limit is a small multiple
  of the input, and all texts ever built together have one as well.
- **Reach.** The filters, methods and globals are those chat templates use, by name; the rest
  (``'%9999999999d' %``, ``center``, ``format``, ``lipsum``, ``pprint``, ``to_bytes`` …) does not
  exist here.

Guaranteed: rendering ends within about the time limit plus one such operation, never holds more
than ``_BUILT`` times the size limit, touches no file and no network, and changes nothing outside.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import Undefined, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

from pocketr1.chat.marked import Marked

__all__ = ["Limits", "SandboxLimitError", "TemplateRefusal", "compile_template", "render"]


@dataclass(frozen=True)
class Limits:
    """What one rendering may use.

    seconds: CPU time of the rendering thread (the machine's other work does not count).
    characters: of output, and of any value, beyond eight times the input.
    items: of any list or dictionary, its nested ones included.
    """

    seconds: float = 2.0
    characters: int = 1 << 20
    items: int = 200_000


class SandboxLimitError(Exception):
    """A template went beyond a limit; the text says which."""


class TemplateRefusal(jinja2.TemplateError):
    """The template called ``raise_exception``."""


class _Budget(threading.local):
    """What is left to the rendering of this thread."""

    deadline = 0.0
    characters = 0
    output = 0
    built = 0
    items = 0
    now: datetime | None = None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAX_INTEGER_BITS = 4096
_MAX_DIGITS = 2000
_MAX_STRIPPED = 1000  # characters to strip: strip is quadratic in them
_BUILT = 32  # all texts built in one rendering, as a multiple of the largest one allowed
_PLAIN = (str, int, float, bool, type(None), Undefined)
_STRING_METHODS = _names(
    "capitalize casefold count endswith find index isalnum isalpha isdecimal isdigit islower"
    " isnumeric isspace istitle isupper join lower lstrip partition removeprefix removesuffix"
    " replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase"
    " title upper"
)
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _STRING_METHODS),
    (dict, frozenset({"get", "items", "keys", "values"})),
    (list, frozenset({"count", "index"})),
    (tuple, frozenset({"count", "index"})),
    (int, frozenset()),
    (float, frozenset()),
)
_FILTERS_OF_ANYTHING = _names(
    "count d default dictsort first items last length list map max min reject rejectattr reverse"
    " select selectattr sort unique"
)
_FILTERS_OF_PLAIN_VALUES = _names("abs capitalize float int lower string upper")


class _Guards(NodeTransformer):
    """Puts the checks into a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - jinja's naming
        return self._tick(node)

    visit_Macro = visit_CallBlock = visit_FilterBlock = visit_Block = visit_For  # noqa: N815

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("concatenate", *node.nodes, at=node)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("measured", node, at=node)

    visit_Dict = visit_List  # noqa: N815

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("measured", node, at=node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("sized", node, at=node) if isinstance(node.arg, nodes.Slice) else node

    def _tick(self, node: Any) -> nodes.Node:
        size = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("tick", nodes.Const(size), at=node)))
        checked: nodes.Node = node
        return checked


def _call(name: str, *arguments: nodes.Node, at: nodes.Node) -> nodes.Node:
    function = nodes.EnvironmentAttribute(name)
    return nodes.Call(function, list(arguments), [], None, None).set_lineno(at.lineno)


class _Generation(Extension):
    """``{% generation %}`` marks what a model wrote, for training; here it is only its body."""

    tags = {"generation"}  # noqa: RUF012 - as jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox with limits. One rendering per thread at a time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # folding constants would compute before any budget is set
            finalize=_finalize,
            extensions=[loopcontrols, _Generation],
        )
        self.budget = _Budget()
        inherited = _FILTERS_OF_ANYTHING | _FILTERS_OF_PLAIN_VALUES
        self.filters = {name: self._guarded(name, FILTERS[name]) for name in inherited} | {
            "indent": self._indent,
            "join": self._join,
            "replace": self._replace,
            "safe": lambda value: value,  # nothing is escaped here
            "tojson": self._tojson,
            "title": self._title,
            "trim": self._trim,
        }
        self.globals = {
            # Functions, not classes: a class lends its methods, which change what they are given.
            "dict": lambda *args, **kwargs: dict(*args, **kwargs),
            "namespace": lambda *args, **kwargs: Namespace(*args, **kwargs),
            "range": self.globals["range"],
            "raise_exception": _raise_exception,
            "strftime_now": self._strftime_now,
        }

    # --- the checks -------------------------------------------------------------------------

    def tick(self, emitted: int = 0) -> None:
        """Check the time; count characters of the template's own that come out next."""
        if time.thread_time() > self.budget.deadline:
            raise SandboxLimitError("it runs for too long")
        self.emit(emitted)

    def emit(self, characters: int) -> None:
        """Count output."""
        self.budget.output -= characters
        if self.budget.output < 0:
            raise SandboxLimitError("its output is too large")

    def size(self, characters: int) -> None:
        """Check the size a text is about to have, and count it."""
        self.budget.built -= characters
        if characters > self.budget.characters or self.budget.built < 0:
            raise SandboxLimitError("it builds too large a text")

    def measured(self, value: Any) -> Any:
        """Check a list, tuple or dictionary with all it holds: plain values only, not too many."""
        items, characters, waiting = 0, 0, [value]
        while waiting:
            one = waiting.pop()
            items += 1
            if items > self.budget.items:
                raise SandboxLimitError("it builds too long a list")
            if isinstance(one, str):
                characters += len(one)
            elif isinstance(one, dict):
                waiting += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple):
                waiting += one
            elif not isinstance(one, _PLAIN):
                raise jinja2.exceptions.SecurityError(
                    f"a list holds {_kind(one)}, which is neither text nor a number"
                )
            if len(waiting) > 2 * self.budget.items:
                raise SandboxLimitError("it builds too long a list")
        self.size(characters)
        return value

    def text(self, value: Any) -> str:
        """Return the text of a plain value; lists are measured already."""
        if isinstance(value, str):
            return value
        if not isinstance(value, (*_PLAIN, list, tuple, dict)):
            raise jinja2.exceptions.SecurityError(f"it prints {_kind(value)}")
        return str(value)

    def concatenate(self, *values: Any) -> str:
        """``a ~ b``."""
        return self._joined("", [self.text(value) for value in values])

    # --- jinja's hooks ----------------------------------------------------------------------

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.tick()
        owner = getattr(function, "__self__", None)
        if owner is self or isinstance(owner, str):
            # jinja passes the variables of the loop to functions that take a context.
            kwargs = {k: v for k, v in kwargs.items() if k not in ("_loop_vars", "_block_vars")}
        if owner is self:
            return function(*args, **kwargs)  # put there by _Guards, or a function of ours
        if isinstance(owner, str):
            return self._call_method(owner, function.__name__, args, kwargs)
        return self.sized(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        sized = (str, list, tuple)
        if operator == "+" and isinstance(left, sized) and isinstance(right, sized):
            self.size(len(left) + len(right))
        elif operator == "*" and isinstance(left, sized) and isinstance(right, int):
            self.size(len(left) * max(right, 0))
        elif operator == "*" and isinstance(right, sized) and isinstance(left, int):
            self.size(len(right) * max(left, 0))
        elif operator == "%" and isinstance(left, str):
            raise jinja2.exceptions.SecurityError("'%' formats text with any width; use '~'")
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length()
            if bits + right.bit_length() > _MAX_INTEGER_BITS:
                raise SandboxLimitError("it computes too large a number")
        result = super().call_binop(context, operator, left, right)
        return self.measured(result) if isinstance(result, list | tuple) else result

    def wrap_str_format(self, value: Any) -> None:
        """Let ``str.format``, which knows widths, be no exception from ``is_safe_attribute``."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, methods in _METHODS:
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    # --- methods and filters that can make large things -------------------------------------

    def _call_method(self, owner: str, name: str, args: Any, kwargs: Any) -> Any:
        if name not in _STRING_METHODS or kwargs:
            raise jinja2.exceptions.SecurityError(f"{name} cannot be called like this")
        if name == "replace":
            return self._replace(owner, *args)
        if name == "join":
            return self._join(args[0], owner)
        if name in ("strip", "lstrip", "rstrip"):
            self._check_stripped(*args)
        # By name, since Marked has its own methods and jinja may hold str's.
        return self.sized(getattr(owner, name)(*args))

    def sized(self, result: Any) -> Any:
        """Check a value that is no larger than what it was made of."""
        if isinstance(result, str):
            self.size(len(result))
        elif isinstance(result, list | tuple | dict):
            self.measured(result)
        return result

    def _check_stripped(self, characters: str | None = None) -> None:
        if characters is not None and len(characters) > _MAX_STRIPPED:
            raise SandboxLimitError("it strips too many characters")

    def _joined(self, separator: str, pieces: list[str]) -> str:
        self.size(sum(map(len, pieces)) + len(separator) * len(pieces))
        marked = next((p for p in (separator, *pieces) if isinstance(p, Marked)), None)
        joined = separator.join(pieces)
        return joined if marked is None else marked[:0] + joined

    def _join(self, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
        self.tick()
        if attribute is not None:
            value = (self.getitem(item, attribute) for item in value)
        pieces = self.measured(list(value))
        return self._joined(self.text(d), [self.text(piece) for piece in pieces])

    def _replace(self, s: Any, old: str, new: str, count: int | None = None) -> str:
        self.tick()
        text = self.text(s)
        times = text.count(old) if count is None or count < 0 else count
        self.size(len(text) + max(len(new) - len(old), 0) * times)
        return text.replace(old, new, -1 if count is None else count)

    def _trim(self, value: Any, chars: str | None = None) -> str:
        self.tick()
        self._check_stripped(chars)
        return self.text(value).strip(chars)

    def _title(self, value: Any) -> str:
        self.tick()
        marks: list[Any] = []
        text = FILTERS["title"](_unwrap(self.text(value), marks))
        return str(marks[0].mark(text) if marks else text)

    def _indent(
        self, s: Any, width: int | str = 4, first: bool = False, blank: bool = False
    ) -> str:
        self.tick()
        text = self.text(s)
        self.size(len(width) if isinstance(width, str) else width)
        space = width if isinstance(width, str) else " " * width
        lines = text.split("\n")
        self.size(len(text) + len(space) * len(lines))
        shown = [
            space + line if (number or first) and (line or blank) else line
            for number, line in enumerate(lines)
        ]
        return self._joined("\n", shown)

    def _tojson(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        """As transformers has it: no HTML escapes. JSON that holds foreign text is all foreign."""
        self.tick()
        self.measured(value)
        if indent is not None and not 0 <= indent <= 16:
            raise SandboxLimitError("it indents JSON too far")
        marks: list[Any] = []
        text = json.dumps(
            _unwrap(value, marks),
            ensure_ascii=bool(ensure_ascii),
            indent=indent,
            separators=None if separators is None else tuple(_unwrap(separators, [])),
            sort_keys=bool(sort_keys),
        )
        self.size(len(text))
        return text if not marks else str(marks[0].mark(text))

    def _strftime_now(self, form: str) -> str:
        # A width ("%99999999d") is an extension of the C library.
        if len(form) > 200 or re.search(r"%[^a-zA-Z%]*\d", form):
            raise SandboxLimitError("it asks for too long a date")
        return (self.budget.now or datetime.now()).strftime(str(form))

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        anything = name in _FILTERS_OF_ANYTHING

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            if not anything:
                # These take the text of their argument.
                size = max((len(self.text(value)) for value in args), default=0)
                if name in ("abs", "float", "int"):
                    if size > _MAX_DIGITS:
                        raise SandboxLimitError("it reads too long a number")
                    args = tuple(_unwrap(value, []) for value in args)
            return self.sized(function(*args, **kwargs))

        return guarded


@pass_context
def _finalize(context: Context, value: Any) -> str:
    environment = context.environment
    assert isinstance(environment, _Environment)
    text = environment.text(value)
    environment.emit(len(text))
    return text


def _raise_exception(message: str) -> None:
    raise TemplateRefusal(_unwrap_text(str(message)[:300]))


def _unwrap_text(text: str) -> str:
    return text._marks.unmark(text) if isinstance(text, Marked) else text


def _unwrap(value: Any, marks: list[Any]) -> Any:
    """Return a JSON-like value with real texts; collect the marks met."""
    if isinstance(value, Marked):
        marks.append(value._marks)
        return _unwrap_text(value)
    if isinstance(value, dict):
        return {_unwrap(key, marks): _unwrap(item, marks) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unwrap(item, marks) for item in value]
    return value


def _kind(value: Any) -> str:
    return f"an object ({type(value).__name__})"


def compile_template(source: str) -> jinja2.Template:
    """Compile a template with all checks in it. Raises what jinja2 raises."""
    environment = _Environment()
    tree = environment.parse(source)
    return environment.from_string(_Guards().visit(tree))


def render(
    template: jinja2.Template, variables: dict[str, Any], limits: Limits, size: int, now: datetime
) -> str:
    """Render a compiled template.

    size: characters of the input. now: what ``strftime_now`` tells.

    Raises SandboxLimitError, TemplateRefusal, and whatever the template's mistakes raise.
    """
    environment = template.environment
    assert isinstance(environment, _Environment)
    budget = environment.budget
    budget.deadline = time.thread_time() + limits.seconds
    budget.characters = budget.output = limits.characters + 8 * size
    budget.built = _BUILT * budget.characters
    budget.items = limits.items + size
    budget.now = now
    return template.render(variables)
