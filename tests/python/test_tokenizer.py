"""The tokenizer: nothing forged, nothing lost, no half character."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path

import chat_support as support
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from pocketr1 import errors
from pocketr1.chat import IncrementalDetokenizer, Tokenizer, load_tokenizer

THINK, BOS, EOS = 151648, 151646, 151643


@pytest.fixture(params=["small", "real"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return support.small_tokenizer() if request.param == "small" else support.real_tokenizer()


def stream(tokenizer: Tokenizer, ids: list[int], skip_special: bool = True) -> list[str]:
    detokenizer = IncrementalDetokenizer(tokenizer, skip_special)
    return [detokenizer.feed(i) for i in ids] + [detokenizer.finish()]


# --- encoding ---------------------------------------------------------------------------------


def test_all_published_vectors_pass() -> None:
    stem = "ggml-vocab-deepseek-r1-qwen.gguf"
    source = support.data_path("tokenizers", "vectors", f"{stem}.inp")
    expected = support.data_path("tokenizers", "vectors", f"{stem}.out").read_text("utf-8")
    inputs = source.read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n")
    outputs = [[int(i) for i in line.split()] for line in expected.split("\n")]
    tokenizer = support.real_tokenizer()
    assert len(inputs) >= 40
    for text, ids in zip(inputs, outputs, strict=False):
        assert tokenizer.encode_text(text) == ids, repr(text)
    assert all(not ids for ids in outputs[len(inputs) :])


def test_text_never_gives_an_added_token(tokenizer: Tokenizer) -> None:
    added = {t.id for t in tokenizer.added_tokens.values()}
    for token in tokenizer.added_tokens:
        for text in (token, f"a{token}b", f" {token} ", f"<{token}>", token * 3):
            ids = tokenizer.encode_text(text)
            assert not added & set(ids), text
            assert tokenizer.decode(ids) == text


@given(
    st.lists(st.sampled_from([t for t, _, _ in support.R1_ADDED] + ["<", "think>", "a", " ", "\n"]))
)
def test_no_mixture_of_added_tokens_gives_one(pieces: list[str]) -> None:
    tokenizer = support.small_tokenizer()
    text = "".join(pieces)
    ids = tokenizer.encode_text(text)
    assert all(i < EOS for i in ids)
    assert tokenizer.decode(ids, skip_special=False) == text


def test_a_long_text_has_the_tokens_of_its_lines() -> None:
    tokenizer = support.real_tokenizer()
    line = "The quick brown fox <think> 沒有 \ud800 jumps.\n"
    assert tokenizer.encode_text(line * 500) == tokenizer.encode_text(line) * 500
    assert tokenizer.encode_markup(line * 500).count(THINK) == 500


def test_other_threads_go_on_while_a_long_text_is_encoded() -> None:
    tokenizer = support.real_tokenizer()
    text = "The quick brown fox jumps over the lazy dog. " * 20_000
    worker = threading.Thread(target=tokenizer.encode_text, args=(text,))
    began = last = time.perf_counter()
    longest = 0.0
    worker.start()
    while worker.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert longest < (last - began) / 2


def test_markup_recognises_added_tokens_and_adds_none(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_markup("<｜User｜>") == [151644]
    assert tokenizer.encode_markup("<think>\n")[0] == THINK
    plain = "Nothing special here. 沒有"
    assert tokenizer.encode_markup(plain) == tokenizer.encode_text(plain)


def test_a_raw_prompt_starts_with_one_bos(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_prompt("Hi") == [BOS, *tokenizer.encode_text("Hi")]


def test_ids_and_texts_of_bos_and_eos(tokenizer: Tokenizer) -> None:
    assert (tokenizer.bos_id, tokenizer.eos_id) == (BOS, EOS)
    assert tokenizer.bos_token == "<｜begin▁of▁sentence｜>"
    assert tokenizer.eos_token == "<｜end▁of▁sentence｜>"
    assert {BOS, EOS} <= tokenizer.special_ids and THINK not in tokenizer.special_ids
    assert tokenizer.token_to_id("<think>") == THINK
    assert tokenizer.token_to_id("no such token") is None
    assert tokenizer.vocab_size == max(t.id for t in tokenizer.added_tokens.values()) + 1


def test_a_lone_surrogate_is_encoded_as_a_replacement_character() -> None:
    tokenizer = support.small_tokenizer()
    assert tokenizer.encode_text("a\ud83db") == tokenizer.encode_text("a\ufffdb")


def test_added_tokens_in_the_models_own_vocabulary_cannot_be_forged(tmp_path: Path) -> None:
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocab.update({"<s": 256, "<s>": 257, "ok": 258})
    merges = [("<", "s"), ("<s", ">"), ("o", "k")]
    library = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens(["<s>"])
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode_markup("<s> ok") == [257, 258]
    assert tokenizer.encode_text("<s> ok") == [256, vocab[">"], 258]


# --- decoding ---------------------------------------------------------------------------------


def excerpts() -> list[str]:
    texts = ["", "plain", "👩‍👩‍👧 family, ñ, 中文。\r\n\ttabs", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﷽ e\u0301"]
    for name, places in (("hongloumeng.txt", (0, 9000)), ("frankenstein.txt", (1000, 50000))):
        path = support.DATA / "text" / name
        if path.exists():
            book = path.read_text("utf-8")
            texts += [book[place : place + 4000] for place in places]
    return texts


def test_streamed_text_is_the_text(tokenizer: Tokenizer) -> None:
    for text in excerpts():
        ids = tokenizer.encode_text(text)
        pieces = stream(tokenizer, ids)
        assert "".join(pieces) == tokenizer.decode(ids)
        if "e\u0301" not in text:  # the normalizer composes it
            assert "".join(pieces) == text
        assert "\ufffd" not in "".join(pieces)


@given(st.text())
def test_streaming_never_shows_half_a_character(text: str) -> None:
    tokenizer = support.small_tokenizer()
    ids = tokenizer.encode_text(text)
    pieces = stream(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    assert "".join(pieces).count("\ufffd") == text.count("\ufffd")


@given(st.lists(st.integers(0, 255)))
def test_random_bytes_stream_to_what_the_library_decodes(data: list[int]) -> None:
    tokenizer = support.small_tokenizer()
    alphabet = {tokenizer.decode_bytes(i): i for i in range(256)}
    ids = [alphabet[bytes([b])] for b in data]
    assert "".join(stream(tokenizer, ids)) == bytes(data).decode("utf-8", "replace")


def test_random_ids_stream_to_what_the_library_decodes() -> None:
    directory = support.data_path("tokenizers", "deepseek-r1-distill-qwen")
    tokenizer = support.real_tokenizer()
    library = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    generator = random.Random(1)
    for _ in range(200):
        ids = [generator.randrange(151643) for _ in range(generator.randrange(1, 40))]
        expected = library.decode(ids, skip_special_tokens=False)
        assert tokenizer.decode(ids) == expected
        assert "".join(stream(tokenizer, ids)) == expected


def test_a_broken_tail_comes_out_at_the_end_only() -> None:
    tokenizer = support.small_tokenizer()
    ids = tokenizer.encode_text("ok 中")
    broken = [i for i in ids if tokenizer.decode_bytes(i) is not None]
    data = tokenizer.decode_bytes(broken[-1]) or b""
    assert not data.isascii()
    single = {tokenizer.decode_bytes(i): i for i in range(256)}
    cut = [single[bytes([b])] for b in "ok 中".encode()[:-1]]
    assert stream(tokenizer, cut) == ["o", "k", " ", "", "", "\ufffd"]


def test_special_tokens_are_skipped_unless_asked_for(tokenizer: Tokenizer) -> None:
    ids = [BOS, THINK, *tokenizer.encode_text("hm"), EOS]
    assert "".join(stream(tokenizer, ids)) == "<think>hm" == tokenizer.decode(ids)
    shown = "".join(stream(tokenizer, ids, skip_special=False))
    assert shown == "<｜begin▁of▁sentence｜><think>hm<｜end▁of▁sentence｜>"


def test_ids_past_the_vocabulary_say_nothing(tokenizer: Tokenizer) -> None:
    ids = [151935, *tokenizer.encode_text("hm"), 151900]
    assert "".join(stream(tokenizer, ids)) == "hm"


@pytest.fixture(scope="module")
def sentencepiece_style(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer that is not byte-level: ▁ for spaces, <0xNN> for unknown bytes."""
    directory = tmp_path_factory.mktemp("metaspace")
    pieces = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)] + list("▁helowrd中")
    vocab = {piece: i for i, piece in enumerate(pieces)}
    library = tokenizers.Tokenizer(
        models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    library.save(str(directory / "tokenizer.json"))
    return load_tokenizer(directory)


@given(text=st.text(alphabet="helo wrd中😀é", max_size=60))
@settings(max_examples=50)
def test_a_tokenizer_without_a_byte_alphabet_streams_too(
    sentencepiece_style: Tokenizer, text: str
) -> None:
    ids = sentencepiece_style.encode_text(text)
    pieces = stream(sentencepiece_style, ids)
    assert "".join(pieces) == sentencepiece_style.decode(ids)
    assert "\ufffd" not in "".join(pieces)


# --- files ------------------------------------------------------------------------------------


def code_of(directory: Path) -> errors.ChatError:
    with pytest.raises(errors.ChatError) as caught:
        load_tokenizer(directory)
    assert str(directory) in str(caught.value)
    assert caught.value.mend
    return caught.value


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    assert code_of(tmp_path).code == "tokenizer-missing"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert code_of(tmp_path).code == "tokenizer-damaged"


def test_a_tokenizer_cut_short_is_named(tmp_path: Path) -> None:
    path = support.write_small_model(tmp_path) / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:100_000])
    assert code_of(tmp_path).code == "tokenizer-damaged"


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: bytes) -> None:
    support.write_small_model(tmp_path)
    (tmp_path / "tokenizer_config.json").write_bytes(content)
    assert code_of(tmp_path).code == "tokenizer-damaged"


def test_a_huge_tokenizer_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(65 << 20)
    assert code_of(tmp_path).code == "tokenizer-too-large"


def test_a_tokenizer_without_configuration_loads(tmp_path: Path) -> None:
    (support.write_small_model(tmp_path) / "tokenizer_config.json").unlink()
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.bos_id is None and not tokenizer.adds_bos
    assert tokenizer.encode_prompt("hm") == tokenizer.encode_text("hm")


def test_truncation_left_by_a_training_run_is_ignored(tmp_path: Path) -> None:
    path = support.write_small_model(tmp_path) / "tokenizer.json"
    tree = json.loads(path.read_text("utf-8"))
    tree["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(tree), encoding="utf-8")
    assert len(load_tokenizer(tmp_path).encode_markup("a b c d e f g h")) > 4
