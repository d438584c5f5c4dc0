"""User-facing texts, in English and Chinese.

Each room keeps its texts in a module of this package: a dictionary from a stable code to a
:class:`~pocketr1.messages.catalog.Text`. The language is set by ``set_language``, by ``--lang``, or
taken from the locale.
"""

from __future__ import annotations

import os

from pocketr1.messages import (
    bench,
    budget,
    bundle,
    chat,
    checkpoint,
    cli,
    cli_help,
    compress,
    distill,
    doctor,
    engine,
    evaluate,
    export,
    gguf,
    governor,
    guard,
    history,
    hub,
    kvstore,
    measure,
    privacy,
    scheduler,
    server,
    talk,
)
from pocketr1.messages.catalog import Text

__all__ = ["CATALOG", "LANGUAGES", "Text", "language", "set_language", "text"]

LANGUAGES = ("en", "zh")

CATALOG: dict[str, Text] = {
    **checkpoint.TEXTS,
    **gguf.TEXTS,
    **bundle.TEXTS,
    **compress.TEXTS,
    **distill.TEXTS,
    **engine.TEXTS,
    **kvstore.TEXTS,
    **governor.TEXTS,
    **scheduler.TEXTS,
    **budget.TEXTS,
    **chat.TEXTS,
    **history.TEXTS,
    **measure.TEXTS,
    **evaluate.TEXTS,
    **export.TEXTS,
    **hub.TEXTS,
    **doctor.TEXTS,
    **bench.TEXTS,
    **cli.TEXTS,
    **talk.TEXTS,
    **cli_help.TEXTS,
    **server.TEXTS,
    **guard.TEXTS,
    **privacy.TEXTS,
}
_language: str | None = None


def _locale_language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def language() -> str:
    """Return the current language, ``"en"`` or ``"zh"``."""
    return _language or _locale_language()


def set_language(code: str | None) -> None:
    """Set the language of all texts; ``None`` goes back to the locale's."""
    global _language
    if code is not None and code not in LANGUAGES:
        raise ValueError(f"language must be one of {LANGUAGES}, not {code!r}")
    _language = code


def text(code: str, field: str = "what", **params: object) -> str:
    """Return a text of ``code`` in the current language: ``field`` is ``what`` or ``mend``."""
    entry = CATALOG[code]
    template: str = getattr(entry, f"{field}_{language()}")
    return template.format(**params)
