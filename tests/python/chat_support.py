"""What the chat tests share: a small tokenizer with R1's added tokens, and the real ones' place."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from pathlib import Path

import pytest
import tokenizers
from hypothesis import settings
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from pocketr1.chat import Tokenizer, load_tokenizer

# A slow machine is no failure.
settings.register_profile("chat", deadline=None)
settings.load_profile("chat")

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("POCKETR1_DATA", ROOT.parent / "shared" / "data"))

# The added tokens of DeepSeek-R1-Distill-Qwen: text, id, special.
R1_ADDED = [
    ("<｜end▁of▁sentence｜>", 151643, True),
    ("<｜User｜>", 151644, False),
    ("<｜Assistant｜>", 151645, False),
    ("<｜begin▁of▁sentence｜>", 151646, True),
    ("<|EOT|>", 151647, False),
    ("<think>", 151648, False),
    ("</think>", 151649, False),
]
CORPUS = [
    "Let me think about it. The answer is 42, because 6 * 7 = 42.\n\n    indented code\n",
    "滿紙荒唐言，一把辛酸淚！都云作者痴，誰解其中味？ 中文和 English 混排 👩‍👩‍👧 é ñ",
] * 4


def data_path(*parts: str) -> Path:
    """Return a path in the shared data; skip the test where it is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {path} (set POCKETR1_DATA)")
    return path


@functools.cache
def _small_json() -> str:
    """A byte-level BPE of about 400 pieces, filled up so that R1's added tokens keep their ids."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tree = json.loads(tokenizer.to_str())
    vocab = tree["model"]["vocab"]
    vocab.update({f"unused {i}": i for i in range(len(vocab), R1_ADDED[0][1])})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tree["added_tokens"] = [
        {"id": i, "content": text, "special": special, **flags} for text, i, special in R1_ADDED
    ]
    return json.dumps(tree, ensure_ascii=False)


def write_small_model(directory: Path, template: str | None = None) -> Path:
    """Write the small tokenizer's files, and a chat template where one is given."""
    (directory / "tokenizer.json").write_text(_small_json(), encoding="utf-8")
    config: dict[str, object] = {
        "add_bos_token": True,
        "bos_token": {"__type": "AddedToken", "content": "<｜begin▁of▁sentence｜>"},
        "eos_token": "<｜end▁of▁sentence｜>",
    }
    if template is not None:
        config["chat_template"] = template
    text = json.dumps(config, ensure_ascii=False)
    (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return directory


@functools.cache
def small_tokenizer() -> Tokenizer:
    """Return the small tokenizer."""
    with tempfile.TemporaryDirectory() as directory:
        return load_tokenizer(write_small_model(Path(directory)))


@functools.cache
def _real_tokenizer(directory: Path) -> Tokenizer:
    return load_tokenizer(directory)


def real_tokenizer() -> Tokenizer:
    """Return DeepSeek-R1-Distill-Qwen's tokenizer; skip where it is missing."""
    return _real_tokenizer(data_path("tokenizers", "deepseek-r1-distill-qwen"))
