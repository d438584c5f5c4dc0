"""Requests held against their pydantic models; what is wrong is said in our words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pocketr1 import messages
from pocketr1.server.errors import RequestError

__all__ = ["Fields", "checked"]

_SHOWN_CHARS = 40
# Pydantic's kinds of mistakes, as texts of the catalog.
_WANTED = {
    "string_type": "request-wanted-string",
    "int_type": "request-wanted-whole",
    "int_from_float": "request-wanted-whole",
    "float_type": "request-wanted-number",
    "finite_number": "request-wanted-number",
    "bool_type": "request-wanted-bool",
    "list_type": "request-wanted-list",
    "dict_type": "request-wanted-object",
    "model_type": "request-wanted-object",
    "model_attributes_type": "request-wanted-object",
    "greater_than_equal": "request-wanted-at-least",
    "greater_than": "request-wanted-above",
    "less_than_equal": "request-wanted-at-most",
    "less_than": "request-wanted-below",
    "literal_error": "request-wanted-one-of",
    "union_tag_invalid": "request-wanted-one-of",
    "string_too_long": "request-wanted-short",
    "too_long": "request-wanted-few",
    "string_too_short": "request-wanted-some",
    "too_short": "request-wanted-some",
    "string_pattern_mismatch": "request-wanted-pattern",
}
_LIMITS = ("ge", "gt", "le", "lt", "max_length", "min_length", "pattern")

Model = TypeVar("Model", bound=BaseModel)


class Fields(BaseModel):
    """Base of what requests hold: types are not converted; fields nobody knows are let be."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


def checked(model: type[Model], body: Any) -> Model:
    """Return a request. Raises RequestError, its ``param`` the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False)
    placed = [(_path(body, detail), detail) for detail in found]
    # A field may be of several kinds, each of which has its complaint; the one that came furthest
    # knows best what was meant.
    field = placed[0][0][:1]
    furthest = max(len(path) for path, _ in placed if path[:1] == field)
    best = [(p, d) for p, d in placed if p[:1] == field and len(p) == furthest]
    path = best[0][0]
    details = [detail for p, detail in best if p == path]
    where = _name(path)
    if any(d["type"] in ("missing", "union_tag_not_found") for d in details):
        raise RequestError("request-missing", param=where, where=where)
    wanted = f" {messages.text('request-wanted-or')} ".join(dict.fromkeys(map(_wanted, details)))
    given = _shown(details[0]["input"])
    raise RequestError("request-value", param=where, where=where, wanted=wanted, given=given)


def _path(body: Any, detail: ErrorDetails) -> tuple[str | int, ...]:
    """Return where a mistake stands: pydantic's place without its names of a union's members."""
    path: list[str | int] = []
    value = body
    for step in detail["loc"]:
        try:
            value = value[step]
        except (TypeError, KeyError, IndexError):
            continue  # a name of the model's, not of the request's
        path.append(step)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    elif detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append(str(detail["ctx"]["discriminator"]).strip("'"))
    return tuple(path)


def _name(path: Iterable[str | int]) -> str:
    """Return ``messages[0].content``."""
    name = ""
    for step in path:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            step = step[:_SHOWN_CHARS]
            name += f".{step}" if name else step
    return name or "body"


def _wanted(detail: ErrorDetails) -> str:
    code = _WANTED.get(detail["type"])
    context = detail.get("ctx", {})
    if code is None:
        return messages.text("request-wanted-other", reason=detail["msg"])
    limit = next((context[name] for name in _LIMITS if name in context), "")
    choices = context.get("expected", context.get("expected_tags", ""))
    return messages.text(code, limit=limit, choices=str(choices).replace(" or ", ", "))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return messages.text("request-wanted-object")
    if isinstance(value, list):
        return messages.text("request-wanted-list")
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
