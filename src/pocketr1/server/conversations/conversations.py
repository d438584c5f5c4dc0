"""The routes of ``/api``."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pocketr1 import __version__, messages
from pocketr1.chat.history import FILE, markdown
from pocketr1.engine import Sampling
from pocketr1.machine import data_directory
from pocketr1.server.backend import Backend
from pocketr1.server.conversations import schemas
from pocketr1.server.conversations.keeper import Keeper
from pocketr1.server.conversations.replies import LAST_EVENT, Replies
from pocketr1.server.errors import RequestError
from pocketr1.server.guard.body import read_json
from pocketr1.server.openapi import Parameter, operation
from pocketr1.server.validation import checked

if TYPE_CHECKING:
    from pocketr1.server.app import Settings

__all__ = ["Conversations"]

_MOST_LISTED = 200
_LONGEST_QUERY = 200
# How long a browser waits before it asks again for a stream that broke, in milliseconds.
_RETRY = "retry: 1000\n\n"


_LIST_PARAMETERS = (
    Parameter("q", {"type": "string"}, "words that title or texts hold, each of them"),
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": _MOST_LISTED}),
    Parameter("before", {"type": "string"}, "the next of the page before"),
)
_EVENT = {"type": "integer", "minimum": 0, "maximum": LAST_EVENT}
_EVENTS_PARAMETERS = (
    Parameter("after", _EVENT, "number of the last event that was heard"),
    Parameter("Last-Event-ID", _EVENT, "the same, as EventSource sends it", place="header"),
)


def _format(*known: str) -> Parameter:
    return Parameter("format", {"enum": list(known)})


class Conversations:
    """Conversations and their running replies, as ``/api`` serves them.

    The store is opened at its first use: one that cannot be used keeps the server from nothing
    else. The server calls :meth:`close` behind the last request.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._keeper = Keeper(data_directory(settings.data) / FILE)
        self._replies = Replies(backend, self._keeper)
        self._importing = False

    async def close(self) -> None:
        """Stop what is being written, keep it, and close the store."""
        await self._replies.stop_all()
        await self._keeper.close()

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        one = "/api/conversations/{id}"
        table = [
            ("GET", "/api/info", self._info),
            ("GET", "/api/load", self._load),
            ("GET", "/api/conversations", self._list),
            ("POST", "/api/conversations", self._create),
            ("DELETE", "/api/conversations", self._erase),
            ("GET", one, self._show),
            ("PATCH", one, self._change),
            ("DELETE", one, self._delete),
            ("POST", f"{one}/messages", self._ask),
            ("POST", f"{one}/replies", self._retry),
            ("GET", f"{one}/export", self._export),
            ("GET", "/api/replies/{id}/events", self._events),
            ("POST", "/api/replies/{id}/stop", self._stop),
            ("GET", "/api/export", self._export_all),
            ("POST", "/api/import", self._import),
        ]
        return [Route(path, handler, methods=[method]) for method, path, handler in table]

    @operation("What is served, how, and what is stored where", answers={200: schemas.Info})
    async def _info(self, _request: Request) -> Response:
        facts = asdict(self._backend.facts)
        del facts["created"]
        kv_store = facts.pop("kv_store")
        sampling = asdict(Sampling())
        del sampling["seed"]
        return _json(
            {
                "model": facts | {"details": dict(facts["details"])},
                "version": __version__,
                "language": messages.language(),
                "defaults": sampling | {"max_tokens": None, "think": True, "think_budget": None},
                "privacy": {
                    "conversations": str(self._keeper.path),
                    "kv_store": kv_store,
                    "prompts_logged": self._settings.log_prompts,
                },
            }
        )

    @operation("How busy the model is, and what it holds", answers={200: schemas.LoadFigures})
    async def _load(self, _request: Request) -> Response:
        return _json(asdict(self._backend.load()))

    @operation(
        "List conversations, newest first, or search their titles and texts",
        answers={200: schemas.ConversationList},
        parameters=_LIST_PARAMETERS,
    )
    async def _list(self, request: Request) -> Response:
        query = request.query_params.get("q", "")[:_LONGEST_QUERY]
        limit = _number(request.query_params.get("limit", "50"), "limit", 1, _MOST_LISTED)
        before = request.query_params.get("before")
        page = await self._keeper.do(lambda h: h.conversations(query, limit, before))
        shown = [summary.to_dict() for summary in page.conversations]
        return _json({"conversations": shown, "next": page.next})

    @operation("Begin a conversation", request=schemas.Create, answers={201: schemas.Conversation})
    async def _create(self, request: Request) -> Response:
        body = await self._body(request, schemas.Create)
        settings = _settings(body.settings)
        made = await self._keeper.do(lambda h: h.create(body.title, body.system, settings))
        return _json(made.to_dict(), 201)

    @operation("Delete all conversations for good", answers={204: None})
    async def _erase(self, _request: Request) -> Response:
        await self._replies.forget()
        await self._keeper.do(lambda h: h.erase())
        # What was asked also lies there, in computed form and as tokens.
        await self._backend.drop_cached(every_model=True)
        return Response(status_code=204)

    @operation(
        "Read a conversation with all its branches",
        answers={200: schemas.Conversation},
        errors=(404,),
    )
    async def _show(self, request: Request) -> Response:
        id = request.path_params["id"]
        return _json((await self._keeper.do(lambda h: h.conversation(id))).to_dict())

    @operation(
        "Rename a conversation, or change its settings or the branch that is shown",
        request=schemas.Change,
        answers={200: schemas.Conversation},
        errors=(404,),
    )
    async def _change(self, request: Request) -> Response:
        id = request.path_params["id"]
        body = await self._body(request, schemas.Change)
        given = body.model_fields_set
        changed = await self._keeper.do(
            lambda h: h.change(
                id,
                title=body.title,
                system=body.system,
                no_system="system" in given and body.system is None,
                settings=_settings(body.settings) if body.settings is not None else None,
                leaf=body.leaf,
            )
        )
        return _json(changed.to_dict())

    @operation("Delete a conversation for good", answers={204: None}, errors=(404,))
    async def _delete(self, request: Request) -> Response:
        id = request.path_params["id"]
        await self._replies.forget(id)
        await self._keeper.do(lambda h: h.delete(id))
        # Whose prompts are kept there is not known: all go, and are computed anew when next asked.
        await self._backend.drop_cached()
        return Response(status_code=204)

    @operation(
        "Ask; the reply is running",
        request=schemas.Ask,
        answers={201: schemas.Asked},
        errors=(404, 409),
    )
    async def _ask(self, request: Request) -> Response:
        id = request.path_params["id"]
        body = await self._body(request, schemas.Ask)
        question, reply = await self._replies.ask(
            id, body.parent, body.content, _settings(body.settings)
        )
        return _json({"user": question.to_dict(), "reply": reply.to_dict()}, 201)

    @operation(
        "Ask for another reply to a question",
        request=schemas.Retry,
        answers={201: schemas.Retried},
        errors=(404,),
    )
    async def _retry(self, request: Request) -> Response:
        id = request.path_params["id"]
        body = await self._body(request, schemas.Retry)
        reply = await self._replies.retry(id, body.parent, _settings(body.settings))
        return _json({"reply": reply.to_dict()}, 201)

    @operation(
        "Listen to a reply; 204: there is nothing behind the last event",
        answers={200: None, 204: None},
        events=True,
        errors=(404,),
        parameters=_EVENTS_PARAMETERS,
    )
    async def _events(self, request: Request) -> Response:
        given = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
        after = _number(given, "after", 0, LAST_EVENT)
        events = await self._replies.listen(request.path_params["id"], after)
        if events is None:
            return Response(status_code=204)

        async def stream() -> AsyncIterator[str]:
            yield _RETRY
            async for text in events:
                yield text

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)

    @operation(
        "End a reply; what has come stays",
        answers={200: schemas.ReplyMessage},
        errors=(404, 409),
    )
    async def _stop(self, request: Request) -> Response:
        return _json((await self._replies.stop(request.path_params["id"])).to_dict())

    @operation(
        "Save a conversation as a file",
        answers={200: schemas.Export},
        texts=("text/markdown",),
        errors=(404,),
        parameters=[_format("json", "markdown")],
    )
    async def _export(self, request: Request) -> Response:
        id = request.path_params["id"]
        form = _form(request, "json", "markdown")
        conversation = await self._keeper.do(lambda h: h.conversation(id))
        if form == "markdown":
            text = markdown(conversation)
            return _attachment(text, "text/markdown", conversation.title or id, f"{id}.md")
        text = await self._keeper.do(lambda h: _dumped(h.export(id)))
        return _attachment(text, "application/json", conversation.title or id, f"{id}.json")

    @operation(
        "Save all conversations as a file",
        answers={200: schemas.Export},
        parameters=[_format("json")],
    )
    async def _export_all(self, request: Request) -> Response:
        _form(request, "json")
        text = await self._keeper.do(lambda h: _dumped(h.export()))
        name = "pocketr1-conversations"
        return _attachment(text, "application/json", name, f"{name}.json")

    @operation(
        "Add the conversations of a file",
        request=schemas.Export,
        answers={200: schemas.Imported},
        errors=(409,),
    )
    async def _import(self, request: Request) -> Response:
        if self._importing:
            # One alone may take several times the largest body of memory.
            raise RequestError("request-importing", status=409)
        self._importing = True
        try:
            document = await read_json(request, self._settings.limits.for_import())
            return _json({"imported": await self._keeper.do(lambda h: h.load(document))})
        finally:
            self._importing = False

    async def _body(self, request: Request, model: type[schemas.Body]) -> schemas.Body:
        return checked(model, await read_json(request, self._settings.limits))


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    # Conversations are nobody else's: no cache on the way keeps them.
    return JSONResponse(dict(value), status, {"Cache-Control": "no-store"})


def _dumped(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)


def _settings(given: BaseModel | None) -> dict[str, Any]:
    return {} if given is None else given.model_dump(exclude_none=True)


def _number(text: str, name: str, least: int, most: int) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,12}", text) else -1
    if not least <= number <= most:
        _refuse(name, f"{least}–{most}", text)
    return number


def _form(request: Request, *known: str) -> str:
    form = request.query_params.get("format", known[0])
    if form not in known:
        _refuse("format", ", ".join(known), form)
    return form


def _refuse(name: str, wanted: str, given: str) -> None:
    shown = json.dumps(given[:40], ensure_ascii=False)
    raise RequestError("request-value", param=name, where=name, wanted=wanted, given=shown)


def _attachment(text: str, kind: str, title: str, plain: str) -> Response:
    """Return a file to save, named as the conversation is (RFC 6266)."""
    suffix = plain.rpartition(".")[2]
    # Nothing in a title is a path, or means something to a file system.
    name = " ".join(re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', " ", title).split())
    name = name.strip(" .")[:60] or "conversation"
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(f'{name}.{suffix}')}"
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)
