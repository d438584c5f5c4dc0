"""What a tensor in another encoding than f32, f16 or bf16 can be asked for."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Decoder"]


class Decoder(Protocol):
    """Turns a tensor that a file holds encoded into rows of weights."""

    @property
    def dtype(self) -> str:
        """The type of what ``rows`` gives: ``f32``, ``f16`` or ``bf16``."""
        ...

    @property
    def exact_format(self) -> str | None:
        """The weight format that holds the tensor without change ("w8g32"), or None."""
        ...

    def rows(self, begin: int, end: int) -> NDArray[Any]:
        """Return rows ``[begin, end)`` as ``Checkpoint.read_rows`` gives them.

        Raises:
            CheckpointError: the file cannot be read, or holds values that are no weights.
        """
        ...

    def codes(
        self, begin: int, end: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Return codes (rows, cols), scales and zeros (rows, groups) as ``_core.pack_rows`` takes.

        Only where there is an ``exact_format``.

        Raises:
            CheckpointError: the file cannot be read, or holds codes that the format has no place
                for.
        """
        ...
