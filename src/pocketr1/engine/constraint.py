"""What an answer must look like, as the engine asks for it, token by token."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Constraint"]


class Constraint(Protocol):
    """Allows or forbids the tokens of one answer; a grammar's state is one.

    For each token the engine calls ``mask``, draws, and calls ``accept`` with what was drawn, which
    ``mask`` allowed; an end-of-text token ends the answer and is not accepted. Only the answer is
    asked about: neither the thought nor the tags and empty line behind it, nor a token that was
    given (forced). Every call comes from the engine's thread. One answer has one constraint, which
    is not used again; an answer that is computed anew after its pages were taken goes on with the
    state it had.
    """

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        """Set the logits of tokens that must not come next to ``-inf``, in place; shape (vocab,).

        End-of-text tokens stay where the answer may end here, and go where it may not. ``vocab`` is
        the model's: its padding, which the tokenizer does not know, goes as well.
        """
        ...

    def accept(self, token: int) -> None:
        """Take the token that came."""
        ...

    @property
    def must_end(self) -> bool:
        """Whether nothing but the end may follow: the answer is whole, and ends here."""
        ...
