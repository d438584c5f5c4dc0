"""Errors as OpenAI's API shows them, for every route.

``{"error": {"message", "type", "param", "code"}}``: the message is what is wrong and what to do, in
the server's language; ``code`` is the error's stable slug.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from pocketr1.errors import (
    BusyError,
    ChatError,
    ContextFullError,
    HistoryError,
    PocketR1Error,
    ServerError,
    UsageError,
)

__all__ = ["RequestError", "error_body", "error_response", "fault", "status_of"]

_LOG = logging.getLogger("pocketr1.server")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

# What is not the request's fault is the store's.
_HISTORY = {
    "history-no-conversation": 404,
    "history-no-message": 404,
    "history-parent-running": 409,
    "history-elsewhere": 409,
    "history-parent": 400,
    "history-cursor": 400,
    "history-import": 400,
    "history-import-newer": 400,
    "history-busy": 503,
    "history-full": 503,
}


class RequestError(ServerError):
    """A request cannot be answered as it is.

    status: of the response, 4xx or 503. param: the field it is about, as ``messages[0].content``.
    """

    def __init__(
        self, code: str, *, status: int = 400, param: str | None = None, **params: object
    ) -> None:
        super().__init__(code, status=status, param=param, **params)
        self.status = status
        self.param = param


def status_of(error: PocketR1Error) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, BusyError):
        return 429
    if isinstance(error, HistoryError):
        return _HISTORY.get(error.code, 500)
    if isinstance(error, ContextFullError | UsageError | ChatError):
        return 400
    return 500


def error_body(error: PocketR1Error) -> dict[str, Any]:
    """Return an error as JSON, for a body or an event of a stream."""
    status = status_of(error)
    default = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, default),
            "param": error.param if isinstance(error, RequestError) else None,
            "code": error.code,
        }
    }


def error_response(error: PocketR1Error) -> Response:
    """Return the response to a request that failed."""
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(max(1, error.retry_after))
    return JSONResponse(error_body(error), status_of(error), headers)


def fault(error: BaseException, where: str = "in a stream") -> PocketR1Error:
    """Return a fault of ours as an error; the log names its place.

    Not its text, which may hold somebody's prompt.
    """
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    _LOG.error("%s %s: %s", kind, where, " > ".join(places))
    return PocketR1Error("server-fault", kind=kind)
