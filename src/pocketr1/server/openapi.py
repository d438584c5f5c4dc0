"""The OpenAPI 3.1 document, made from what each route says of itself.

An endpoint is described by the decorator :func:`operation`; :func:`document` walks the routes::

    @operation("Read a conversation", answers={200: Conversation}, errors=(404,))
    async def read(request: Request) -> Response: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from pocketr1 import __version__

__all__ = ["ErrorBody", "Operation", "Parameter", "document", "operation", "route"]

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "The request is wrong; the message says where",
    401: "The API key is missing or wrong",
    403: "The Host or Origin header is not one that may ask",
    404: "There is no such thing",
    405: "The route does not take this method",
    408: "The request did not come in time",
    409: "It does not fit the present state",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "There is no room now; ask again after Retry-After seconds",
    500: "A fault of the server's",
    503: "The server is closing",
}
# What an EventSource makes of an event: JSON in ``data``, or ``[DONE]``.
_EVENT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("event", "data", "id")},
    "required": ["data"],
}
_EVERYWHERE = (400, 401, 403, 408, 413, 415, 429, 500, 503)

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class ErrorDetail(BaseModel):
    """What is wrong and what to do; ``code`` is stable."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """OpenAI's shape of an error."""

    error: ErrorDetail


@dataclass(frozen=True)
class Parameter:
    """A query parameter, or a header where ``place`` says so; schema: its JSON Schema."""

    name: str
    schema: Mapping[str, Any]
    about: str = ""
    place: str = "query"


@dataclass(frozen=True)
class Operation:
    """What a route says of itself.

    request: the model of its JSON body. answers: model, JSON Schema, media type of a text, or
    ``None`` for an empty body, by status. events: it may answer with server-sent events.
    texts: media types of other texts it may answer with.
    errors: statuses beside those any route may have. path_schemas: of the path's parameters.
    """

    summary: str
    request: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | Mapping[str, Any] | str | None] = field(
        default_factory=dict
    )
    events: bool = False
    texts: Sequence[str] = ()
    errors: Sequence[int] = ()
    parameters: Sequence[Parameter] = ()
    path_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def operation(summary: str, **fields: Any) -> Callable[[Endpoint], Endpoint]:
    """Attach an :class:`Operation` to an endpoint."""

    def attach(endpoint: Endpoint) -> Endpoint:
        endpoint.operation = Operation(summary, **fields)  # type: ignore[attr-defined]
        return endpoint

    return attach


def route(routes: Sequence[BaseRoute]) -> Route:
    """Return the route ``/openapi.json``, which describes ``routes``."""

    @operation("This document", answers={200: {"type": "object"}})
    async def read(_request: Request) -> Response:
        return JSONResponse(found)

    own = Route("/openapi.json", read, methods=["GET"])
    found = document([*routes, own])
    return own


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the document for those routes whose endpoints describe themselves."""
    found = list(_operations(routes, ""))
    requests = {op.request for _, _, op in found if op.request is not None}
    answers = {
        model
        for _, _, op in found
        for model in op.answers.values()
        if isinstance(model, type) and issubclass(model, BaseModel)
    }
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in requests]
    wanted += [(model, "serialization") for model in answers | {ErrorBody}]
    wanted.sort(key=lambda item: (item[0].__name__, item[1]))
    references, schemas = models_json_schema(wanted, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, op in found:
        paths.setdefault(path, {})[method.lower()] = _described(path, method, op, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pocket R1", "version": __version__, "license": {"name": "Apache-2.0"}},
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operations(routes: Iterable[BaseRoute], before: str) -> Iterable[tuple[str, str, Operation]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _operations(route.routes, before + route.path)
        elif isinstance(route, Route):
            op = getattr(route.endpoint, "operation", None)
            if isinstance(op, Operation):
                for method in sorted((route.methods or set()) - {"HEAD"}):
                    yield before + route.path_format, method, op


def _described(
    path: str, method: str, op: Operation, references: Mapping[Any, Any]
) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": op.path_schemas.get(name, {"type": "string", "minLength": 1}),
        }
        for name in names
    ]
    parameters += [
        {"name": p.name, "in": p.place, "schema": p.schema, "description": p.about}
        for p in op.parameters
    ]
    responses: dict[str, Any] = {}
    for status, model in op.answers.items():
        answer: dict[str, Any] = {"description": "Done" if status < 400 else _ERRORS[status]}
        if isinstance(model, str):
            answer["content"] = {model: {"schema": {"type": "string"}}}
        elif isinstance(model, type):
            answer["content"] = _json(references[model, "serialization"])
        elif model is not None:
            answer["content"] = _json(dict(model))
        if op.events and status == 200:
            answer.setdefault("content", {})["text/event-stream"] = {"schema": _EVENT}
        if status == 200:
            texts = {kind: {"schema": {"type": "string"}} for kind in op.texts}
            answer.get("content", {}).update(texts)
        responses[str(status)] = answer
    for status in sorted({*_EVERYWHERE, *op.errors}):
        refusal: dict[str, Any] = {
            "description": _ERRORS[status],
            "content": _json(references[ErrorBody, "serialization"]),
        }
        if status == 429:
            schema = {"type": "integer", "minimum": 1}
            refusal["headers"] = {"Retry-After": {"schema": schema, "required": True}}
        responses.setdefault(str(status), refusal)
    words = [word for word in path.strip("/").replace("{", "").replace("}", "").split("/") if word]
    described: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *words]).replace(".", "_").replace("-", "_"),
        "summary": op.summary,
        "responses": responses,
    }
    if parameters:
        described["parameters"] = parameters
    if op.request is not None:
        content = _json(references[op.request, "validation"])
        described["requestBody"] = {"required": True, "content": content}
    return described


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
