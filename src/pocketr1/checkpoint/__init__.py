"""Source checkpoints: Hugging Face directories and GGUF files, read in slabs of rows."""

from __future__ import annotations

from pocketr1.checkpoint.checkpoint import Checkpoint, as_float32, open
from pocketr1.checkpoint.decoder import Decoder
from pocketr1.checkpoint.files import CompanionFile
from pocketr1.checkpoint.gguf import is_gguf
from pocketr1.checkpoint.tensors import TensorInfo

__all__ = [
    "Checkpoint",
    "CompanionFile",
    "Decoder",
    "TensorInfo",
    "as_float32",
    "is_gguf",
    "open",
]
