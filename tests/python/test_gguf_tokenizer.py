"""The tokenizer of a GGUF file gives the ids of the tokenizer it was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from gguf_files import (
    ARRAY,
    BOOL,
    I32,
    STRING,
    U32,
    Entry,
    tokenizer_entries,
    write_gguf,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketr1.chat.tokenizer import Tokenizer, load_tokenizer
from pocketr1.checkpoint.gguf import read_header, tokenizer_files
from pocketr1.checkpoint.gguf.pretokenizers import BY_NAME, matching
from pocketr1.engine import locate
from pocketr1.errors import CheckpointError

TINY = locate("tiny").path
TREE = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
TEMPLATE = json.loads((TINY / "tokenizer_config.json").read_text("utf-8"))["chat_template"]
TEXTS = [
    "",
    " ",
    "Hello, world! What's 12345 + 67890?",
    "  two  spaces\n\n\nand\tlines \r\n of   every kind  ",
    "小明有 3 个苹果，妈妈又给了他 12 个。他现在有多少个？",
    "I'll we'VE they'd DON'T  x_1 = f(y)**2; // ok?",
    "e\u0301 \u00e9 \ufb01 \u212b Å ﬁ",
    "😀👩‍👩‍👧 न ् ด ้ عربى עִבְרִית",
    "<think>no tag</think> <｜User｜> \x00\x01\x7f",
    "1234567 12 ３４ ²³ Ⅷ",
]


def made(directory: Path, entries: list[Entry]) -> Path:
    """The files that a GGUF of these entries stands for."""
    directory.mkdir(parents=True, exist_ok=True)
    write_gguf(directory / "m.gguf", entries, {})
    for file in tokenizer_files(read_header(directory / "m.gguf")):
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


def of_tiny(pre: str = "deepseek-r1-qwen") -> list[Entry]:
    return [
        *tokenizer_entries(TREE, 4000, pre),
        ("tokenizer.ggml.bos_token_id", U32, 3996),
        ("tokenizer.ggml.eos_token_id", U32, 3993),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.chat_template", STRING, TEMPLATE),
    ]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Tokenizer]:
    """Tiny R1's own tokenizer, and the one of a GGUF."""
    directory = made(tmp_path_factory.mktemp("tiny"), of_tiny())
    return load_tokenizer(TINY), load_tokenizer(directory)


@pytest.mark.parametrize("text", TEXTS)
def test_tiny_s_ids_are_the_same(both: tuple[Tokenizer, Tokenizer], text: str) -> None:
    own, ours = both
    assert ours.encode_text(text) == own.encode_text(text)
    assert ours.encode_markup(text) == own.encode_markup(text)
    assert ours.encode_prompt(text) == own.encode_prompt(text)
    ids = own.encode_markup(text)
    assert ours.decode(ids, skip_special=False) == own.decode(ids, skip_special=False)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_ids_of_any_text_are_the_same(both: tuple[Tokenizer, Tokenizer], text: str) -> None:
    own, ours = both
    assert ours.encode_text(text) == own.encode_text(text)


def test_special_tokens_and_template_are_the_model_s(both: tuple[Tokenizer, Tokenizer]) -> None:
    own, ours = both
    assert (ours.bos_id, ours.eos_id, ours.adds_bos) == (own.bos_id, own.eos_id, own.adds_bos)
    assert ours.vocab_size == own.vocab_size
    assert {t: row.id for t, row in ours.added_tokens.items()} == {
        t: row.id for t, row in own.added_tokens.items()
    }
    assert own.special_ids <= ours.special_ids
    assert ours.token_to_id("<think>") not in ours.special_ids


def test_the_chat_template_comes_along(tmp_path: Path) -> None:
    config = json.loads((made(tmp_path, of_tiny()) / "tokenizer_config.json").read_text("utf-8"))
    assert config["chat_template"] == TEMPLATE


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "gpt-2"])
def test_a_tokenizer_of_each_kind_comes_back(tmp_path: Path, name: str) -> None:
    row = BY_NAME[name]
    original = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=row.ignore_merges))
    if row.nfc:
        original.normalizer = tokenizers.normalizers.NFC()
    steps: list[Any] = []
    if row.split is not None:
        pattern = tokenizers.Regex(row.split)
        steps.append(tokenizers.pre_tokenizers.Split(pattern, behavior="isolated"))
    steps.append(
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=row.split is None)
    )
    original.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(steps)
    original.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    original.train_from_iterator([*TEXTS, TEMPLATE, Path(__file__).read_text("utf-8")], trainer)
    original.add_special_tokens(["<|end|>"])
    tree = json.loads(original.to_str())
    assert matching(tree) is row
    count = original.get_vocab_size()
    ours = load_tokenizer(made(tmp_path, tokenizer_entries(tree, count + 3, name)))
    for text in [*TEXTS, TEMPLATE, "end<|end|>of"]:
        ids = original.encode(text, add_special_tokens=False).ids
        assert ours.encode_markup(text) == ids, text


@pytest.mark.parametrize(("pre", "adds"), [("llama-bpe", True), ("qwen2", False)])
def test_where_the_file_does_not_say_the_kind_decides_about_the_first_token(
    tmp_path: Path, pre: str, adds: bool
) -> None:
    entries = [entry for entry in of_tiny(pre) if entry[0] != "tokenizer.ggml.add_bos_token"]
    assert load_tokenizer(made(tmp_path, entries)).adds_bos is adds


def test_no_tokenizer_in_the_file_gives_no_files(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", [("general.architecture", STRING, "qwen2")], {})
    assert tokenizer_files(read_header(tmp_path / "m.gguf")) == ()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (("tokenizer.ggml.model", STRING, "llama"), "only gpt2"),
        (("tokenizer.ggml.pre", STRING, "tekken"), "supported are qwen2"),
        (("tokenizer.ggml.pre", STRING, "\x1b]0;x"), "supported are qwen2"),
        (("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", b"\xff"])), "not UTF-8"),
        (("tokenizer.ggml.tokens", ARRAY, (I32, [1, 2])), "not an array of strings"),
        (("tokenizer.ggml.tokens", ARRAY, (STRING, ["a"])), "4000 entries for 1 tokens"),
        (("tokenizer.ggml.tokens", ARRAY, (STRING, ["a"] * 4000)), "holds 'a' twice"),
        (("tokenizer.ggml.token_type", ARRAY, (I32, [7] * 4000)), "type 7 of token 0"),
        (("tokenizer.ggml.token_type", STRING, "normal"), "not an array of integers"),
        (("tokenizer.ggml.merges", ARRAY, (STRING, ["a"])), "which is no pair"),
        (("tokenizer.ggml.merges", ARRAY, (STRING, ["a b c"])), "which is no pair"),
        (("tokenizer.ggml.merges", ARRAY, (STRING, ["zz qq"])), "which is no token"),
        (("tokenizer.ggml.bos_token_id", U32, 4000), "not an id"),
        (("tokenizer.ggml.add_bos_token", U32, 1), "neither true nor false"),
    ],
)
def test_a_wrong_tokenizer_is_refused(tmp_path: Path, entry: Entry, reason: str) -> None:
    entries = {each[0]: each for each in [*of_tiny(), entry]}
    with pytest.raises(CheckpointError) as caught:
        made(tmp_path, list(entries.values()))
    assert caught.value.code == "checkpoint-gguf-key"
    assert reason in str(caught.value.params["reason"])
    assert "\x1b" not in caught.value.what
