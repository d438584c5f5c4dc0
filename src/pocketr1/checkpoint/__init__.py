"""Source checkpoints: Hugging Face safetensors directories, read in slabs of rows."""

from __future__ import annotations

from pocketr1.checkpoint.checkpoint import Checkpoint, as_float32, open
from pocketr1.checkpoint.tensors import TensorInfo

__all__ = ["Checkpoint", "TensorInfo", "as_float32", "open"]
