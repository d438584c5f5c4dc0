"""Answers held to a JSON Schema: which are refused, and what the engine is allowed to draw."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketr1.chat import load_tokenizer
from pocketr1.engine.constraint import Constraint
from pocketr1.errors import EngineError
from pocketr1.server.errors import RequestError
from pocketr1.server.grammar import Grammars

TINY = Path(__file__).parents[3] / "models" / "tiny-r1"
VOCAB = 4000
EOS = 3993
tokenizer = load_tokenizer(TINY)


def grammars() -> Grammars:
    return Grammars(TINY / "tokenizer.json", [EOS], VOCAB + 32)


def start(schema: Any) -> Constraint:
    async def compiled() -> Constraint:
        return (await grammars().compile(schema)).constraint()

    return asyncio.run(compiled())


def refusal(schema: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        start(schema)
    return caught.value


def allowed(state: Constraint) -> set[int]:
    logits = np.zeros(VOCAB + 32, dtype=np.float32)
    state.mask(logits)
    return set(np.flatnonzero(logits == 0).tolist())


def draw(state: Constraint, seed: int, most: int = 400) -> str:
    """Return what comes of drawing among the allowed tokens only, short strings preferred."""
    random = np.random.default_rng(seed)
    ids: list[int] = []
    for _ in range(most):
        if state.must_end:
            break
        choices = allowed(state)
        closing = [i for i in choices if tokenizer.decode([i]) in ('"', '"}', "}", "]")]
        token = int(random.choice(closing or sorted(choices)))
        if token == EOS:
            break
        state.accept(token)
        ids.append(token)
    return tokenizer.decode(ids)


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_drawn_matches_the_schema(seed: int) -> None:
    person = json.loads(draw(start(PERSON), seed))
    assert person.keys() == {"name", "age", "kind"}
    assert 0 <= person["age"] <= 150
    assert person["kind"] in {"cat", "dog"}


def test_any_object_is_an_object() -> None:
    assert {tokenizer.decode([i]) for i in allowed(start({"type": "object"}))} <= {"{", '{"', "{}"}


def test_the_end_is_allowed_where_the_answer_is_whole_only() -> None:
    state = start({"type": "integer"})
    assert EOS not in allowed(state)
    state.accept(tokenizer.encode_text("7")[0])
    assert EOS in allowed(state)
    assert not state.must_end


def test_blanks_between_tokens_are_few() -> None:
    def fits(text: str) -> bool:
        state = start({"type": "array", "items": {"type": "integer"}})
        for token in (t for char in text for t in tokenizer.encode_text(char)):
            if token not in allowed(state):
                return False
            state.accept(token)
        return state.must_end

    assert fits("[1,2]")
    assert fits("[1, 2]")
    assert fits("[\n    1,\n    2\n]")
    assert not fits("[1,  2]")
    assert not fits("[1,\n\n2]")
    assert not fits("[\n" + " " * 25 + "1]")


def test_nothing_follows_a_whole_object() -> None:
    state = start({"type": "object", "properties": {}, "additionalProperties": False})
    for token in tokenizer.encode_text("{}"):
        state.accept(token)
    assert state.must_end
    assert allowed(state) == {EOS}


def test_padding_and_tags_never_come() -> None:
    state = start({"type": "string"})
    state.accept(tokenizer.encode_text('"')[0])
    assert max(allowed(state)) < EOS


def test_replies_of_one_grammar_go_their_own_ways() -> None:
    async def both() -> tuple[Constraint, Constraint]:
        grammar = await grammars().compile({"enum": [1, 2]})
        return grammar.constraint(), grammar.constraint()

    first, second = asyncio.run(both())
    first.accept(tokenizer.encode_text("1")[0])
    assert first.must_end
    assert not second.must_end


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"if": {}, "then": {}}, "then"),
        ({"type": "string", "format": "colour"}, "colour"),
        ({"type": "wrong"}, "wrong"),
        ({"$ref": "https://example.org/schema"}, "example.org"),
        ({"$ref": "#/nowhere"}, "/nowhere"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "minimum"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_named(schema: Any, named: str) -> None:
    error = refusal(schema)
    assert error.status == 400
    assert named in str(error)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [f"{n}" for n in range(100_000)]},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
    ],
    ids=["long", "endless"],
)
def test_a_schema_that_would_cost_too_much_is_refused(schema: Any) -> None:
    assert refusal(schema).code == "grammar-schema"


def test_what_becomes_too_complex_on_the_way_ends_with_an_error() -> None:
    state = start({"anyOf": [{"type": "object", "properties": {f"p{n}": {}}} for n in range(1000)]})
    with pytest.raises(EngineError) as caught:
        for token in tokenizer.encode_text('{"p1":1'):
            allowed(state)
            state.accept(token)
    assert caught.value.code == "grammar-failed"


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    assert "pocketr1[grammar]" in str(refusal({}))
