"""The JSON of a request, read strictly.

Python's reader takes more than JSON: of two equal keys it keeps the last, NaN and Infinity are
numbers, half of a surrogate pair is text, ``1e999`` is infinite, and nesting is bounded by the
stack. Each of these is refused here with the place it stands at: what two readers understand
differently is how a filter is passed.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

from starlette.requests import Request

from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits

__all__ = ["parse_json", "read_json"]

#: Integers from here on fit no field; seeds are below.
_LARGEST = 2**64
_NUMBER_CHARS = 64
# A body up to here is parsed at once, within milliseconds, and needs no room of its own.
_SMALL_BYTES = 64 << 10
# Larger ones are parsed here, one after another: each takes several times its size meanwhile.
_PARSER = ThreadPoolExecutor(1, thread_name_prefix="pocketr1-json")
_SHOWN_CHARS = 40
_OTHER_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(set(range(256)) - set(_STEPS))
_HALF = re.compile(r"[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


async def read_json(request: Request, limits: Limits) -> Any:
    """Return the JSON of a request's body.

    A large one is parsed beside the event loop, which others wait for.

    Raises RequestError: 413 for more than ``limits.body_bytes``, 503 where others' bodies take all
    the room there is, 400 for what is not strict JSON (see :func:`parse_json`); starlette's
    ClientDisconnect where the client left, or was cut because the body did not come in time.
    """
    with _Room(limits.held_bytes) as room:
        data = await _collect(request, limits.body_bytes, room)
        if len(data) <= _SMALL_BYTES:
            return parse_json(data, limits)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_PARSER, parse_json, data, limits)


def parse_json(data: bytes, limits: Limits) -> Any:
    """Return the value of a JSON text.

    Raises RequestError, with the place as its ``param`` where there is one, for an empty text, one
    that is not UTF-8 or begins with a byte order mark, duplicate keys, NaN and Infinity, half
    surrogate pairs, integers beyond 64 bits, numbers no float holds, nesting beyond
    ``limits.depth``, more than ``limits.values`` values, and for what is not JSON at all.
    """
    text = _decode(data)
    _measure(data, limits)
    faults = _Faults()
    try:
        value = json.loads(
            text,
            object_pairs_hook=faults.check_object,
            parse_int=faults.check_integer,
            parse_float=faults.check_decimal,
            parse_constant=faults.refuse_constant,
        )
    except json.JSONDecodeError as error:
        line, column = error.lineno, error.colno
        if error.msg == "Extra data":
            raise RequestError("body-trailing", line=line, column=column) from None
        raise RequestError("body-not-json", line=line, column=column) from None
    if faults.found:
        for path, fault in _strings_and_faults(value):
            if isinstance(fault, _Fault):
                raise RequestError(fault.code, param=path, where=path, value=fault.shown)
    # Only an escape can have made one: the bytes were UTF-8.
    if b"\\ud" in data or b"\\uD" in data:
        for path, string in _strings_and_faults(value):
            if isinstance(string, str) and _HALF.search(string):
                raise RequestError("body-surrogate", param=path, where=path)
    return value


async def _collect(request: Request, most: int, room: _Room) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise RequestError("body-large", status=413, limit=most)
        room.take(len(data))
    return bytes(data)


class _Room:
    """What one body takes of the bytes that all bodies of this process may hold at once.

    They are held from their arrival until they are parsed. Small ones count for nothing: as many
    as there may be connections fit beside.
    """

    _lock = threading.Lock()
    _all = 0

    def __init__(self, most: int) -> None:
        self._most = most
        self._own = 0

    def take(self, size: int) -> None:
        """Take room for a body that has grown to ``size``. Raises RequestError, 503."""
        if size <= _SMALL_BYTES:
            return
        with _Room._lock:
            if _Room._all + size - self._own > self._most:
                raise RequestError("body-room", status=503)
            _Room._all += size - self._own
            self._own = size

    def __enter__(self) -> _Room:
        return self

    def __exit__(self, *_: object) -> None:
        with _Room._lock:
            _Room._all -= self._own


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF8, *_OTHER_BOMS)):
        raise RequestError("body-mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("body-not-utf8", place=error.start) from None
    if not text.strip():
        raise RequestError("body-empty")
    return text


def _measure(data: bytes, limits: Limits) -> None:
    """Bound nesting and the number of values before anything is built.

    What precedes the first mistake is measured rightly, and the parser stops there.
    """
    plain = data.replace(b"\\\\", b"..").replace(b'\\"', b"..")
    quotes = plain.count(b'"')
    outside = b""
    if quotes // 2 <= limits.values:
        outside = b"".join(plain.split(b'"')[::2])
    brackets = outside.translate(None, _NOT_BRACKETS)
    # A value follows a comma, a colon or a bracket; strings are counted by their quotes as well.
    values = max(outside.count(b",") + outside.count(b":") + len(brackets) // 2, quotes // 2)
    if values > limits.values:
        raise RequestError("body-values", limit=limits.values)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > limits.depth:
        raise RequestError("body-deep", limit=limits.depth)


class _Fault:
    """Stands in the parsed value where something refused stood."""

    def __init__(self, code: str, value: str) -> None:
        self.code = code
        self.shown = value if len(value) <= _SHOWN_CHARS else value[: _SHOWN_CHARS - 1] + "…"


class _Faults:
    """What the parser calls for each object and number; it notes what is refused."""

    def __init__(self) -> None:
        self.found = False

    def check_object(self, pairs: list[tuple[str, Any]]) -> Any:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                return self._note("body-duplicate", key)
            seen.add(key)
        return members

    def check_integer(self, text: str) -> Any:
        # The length first: reading digits takes quadratic time.
        if len(text) > _NUMBER_CHARS or not -_LARGEST < int(text) < _LARGEST:
            return self._note("body-number", text)
        return int(text)

    def check_decimal(self, text: str) -> Any:
        value = float(text) if len(text) <= _NUMBER_CHARS else float("inf")
        vanished = value == 0 and bool(re.match(r"[^eE]*[1-9]", text))
        return self._note("body-number", text) if vanished or abs(value) > 1e300 else value

    def refuse_constant(self, text: str) -> Any:
        return self._note("body-constant", text)

    def _note(self, code: str, value: str) -> _Fault:
        self.found = True
        return _Fault(code, value.encode("utf-8", "replace").decode())


def _strings_and_faults(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, item) of every string, key and fault, in order and without recursion."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, str | _Fault):
            yield path or "body", item
        elif isinstance(item, dict):
            below = [(_member(path, key), inner) for key, inner in item.items()]
            waiting += reversed(below)
            yield from ((path or "body", key) for key in item)
        elif isinstance(item, list):
            waiting += [(f"{path}[{place}]", inner) for place, inner in enumerate(item)][::-1]


def _member(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        shown = key[:_SHOWN_CHARS].encode("utf-8", "replace").decode()
        return f"{path}[{json.dumps(shown, ensure_ascii=False)}]"
    key = key[:_SHOWN_CHARS]
    return f"{path}.{key}" if path else key
