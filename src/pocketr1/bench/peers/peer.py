"""What a file of this folder provides, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["LoadOptions", "Peer", "PeerModule", "Times"]


@dataclass(frozen=True)
class LoadOptions:
    """threads: to compute with; context: tokens each sequence may hold; sequences: at once.

    kv_format and isa are ours alone: peers take what they do best with.
    """

    threads: int
    context: int
    sequences: int = 1
    kv_format: str = "f16"
    isa: str | None = None


@dataclass(frozen=True)
class Times:
    """One ``generate``. first_s: from the prompts' ids to everyone's first token; decode_s: from
    there to everyone's last; tokens: how many each prompt got, the first included.
    """

    first_s: float
    decode_s: float
    tokens: tuple[int, ...]


class Peer(Protocol):
    """One loaded model."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors: codes, scales, zero points; not the tokenizer."""
        ...

    @property
    def settings(self) -> dict[str, str]:
        """What was set, for the report: short names and values."""
        ...

    @property
    def vocab_size(self) -> int:
        """Ids to draw random prompts from."""
        ...

    def generate(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Continue every prompt by exactly ``tokens`` tokens, all together.

        The likeliest token each, computed one step after the other; end-of-text is ignored, and
        nothing is reused from a call before.
        """
        ...


class PeerModule(Protocol):
    """A file of this folder."""

    def find(self, directory: Path) -> list[Path]:
        """Return the models below ``directory`` that this engine reads, sorted."""
        ...

    def files(self, model: Path) -> list[Path]:
        """Return the files that loading ``model`` reads."""
        ...

    def versions(self) -> dict[str, str]:
        """Import the engine and return its versions; ImportError where it is not installed."""
        ...

    def open(self, model: Path, options: LoadOptions) -> Peer:
        """Load a model. Raises ValueError for a job the engine cannot do, as (what)."""
        ...
