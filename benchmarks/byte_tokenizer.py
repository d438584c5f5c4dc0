"""A byte-level tokenizer with R1's tags, for random checkpoints whose own tokenizer is not at hand.

Text encodes to one token per byte. The other ids stand for made-up words, so that what a random
model samples decodes to something one can see.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = ["write_tokenizer"]

_BOS = "<｜begin▁of▁sentence｜>"
_EOS = "<｜end▁of▁sentence｜>"
_TAGS = ("<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<think>", "</think>")


def write_tokenizer(directory: Path, vocab_size: int, bos: int, eos: int) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` with R1's chat template."""
    template = resources.files("pocketr1.chat").joinpath("templates/r1.jinja")
    tokens = _tokens(vocab_size, bos, eos)
    tags = {tag: tokens[tag] for tag in (_EOS, *_TAGS, _BOS)}
    files = {
        "tokenizer.json": _tokenizer(tokens, tags),
        "tokenizer_config.json": {
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": _BOS,
            "chat_template": template.read_text("utf-8"),
            "clean_up_tokenization_spaces": False,
            "eos_token": _EOS,
            "model_max_length": 16384,
            "pad_token": _EOS,
            "tokenizer_class": "LlamaTokenizerFast",
            "unk_token": None,
        },
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def _tokens(vocab_size: int, bos: int, eos: int) -> dict[str, int]:
    """Return token -> id: the 256 bytes, words, and R1's tags at ids that are free."""
    ids = {_BOS: bos, _EOS: eos}
    free = (id for id in range(max(bos, eos) + 1, vocab_size))
    before = (id for id in range(min(bos, eos) - 1, 255, -1))
    for tag in _TAGS:
        taken = next(free, None)
        ids[tag] = next(before) if taken is None else taken
    tag_of = {id: tag for tag, id in ids.items()}
    byte_letters = _byte_letters()
    tokens = {}
    for id in range(vocab_size):
        if id in tag_of:
            tokens[tag_of[id]] = id
        else:
            tokens[byte_letters[id] if id < 256 else _word(id)] = id
    return tokens


def _word(number: int) -> str:
    """Return a word of its own for a number, with the space before it ("Ġ" in byte-level text)."""
    letters = ""
    while number:
        number, digit = divmod(number, 100)
        letters += "bdfghklmnprstvwxyzcj"[digit // 5] + "aeiou"[digit % 5]
    return "\u0120" + letters


def _byte_letters() -> list[str]:
    """Return GPT-2's printable stand-in for each byte: itself, or 256 upwards in order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    letters, stand_in = [], 256
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(stand_in))
            stand_in += 1
    return letters


def _tokenizer(tokens: dict[str, int], tags: dict[str, int]) -> dict[str, Any]:
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    bos = {"SpecialToken": {"id": _BOS, "type_id": 0}}
    first = [bos, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": id,
                "content": tag,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                # As in R1's tokenizer: only the two ends of a sentence are marked special.
                "special": tag in (_BOS, _EOS),
            }
            for tag, id in sorted(tags.items(), key=lambda item: item[1])
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": first,
            "pair": [*first, bos, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {_BOS: {"id": _BOS, "ids": [tags[_BOS]], "tokens": [_BOS]}},
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": tokens,
            "merges": [],
        },
    }
