"""Calls found in what a model writes; what is none stays text, to the letter."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketr1.server.tools import (
    CALL_BEGIN,
    CALL_END,
    CALLS_BEGIN,
    CALLS_END,
    SEPARATOR,
    Call,
    CallParser,
    Function,
    forced_call,
    forced_schema,
    tools_text,
)


def written(
    name: str = "weather", arguments: str = '{"city": "Oslo"}', kind: str = "function"
) -> str:
    return f"{CALL_BEGIN}{kind}{SEPARATOR}{name}\n```json\n{arguments}\n```{CALL_END}"


def parse(*pieces: str) -> list[str | tuple[str, str]]:
    parser = CallParser(["weather", "clock"])
    found = [item for piece in pieces for item in parser.feed(piece)] + parser.finish()
    plain: list[str | tuple[str, str]] = []
    for item in found:
        if isinstance(item, Call):
            plain.append((item.name, item.arguments))
        elif plain and isinstance(plain[-1], str):
            plain[-1] += item
        else:
            plain.append(item)
    return plain


OSLO = ("weather", '{"city": "Oslo"}')


def test_one_call_as_the_template_has_it() -> None:
    assert parse(CALLS_BEGIN + written() + CALLS_END) == [OSLO]


def test_several_calls_in_one_answer() -> None:
    text = f"{CALLS_BEGIN}{written()}\n{written('clock', '{}')}{CALLS_END}"
    assert parse(text) == [OSLO, ("clock", "{}")]


def test_the_end_of_the_calls_may_be_missing() -> None:
    assert parse(CALLS_BEGIN + written() + "\n") == [OSLO]


def test_text_before_and_behind_stays() -> None:
    assert parse("I ask.\n" + CALLS_BEGIN + written() + CALLS_END + " Done.") == [
        "I ask.\n",
        OSLO,
        " Done.",
    ]


def test_every_call_has_an_id_of_its_own() -> None:
    found = CallParser(["weather"]).feed(written() + written())
    ids = {item.id for item in found if isinstance(item, Call)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "text",
    [
        CALLS_BEGIN + written(name="bomb") + CALLS_END,
        CALLS_BEGIN + written(arguments='{"city": "Os') + CALLS_END,
        CALLS_BEGIN + written(arguments="[1]") + CALLS_END,
        CALLS_BEGIN + written(arguments='{"a": NaN}') + CALLS_END,
        CALLS_BEGIN + written(arguments="[" * 100_000) + CALLS_END,
        CALLS_BEGIN + written(kind="agent") + CALLS_END,
        CALLS_BEGIN + CALL_BEGIN + "function weather" + CALL_END,
        CALLS_BEGIN + written()[:-1],
        CALLS_BEGIN,
        CALL_END + CALLS_END,
        "a < b <｜tool▁calls",
    ],
    ids=range(11),
)
def test_what_is_no_call_stays_text_to_the_letter(text: str) -> None:
    assert parse(text) == [text]


@given(
    st.lists(
        st.sampled_from(
            [CALLS_BEGIN, CALL_BEGIN, CALL_END, CALLS_END, written(), "text", " ", "\n", "<｜"]
        ),
        max_size=8,
    ).map("".join),
    st.data(),
)
def test_how_the_answer_is_cut_does_not_matter(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert parse(*pieces) == parse(text)


def test_the_model_reads_each_function_as_a_line_of_json() -> None:
    text = tools_text([Function("f", "does\nit", {"type": "object"}), Function("g", None, None)])
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"name"')]
    assert [line["name"] for line in lines] == ["f", "g"]
    assert lines[0]["description"] == "does\nit"


def test_a_forced_call_takes_references_along() -> None:
    pytest.importorskip("llguidance")
    from test_grammar import draw, grammars

    tree = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}},
        "required": ["at"],
        "additionalProperties": False,
        "$defs": {"place": {"enum": ["here", "there"]}},
    }
    for functions in ([Function("go", None, tree)], [Function(n, None, tree) for n in "ab"]):
        grammar = asyncio.run(grammars().compile(forced_schema(functions)))
        call = forced_call(draw(grammar.constraint(), seed=3))
        assert call is not None
        assert call.name in {f.name for f in functions}
        assert json.loads(call.arguments)["at"] in {"here", "there"}


def test_a_forced_call_nested_beyond_reading_is_none() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert forced_call(f'{{"name": "go", "arguments": {{"a": {deep}}}}}') is None


def test_a_forced_call_that_was_cut_off_is_none() -> None:
    assert forced_call('{"name": "go", "argu') is None
