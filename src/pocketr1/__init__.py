"""Pocket R1: DeepSeek-R1's distilled models on a phone, offline.

    import pocketr1
    pocketr1.Quantizer("r1-1.5b", output_path="r1-1.5b-int4", bits=4, group_size=64).run()
    engine = pocketr1.load("r1-1.5b-int4", threads=2)   # bundle, checkpoint directory, or "tiny"
    engine.logits(ids)                                  # float32 array (len(ids), vocab_size)
    for token in engine.generate(ids, pocketr1.Sampling(temperature=0.0), max_tokens=64): ...
    chat = pocketr1.Chat(engine); reply = chat.send("…"); reply.reasoning; reply.answer

Everything public is in ``__all__``; it is imported when first used, so that ``import pocketr1`` and
the command's ``--help`` stay fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketr1._core import isas
    from pocketr1.chat import Chat, Delta, Reply
    from pocketr1.compress import Quantizer, import_gguf
    from pocketr1.engine import (
        Care,
        Engine,
        Generation,
        Governor,
        Sampling,
        Sequence,
        Speculation,
        Token,
        inspect,
        load,
    )
    from pocketr1.errors import (
        BundleError,
        CancelledError,
        ChatError,
        CheckpointError,
        CompressionError,
        ContextFullError,
        EngineError,
        HubError,
        PocketR1Error,
        UsageError,
    )
    from pocketr1.messages import set_language

__all__ = [
    "BundleError",
    "CancelledError",
    "Care",
    "Chat",
    "ChatError",
    "CheckpointError",
    "CompressionError",
    "ContextFullError",
    "Delta",
    "Engine",
    "EngineError",
    "Generation",
    "Governor",
    "HubError",
    "PocketR1Error",
    "Quantizer",
    "Reply",
    "Sampling",
    "Sequence",
    "Speculation",
    "Token",
    "UsageError",
    "__version__",
    "import_gguf",
    "inspect",
    "isas",
    "load",
    "set_language",
]

__version__ = "0.1.0"

_HOMES = {
    "pocketr1._core": ("isas",),
    "pocketr1.chat": ("Chat", "Delta", "Reply"),
    "pocketr1.compress": ("Quantizer", "import_gguf"),
    "pocketr1.engine": (
        "Care",
        "Engine",
        "Generation",
        "Governor",
        "Sampling",
        "Sequence",
        "Speculation",
        "Token",
        "inspect",
        "load",
    ),
    "pocketr1.errors": (
        "BundleError",
        "CancelledError",
        "ChatError",
        "CheckpointError",
        "CompressionError",
        "ContextFullError",
        "EngineError",
        "HubError",
        "PocketR1Error",
        "UsageError",
    ),
    "pocketr1.messages": ("set_language",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pocketr1' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
