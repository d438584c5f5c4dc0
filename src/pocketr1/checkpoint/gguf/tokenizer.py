"""The tokenizer of a GGUF file, written as the files a Hugging Face model comes with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pocketr1.checkpoint.gguf.container import GgufFile, shown
from pocketr1.checkpoint.gguf.metadata import Metadata
from pocketr1.checkpoint.gguf.pretokenizers import BY_NAME, PreTokenizer, known_names

__all__ = ["CONTROL", "NORMAL", "UNUSED", "USER_DEFINED", "GgufCompanion", "tokenizer_files"]

# tokenizer.ggml.token_type
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_PREFIX = "tokenizer.ggml."
_TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True)
class GgufCompanion:
    """A file that is made of metadata when it is read, the same bytes each time."""

    name: str
    make: Callable[[], bytes]

    def read_bytes(self) -> bytes:
        """Return all of it; raises CheckpointError ``checkpoint-gguf-key``."""
        return self.make()


def tokenizer_files(file: GgufFile) -> tuple[GgufCompanion, ...]:
    """Return ``tokenizer.json`` and ``tokenizer_config.json``; none where the file has no tokens.

    Byte-pair encoding over bytes is read (``tokenizer.ggml.model`` "gpt2"), which all distilled
    models of R1 have.
    """
    metadata = Metadata(file)
    if _PREFIX + "tokens" not in metadata:
        return ()

    @cache
    def tokens() -> _Tokens:
        return _Tokens.read(metadata)

    return (
        GgufCompanion("tokenizer.json", cache(lambda: _json(_tree(metadata, tokens())))),
        GgufCompanion("tokenizer_config.json", cache(lambda: _json(_config(metadata, tokens())))),
    )


@dataclass(frozen=True)
class _Tokens:
    """texts: by id. types: by id."""

    texts: list[str]
    types: list[int]
    bos: int | None
    eos: int | None
    adds_bos: bool
    cut: PreTokenizer

    @classmethod
    def read(cls, metadata: Metadata) -> _Tokens:
        model = metadata.text(_PREFIX + "model")
        if model != "gpt2":
            reason = f"is {shown(model)!r}; only gpt2 (byte-level BPE) is supported"
            raise metadata.invalid(_PREFIX + "model", reason)
        name = metadata.text(_PREFIX + "pre", "default")
        if name not in BY_NAME:
            reason = f"is {shown(name)!r}; supported are {known_names()}"
            raise metadata.invalid(_PREFIX + "pre", reason)
        key = _PREFIX + "tokens"
        texts = [metadata.decoded(key, raw) for raw in metadata.strings(key)]
        types = [NORMAL] * len(texts)
        if _PREFIX + "token_type" in metadata:
            types = metadata.integers(_PREFIX + "token_type")
        if len(types) != len(texts):
            reason = f"has {len(types)} entries for {len(texts)} tokens"
            raise metadata.invalid(_PREFIX + "token_type", reason)
        for id_, kind in enumerate(types):
            if not NORMAL <= kind <= BYTE:
                reason = f"says type {kind} of token {id_}"
                raise metadata.invalid(_PREFIX + "token_type", reason)
        vocabulary = len(texts)
        bos = metadata.token(_PREFIX + "bos_token_id", vocabulary)
        eos = metadata.token(_PREFIX + "eos_token_id", vocabulary)
        adds = metadata.flag(_PREFIX + "add_bos_token", BY_NAME[name].adds_bos)
        for special in (bos, eos):
            if special is not None and types[special] == NORMAL:
                types[special] = CONTROL
        return cls(texts, types, bos, eos, adds and bos is not None, BY_NAME[name])

    def added(self) -> Iterator[tuple[int, str, bool]]:
        """Yield id, text and whether it is special of the tokens that text is cut at first."""
        for id_, kind in enumerate(self.types):
            if kind in (CONTROL, USER_DEFINED) and self.texts[id_]:
                yield id_, self.texts[id_], kind == CONTROL

    def vocabulary(self, metadata: Metadata) -> dict[str, int]:
        """Return the tokens that merges lead to. Unused ones stand for ids that mean nothing."""
        ordinary: dict[str, int] = {}
        for id_, kind in enumerate(self.types):
            if kind in (NORMAL, UNKNOWN, BYTE):
                if self.texts[id_] in ordinary:
                    reason = (
                        f"holds {shown(self.texts[id_])!r} twice, as {ordinary[self.texts[id_]]} "
                        f"and {id_}"
                    )
                    raise metadata.invalid(_PREFIX + "tokens", reason)
                ordinary[self.texts[id_]] = id_
        return ordinary


def _tree(metadata: Metadata, tokens: _Tokens) -> dict[str, Any]:
    """Return tokenizer.json."""
    ordinary = tokens.vocabulary(metadata)
    merges = _merges(metadata, tokens, ordinary)
    added = [
        {
            "id": id_,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": special,
        }
        for id_, text, special in tokens.added()
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": tokens.cut.normalizer(),
        "pre_tokenizer": tokens.cut.pre_tokenizer(),
        "post_processor": _begins_with(tokens) if tokens.adds_bos else None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": tokens.cut.ignore_merges,
            "vocab": ordinary,
            "merges": merges,
        },
    }


def _merges(metadata: Metadata, tokens: _Tokens, vocabulary: dict[str, int]) -> list[list[str]]:
    """Return pairs of tokens; both and what they make must be tokens.

    An added token that a merge leads to joins the vocabulary.
    """
    key = _PREFIX + "merges"
    added = {text: id_ for id_, text, _ in tokens.added()}
    pairs = []
    for rank, raw in enumerate(metadata.strings(key)):
        pair = metadata.decoded(key, raw)
        left, space, right = pair.partition(" ")
        if not (left and space and right) or " " in right:
            raise metadata.invalid(key, f"holds {shown(pair)!r} at {rank}, which is no pair")
        for token in (left, right, left + right):
            if token not in vocabulary and token in added:
                vocabulary[token] = added[token]
            elif token not in vocabulary:
                reason = f"makes {shown(token)!r} at {rank}, which is no token"
                raise metadata.invalid(key, reason)
        pairs.append([left, right])
    return pairs


def _begins_with(tokens: _Tokens) -> dict[str, Any]:
    """Return the post-processor that puts the first token before a text."""
    assert tokens.bos is not None
    text = tokens.texts[tokens.bos]
    first = {"SpecialToken": {"id": text, "type_id": 0}}
    second = {"SpecialToken": {"id": text, "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            first,
            {"Sequence": {"id": "A", "type_id": 0}},
            second,
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {text: {"id": text, "ids": [tokens.bos], "tokens": [text]}},
    }


def _config(metadata: Metadata, tokens: _Tokens) -> dict[str, Any]:
    """Return tokenizer_config.json."""
    config: dict[str, Any] = {"add_bos_token": tokens.adds_bos, "add_eos_token": False}
    for name, token in (("bos_token", tokens.bos), ("eos_token", tokens.eos)):
        config[name] = None if token is None else tokens.texts[token]
    if _TEMPLATE in metadata:
        config["chat_template"] = metadata.text(_TEMPLATE)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    return config


def _json(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
