"""A reply put together from pushed tokens, whoever computes them."""

from __future__ import annotations

import chat_support as support

from pocketr1.chat.assembly import ReplyAssembly
from pocketr1.chat.control import ReplyControl
from pocketr1.chat.reader import PlainReader, ReplyReader
from pocketr1.chat.reasoning import Delta

TOKENIZER = support.small_tokenizer()


def assembly(*, plain: bool = False, think_budget: int | None = None, **options: object) -> tuple:
    reader = PlainReader(TOKENIZER) if plain else ReplyReader(TOKENIZER, opened=True)
    control = ReplyControl(reader, TOKENIZER, think_budget=think_budget)
    return ReplyAssembly(reader, control, **options)  # type: ignore[arg-type]


def push(made: ReplyAssembly, text: str) -> list[Delta]:
    """Push a text's tokens until the reply is over."""
    deltas: list[Delta] = []
    for token in TOKENIZER.encode_markup(text):
        if made.finish_reason is None:
            deltas += made.push(token).deltas
    return deltas


def test_thought_and_answer_come_apart() -> None:
    made = assembly()
    deltas = push(made, "6 * 7\n</think>\n\n42") + made.end("stop")
    assert (made.reasoning, made.answer) == ("6 * 7", "42")
    assert "".join(d.text for d in deltas if d.kind == "answer") == "42"
    assert made.text == "6 * 7\n</think>\n\n42"
    assert made.finish_reason == "stop"


def test_a_spent_budget_says_which_tokens_come_next() -> None:
    made = assembly(think_budget=3)
    tokens = TOKENIZER.encode_markup("one two three four five")
    forced = [made.push(token).forced for token in tokens[:3]]
    assert forced == [[], [], TOKENIZER.encode_markup("\n</think>\n\n")]
    assert made.thought_closed == "budget"


def test_a_stop_string_ends_the_reply_and_is_not_shown() -> None:
    made = assembly(stop=("END",))
    push(made, "END of thought</think>\n\nit is 42 END and more")
    assert made.finish_reason == "stop"
    assert made.stop_string == "END"
    assert made.answer == "it is 42 "
    assert made.reasoning == "END of thought"


def test_an_answer_is_no_longer_than_it_may_be() -> None:
    made = assembly(max_answer_tokens=4)
    push(made, "hm</think>\n\nit is 42 and more and more")
    assert made.finish_reason == "length"
    assert made.answer_tokens == 4


def test_plain_text_keeps_its_tags_and_line_ends() -> None:
    made = assembly(plain=True)
    push(made, "\n\nhm\n</think>\n\n42\n")
    made.end("length")
    assert (made.reasoning, made.answer) == ("", "\n\nhm\n</think>\n\n42\n")


def test_an_end_from_outside_releases_what_was_held_back() -> None:
    made = assembly(plain=True, stop=("STOP",))
    push(made, "wait for ST")
    assert [delta.text for delta in made.end("cancelled")] == ["ST"]
    assert made.finish_reason == "cancelled"
