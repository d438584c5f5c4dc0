"""How text is cut before byte-pair encoding: the ``tokenizer.ggml.pre`` of GGUF.

Each row is what the models' own ``tokenizer.json`` say. llama.cpp's converter chooses the name by
what a model's tokenizer does to a test text, so that a name stands for one behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BY_NAME", "PreTokenizer", "known_names", "matching"]

# Contractions, letters with one other character before them, digits, other signs, line ends, space.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class PreTokenizer:
    """names: in GGUF, the one to write first. split: None is GPT-2's own way to cut.

    adds_bos: texts begin with a token where the file does not say whether they do.
    """

    names: tuple[str, ...]
    split: str | None
    nfc: bool  # text becomes NFC first
    ignore_merges: bool  # a piece that is a token is one, whatever its merges give
    adds_bos: bool = False

    def normalizer(self) -> dict[str, Any] | None:
        """The ``normalizer`` of tokenizer.json."""
        return {"type": "NFC"} if self.nfc else None

    def pre_tokenizer(self) -> dict[str, Any]:
        """The ``pre_tokenizer`` of tokenizer.json."""
        bytes_ = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": self.split is None,
        }
        if self.split is None:
            return bytes_
        cut = {
            "type": "Split",
            "pattern": {"Regex": self.split},
            "behavior": "Isolated",
            "invert": False,
        }
        return {"type": "Sequence", "pretokenizers": [cut, bytes_]}


_ROWS = (
    PreTokenizer(
        ("qwen2", "deepseek-r1-qwen"), _SPLIT.format(digits=r"\p{N}"), nfc=True, ignore_merges=False
    ),
    PreTokenizer(
        ("llama-bpe", "llama3", "llama-v3"),
        _SPLIT.format(digits=r"\p{N}{1,3}"),
        nfc=False,
        ignore_merges=True,
        adds_bos=True,
    ),
    PreTokenizer(("gpt-2",), None, nfc=False, ignore_merges=False),
)
BY_NAME: Mapping[str, PreTokenizer] = {name: row for row in _ROWS for name in row.names}


def known_names() -> str:
    """Return the names that are read, for a message."""
    return ", ".join(BY_NAME)


def matching(tree: Mapping[str, Any]) -> PreTokenizer | None:
    """Return the row that a tokenizer.json is cut by, or None where no name stands for it."""
    pre = tree.get("pre_tokenizer")
    steps = pre.get("pretokenizers", [pre]) if isinstance(pre, dict) else []
    cuts = [step for step in steps if isinstance(step, dict) and step.get("type") == "Split"]
    if not steps or steps[-1].get("type") != "ByteLevel" or len(cuts) + 1 != len(steps):
        return None
    if steps[-1].get("add_prefix_space"):
        return None
    split = cuts[0]["pattern"].get("Regex") if len(cuts) == 1 else None
    if len(cuts) > 1 or (cuts and (split is None or cuts[0].get("invert"))):
        return None
    if bool(steps[-1].get("use_regex", True)) != (split is None):
        return None
    return next((row for row in _ROWS if row.split == split), None)
