"""What a request must look like before anything reads it."""

from __future__ import annotations

import re

from starlette.requests import Request

from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits

__all__ = ["METHODS", "body_limit", "check_shape"]

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
_JSON = re.compile(r"application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_SHOWN_CHARS = 100


def check_shape(request: Request, limits: Limits) -> None:
    """Raise RequestError for a request no route would take: 400, 405, 413, 415, 431.

    Two lengths of one body (``Content-Length`` beside ``Transfer-Encoding``) are how a request is
    smuggled past a proxy; a path that climbs or holds a backslash or a control character is none
    of ours, whatever serves it.
    """
    headers = request.headers
    if request.scope["http_version"] not in ("1.0", "1.1"):
        raise RequestError("server-not-http")
    # A head that arrives in one piece is parsed however long it is.
    size = sum(len(name) + len(value) + 4 for name, value in headers.raw)
    size += len(request.scope["query_string"]) + len(request.scope["path"])
    if size > limits.header_bytes:
        raise RequestError("server-headers", status=431, limit=limits.header_bytes)
    if len(headers.raw) > limits.headers:
        raise RequestError("server-header-count", status=431, limit=limits.headers)
    chunked = "transfer-encoding" in headers
    length = headers.get("content-length", "0")
    if chunked and ("content-length" in headers or request.scope["http_version"] == "1.0"):
        raise RequestError("request-framing")
    _check_path(request)
    if request.method not in METHODS:
        method = request.method[:_SHOWN_CHARS]
        raise RequestError("request-unknown-method", status=405, method=method)
    # Not request.url: it is put together with the Host header, which nobody has looked at yet.
    limit = body_limit(request.scope["path"], limits)
    if not length.isdecimal() or len(length) > 20:
        raise RequestError("request-framing")
    if int(length) > limit:
        raise RequestError("body-large", status=413, limit=limit)
    if chunked or int(length):
        _check_content(request)


def body_limit(path: str, limits: Limits) -> int:
    """Return how many bytes the body of a request to ``path`` may have."""
    return limits.import_bytes if path == "/api/import" else limits.body_bytes


def _check_path(request: Request) -> None:
    path: str = request.scope["path"]
    raw: bytes = request.scope.get("raw_path") or path.encode()
    climbs = any(part in (".", "..") for part in path.split("/"))
    if not raw.startswith(b"/") or climbs or _CONTROL.search(path):
        raise RequestError("request-path")


def _check_content(request: Request) -> None:
    types = request.headers.getlist("content-type")
    shown = types[0][:_SHOWN_CHARS] if types else "-"
    # A form or plain text is what a page of any site may send without asking first.
    if len(types) != 1 or not _JSON.fullmatch(types[0].strip()):
        raise RequestError("request-content-type", status=415, found=shown)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise RequestError("request-encoding", status=415, found=encoding[:_SHOWN_CHARS])
