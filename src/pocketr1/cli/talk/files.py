"""A conversation saved as a file."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from pocketr1.chat.history import Conversation, document_of, markdown
from pocketr1.errors import UsageError

__all__ = ["default_name", "save"]

_MARKDOWN = (".md", ".markdown", ".txt")


def default_name(conversation: Conversation) -> str:
    """Return a file name made of the title."""
    words = re.findall(r"\w+", conversation.title)
    return ("-".join(words)[:40].strip("-_") or "conversation") + ".md"


def save(conversation: Conversation, path: Path) -> None:
    """Write it as Markdown, or JSON that can be imported, as the suffix says.

    The file is there whole or not at all. Raises UsageError (``cli-chat-save-suffix``) and OSError.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps(document_of(conversation), ensure_ascii=False, indent=1, allow_nan=False)
    elif suffix in _MARKDOWN:
        text = markdown(conversation)
    else:
        raise UsageError("cli-chat-save-suffix", path=path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
