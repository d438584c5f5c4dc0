"""The JSON of a request is read strictly: what is refused, and where it stands."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from pocketr1.server.errors import RequestError
from pocketr1.server.guard import body
from pocketr1.server.guard.body import parse_json
from pocketr1.server.guard.limits import Limits

LIMITS = Limits()


def refusal(data: bytes, limits: Limits = LIMITS) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_json(data, limits)
    assert caught.value.status == 400
    assert str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"", "body-empty", None),
        (b" \n\t ", "body-empty", None),
        (b"\xef\xbb\xbf{}", "body-mark", None),
        ("{}".encode("utf-16"), "body-mark", None),
        (b'{"a": "\xff"}', "body-not-utf8", None),
        (b'"\xed\xa0\x80"', "body-not-utf8", None),  # a surrogate in UTF-8
        (b'"\xc0\xaf"', "body-not-utf8", None),  # an overlong slash
        (b"{'a': 1}", "body-not-json", None),
        (b'{"a": 1,}', "body-not-json", None),
        (b"[1 2]", "body-not-json", None),
        (b"[01]", "body-not-json", None),
        (b"[.5]", "body-not-json", None),
        (b"[+1]", "body-not-json", None),
        (b"[0x1]", "body-not-json", None),
        (b"[TRUE]", "body-not-json", None),
        (b'"a\nb"', "body-not-json", None),
        (b'"\\x41"', "body-not-json", None),
        (b'"open', "body-not-json", None),
        (b"// no\n{}", "body-not-json", None),
        (b"\x00", "body-not-json", None),
        (b"{}{}", "body-trailing", None),
        (b"{}\x00", "body-trailing", None),
        (b'{"a": 1, "a": 1}', "body-duplicate", "body"),
        (b'{"m": [0, {"a": 1, "\\u0061": 2}]}', "body-duplicate", "m[1]"),
        (b'{"temperature": NaN}', "body-constant", "temperature"),
        (b'{"a": {"b c": [-Infinity]}}', "body-constant", 'a["b c"][0]'),
        (b'{"seed": 1e999}', "body-number", "seed"),
        (b'{"seed": -1e999}', "body-number", "seed"),
        (b'{"seed": 1e-999}', "body-number", "seed"),
        (b'{"seed": 18446744073709551616}', "body-number", "seed"),
        (b"[" + b"9" * 1_000_000 + b"]", "body-number", "[0]"),
        (b"[0." + b"3" * 1_000_000 + b"]", "body-number", "[0]"),
        (b"[1e" + b"9" * 1_000_000 + b"]", "body-number", "[0]"),
        (b'{"a": ["\\ud800"]}', "body-surrogate", "a[0]"),
        (b'{"a": "\\uDC00\\uD800"}', "body-surrogate", "a"),
        (b'{"\\udead": 1}', "body-surrogate", "body"),
        (b"[" * 100_000, "body-deep", None),
        (b'{"a":' * 100_000, "body-deep", None),
        (b"[" * 65 + b"]" * 65, "body-deep", None),
        (b"[" + b"0," * 300_000 + b"0]", "body-values", None),
        (b"[" + b"[]," * 300_000 + b"0]", "body-values", None),
        (b'["' + b'","' * 300_000 + b'"]', "body-values", None),
        (b'"' * 3_000_000, "body-values", None),
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes, code: str, where: str | None) -> None:
    error = refusal(data)
    assert (error.code, error.param) == (code, where)


def test_a_mistake_is_named_by_line_and_column() -> None:
    error = refusal(b'{\n  "a": 1,\n  b: 2\n}')
    assert (error.params["line"], error.params["column"]) == (3, 3)


def test_a_refused_number_is_shown_short() -> None:
    assert len(str(refusal(b"[" + b"7" * 100_000 + b"]"))) < 300


def test_brackets_in_strings_are_no_nesting() -> None:
    text = json.dumps({"a": "[[[[{{{{" * 1000, 'b"[': '\\"[', "c": "\\"})
    assert parse_json(text.encode(), LIMITS) == json.loads(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    limits = replace(LIMITS, depth=3)
    assert parse_json(b'[[{"a": 1}]]', limits) == [[{"a": 1}]]
    assert refusal(b'[[{"a": []}]]', limits).code == "body-deep"


def test_pairs_of_surrogates_are_characters() -> None:
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud800"]', LIMITS) == ["\U0001f600", "\\ud800"]


def test_the_largest_seed_is_read_exactly() -> None:
    assert parse_json(b"18446744073709551615", LIMITS) == 2**64 - 1


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(-1e290, 1e290).filter(lambda x: x == 0 or abs(x) > 1e-290)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('ab"[\\é'), inner),
    max_leaves=30,
)


@given(values, st.booleans())
def test_every_json_value_is_read_as_it_was_written(value: Any, ascii_: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_)
    assert parse_json(text.encode(), LIMITS) == value


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text('[]{}",:\\u0dD8e1.-NaInfity ').map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = parse_json(data, LIMITS)
    except RequestError:
        return
    # What was read can be written again: no surrogate, no NaN.
    text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert parse_json(text, LIMITS) == value
    assert not (isinstance(value, float) and math.isinf(value))


def request(data: bytes, go: asyncio.Event | None = None) -> Request:
    """Return a request whose body comes in two pieces, the second when ``go`` is set."""
    pieces = [data[:-1], data[-1:]]

    async def receive() -> dict[str, Any]:
        if go is not None and len(pieces) == 1:
            await go.wait()
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.mark.parametrize(("size", "apart"), [(60_000, False), (70_000, True)])
def test_a_large_body_is_parsed_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, size: int, apart: bool
) -> None:
    threads: list[int] = []

    def parse(data: bytes, limits: Limits) -> Any:
        threads.append(threading.get_ident())
        return parse_json(data, limits)

    monkeypatch.setattr(body, "parse_json", parse)
    assert asyncio.run(body.read_json(request(b'"%s"' % (b"x" * size)), LIMITS)) == "x" * size
    assert (threads != [threading.get_ident()]) is apart


def test_bodies_that_are_read_at_once_share_their_room() -> None:
    limits = replace(LIMITS, held_bytes=250_000)
    large, small = b'"%s"' % (b"x" * 100_000), b'"small"'

    async def crowd() -> list[Any]:
        go = asyncio.Event()
        held = [asyncio.create_task(body.read_json(request(large, go), limits)) for _ in range(2)]
        await asyncio.sleep(0)
        found = []
        for data in (large, small):
            try:
                found.append(await body.read_json(request(data), limits))
            except RequestError as error:
                found.append((error.status, error.code))
        go.set()
        await asyncio.gather(*held)
        found.append(len(await body.read_json(request(large), limits)))
        return found

    assert asyncio.run(crowd()) == [(503, "body-room"), "small", 100_000]
