"""What calibration needs to know of the inputs of linear layers, gathered in bounded memory."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gram", "GramObserver", "Observer", "scaled"]

_BUFFERED = 1024  # rows: so many are multiplied at once
_BLOCK = 512  # columns of a strip of the product


class Observer(Protocol):
    """Sees the inputs of linear layers, as :meth:`PartialModel.forward` shows them."""

    def __call__(self, name: str, rows: NDArray[np.float32]) -> None:
        """Take the next rows, float32 of shape (rows, inputs), that the weight ``name`` reads."""


class Gram:
    """The Gram matrix of one layer's inputs: the mean of ``x x^T`` over its rows ``x``.

    It is float32 of shape (inputs, inputs), and with the buffer of rows all that is kept.
    """

    def __init__(self, inputs: int) -> None:
        """Begin with no rows."""
        self.count = 0
        self._sum = np.zeros((inputs, inputs), np.float32)
        self._buffer = np.empty((_BUFFERED, inputs), np.float32)
        self._filled = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take rows, float32 of shape (rows, inputs)."""
        while len(rows):
            taken = rows[: _BUFFERED - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == _BUFFERED:
                self._multiply()

    def take(self) -> NDArray[np.float32]:
        """Return the matrix, whole and symmetric; this object is empty afterwards.

        Raises ValueError where there was no row.
        """
        self._multiply()
        if not self.count:
            raise ValueError("no row was seen")
        matrix, self._sum = self._sum, np.zeros((0, 0), np.float32)
        size = len(matrix)
        for begin in range(0, size, _BLOCK):
            strip = slice(begin, begin + _BLOCK)
            matrix[strip, begin:] /= self.count
            block = matrix[strip, strip]
            block[:] = np.triu(block) + np.triu(block, 1).T
            matrix[begin + _BLOCK :, strip] = matrix[strip, begin + _BLOCK :].T
        return matrix

    def _multiply(self) -> None:
        """Add the buffered rows to the upper triangle."""
        rows = self._buffer[: self._filled]
        for begin in range(0, len(self._sum), _BLOCK):
            strip = slice(begin, begin + _BLOCK)
            self._sum[strip, begin:] += rows[:, strip].T @ rows[:, begin:]
        self.count += self._filled
        self._filled = 0


def scaled(gram: NDArray[np.float32], factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a Gram matrix, changed in place, as it is where inputs are divided by ``factors``."""
    gram /= factors
    gram /= factors[:, None]
    return gram


class GramObserver:
    """Gathers the Gram matrix of every input it is shown."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.grams: dict[str, Gram] = {}

    def __call__(self, name: str, rows: NDArray[np.float32]) -> None:
        """Take the next rows that the weight ``name`` reads."""
        gram = self.grams.get(name)
        if gram is None:
            gram = self.grams[name] = Gram(rows.shape[1])
        gram.add(rows)
