"""What to do about an error, where the command line knows more than the room that raised it."""

from __future__ import annotations

import re

from pocketr1 import messages
from pocketr1.errors import PocketR1Error

__all__ = ["PULLED", "mend_of"]

#: The short names `pull` knows. Not taken from its room, which no other command loads.
PULLED = frozenset({"r1-1.5b", "r1-7b", "r1-llama-8b", "r1-qwen3-8b", "r1-14b", "r1-32b"})
# Codes, and the parameter that holds the name.
_MISSING = {"model-missing": "path", "checkpoint-not-found": "where"}


def mend_of(error: PocketR1Error) -> str:
    """Return what to do: to pull the model where one that ``pull`` knows is missing."""
    if error.code in _MISSING:
        # The names that pull gives: r1-1.5b, and r1-1.5b-int4 where it compresses.
        name = re.fullmatch(r"(.+?)(?:-int([84]))?", str(error.params.get(_MISSING[error.code])))
        if name and name[1] in PULLED:
            return messages.text("cli-hint-pull", alias=name[1], bits=name[2] or 4)
    return error.mend
