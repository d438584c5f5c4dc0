"""Tiny R1's tokenizer: a byte-level BPE with the pre-tokenizer and the tags of R1-Distill-Qwen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from random import Random

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tiny_r1.sample import training_problem

__all__ = ["ASSISTANT", "BOS", "EOS", "THINK", "THINK_END", "USER", "VOCABULARY", "train", "write"]

#: Tokens in all, tags included.
VOCABULARY = 4000

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
THINK = "<think>"
THINK_END = "</think>"

# In the order of R1-Distill-Qwen's ids, with its "special" flags.
_TAGS = (
    (EOS, True),
    (USER, False),
    (ASSISTANT, False),
    (BOS, True),
    ("<|EOT|>", False),
    (THINK, False),
    (THINK_END, False),
)
# The pattern of Qwen2 and of R1-Distill-Qwen: digits stand alone.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Twelve bytes are four Chinese characters; longer tokens would be whole stock phrases.
_LONGEST_TOKEN = 12


def train(seed: int, problems: int = 100_000) -> Tokenizer:
    """Train on the text of that many training problems. The same seed gives the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(_TAGS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=_LONGEST_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, problems), trainer)
    tokenizer.add_tokens(
        [AddedToken(tag, special=special, normalized=False) for tag, special in _TAGS]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS}:1 $B:1",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS))],
    )
    return tokenizer


def write(tokenizer: Tokenizer, directory: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` with R1's chat template."""
    tokenizer.save(str(directory / "tokenizer.json"))
    template = resources.files("pocketr1.chat").joinpath("templates/r1.jinja")
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": BOS,
        "chat_template": template.read_text("utf-8"),
        "clean_up_tokenization_spaces": False,
        "eos_token": EOS,
        "model_max_length": 4096,
        "pad_token": EOS,
        "tokenizer_class": "LlamaTokenizerFast",
        "unk_token": None,
    }
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (directory / "tokenizer_config.json").write_text(text + "\n", "utf-8")


def _texts(seed: int, problems: int) -> Iterator[str]:
    # Problems alone use few words; common ones let other text be written in fewer tokens.
    common = resources.files("tiny_r1").joinpath("common_words.txt").read_text("utf-8").split()
    for word in common * 20:
        yield f" {word}" if word.isascii() else word
    for index in range(problems):
        problem = training_problem(Random(f"tokenizer {seed} {index}"))
        yield problem.question
        yield problem.thought
        yield problem.reply
