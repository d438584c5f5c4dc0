"""What bundle.json records of the tokenizer's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pocketr1.checkpoint import CompanionFile

__all__ = ["tokenizer_record"]


def tokenizer_record(files: Iterable[CompanionFile]) -> dict[str, Any]:
    """Return sizes and hashes of the files, and the hash of the chat template.

    The template is ``chat_template.jinja`` or the ``chat_template`` of ``tokenizer_config.json``,
    hashed as UTF-8 text; null where there is none, or several by name.
    """
    rows: dict[str, Any] = {}
    template: str | None = None
    for path in files:
        data = path.read_bytes()
        rows[path.name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if path.name == "chat_template.jinja":
            template = rows[path.name]["sha256"]
        elif path.name == "tokenizer_config.json" and template is None:
            template = _template_hash(data)
    return {"files": rows, "chat_template_sha256": template}


def _template_hash(config: bytes) -> str | None:
    try:
        text = json.loads(config).get("chat_template")
    except (ValueError, AttributeError):
        return None  # the tokenizer's reader says so when the bundle is used
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None
