"""GGUF files: read strictly, described as a model, decoded in slabs of rows."""

from __future__ import annotations

from pathlib import Path

from pocketr1.checkpoint.gguf.container import MAGIC, GgufFile, read_header
from pocketr1.checkpoint.gguf.model import GgufModel, read_model
from pocketr1.checkpoint.gguf.tokenizer import tokenizer_files

__all__ = ["GgufFile", "GgufModel", "is_gguf", "read_header", "read_model", "tokenizer_files"]


def is_gguf(path: Path) -> bool:
    """Whether ``path`` is a file that says to be GGUF, by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".gguf":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # whoever opens it says why it cannot
