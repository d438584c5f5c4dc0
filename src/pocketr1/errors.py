"""Every error a user can meet.

PocketR1Error
├── UsageError          an option or argument is wrong (exit code 2)
├── CheckpointError     the source checkpoint cannot be read
├── BundleError         a bundle is damaged, foreign or incomplete
├── CompressionError    compression cannot start or go on
├── HubError            a model hub does not give what was asked for
├── EngineError         loading or running a model failed
│   ├── ContextFullError    the context is full
│   └── CancelledError      the caller cancelled
├── ChatError           tokenizer, chat template or conversation
│   └── HistoryError        the store of conversations
└── ServerError         the server cannot start, or cannot do what a request asks
    └── BusyError           there is no room for a request now

An error carries a stable ``code`` (a slug such as ``checkpoint-pickle``) and parameters; its text
is looked up in :mod:`pocketr1.messages`, in English or Chinese, as what is wrong and what to do.
"""

from __future__ import annotations

from pocketr1 import messages

__all__ = [
    "BundleError",
    "BusyError",
    "CancelledError",
    "ChatError",
    "CheckpointError",
    "CompressionError",
    "ContextFullError",
    "EngineError",
    "HistoryError",
    "HubError",
    "PocketR1Error",
    "ServerError",
    "UsageError",
    "from_core",
]


class PocketR1Error(Exception):
    """Base of all errors: ``code`` is stable, ``params`` fill the message.

    ``str(error)`` is "what is wrong. What to do." in the current language.
    """

    exit_code = 1

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params

    @property
    def what(self) -> str:
        """What is wrong, and where."""
        return messages.text(self.code, "what", **self.params)

    @property
    def mend(self) -> str:
        """What to do about it."""
        return messages.text(self.code, "mend", **self.params)

    def __str__(self) -> str:
        space = "" if messages.language() == "zh" else " "
        return f"{self.what}{space}{self.mend}".strip()


class UsageError(PocketR1Error):
    """An option or argument is wrong."""

    exit_code = 2


class CheckpointError(PocketR1Error):
    """The source checkpoint cannot be read."""


class BundleError(PocketR1Error):
    """A bundle is damaged, foreign or incomplete."""


class CompressionError(PocketR1Error):
    """Compression cannot start or go on."""


class HubError(PocketR1Error):
    """A model hub does not give what was asked for."""


class EngineError(PocketR1Error):
    """Loading or running a model failed."""


class ContextFullError(EngineError):
    """The sequence has reached the context the session was opened with."""


class CancelledError(EngineError):
    """The caller cancelled the work."""


class ChatError(PocketR1Error):
    """Tokenizer, chat template or conversation."""


class HistoryError(ChatError):
    """The store of conversations: it cannot be used, or lacks what was asked for."""


class ServerError(PocketR1Error):
    """The server cannot start, or cannot do what a request asks."""


class BusyError(ServerError):
    """There is no room for a request now; ``retry_after`` is when to ask again, in seconds."""

    def __init__(self, code: str, *, retry_after: int, **params: object) -> None:
        super().__init__(code, retry_after=retry_after, **params)
        self.retry_after = retry_after


_CORE_CLASSES: dict[str, type[PocketR1Error]] = {
    "safetensors": CheckpointError,
    "bundle": BundleError,
    "quantize": CompressionError,
    "context-full": ContextFullError,
    "cancelled": CancelledError,
    "usage": UsageError,
}


def from_core(code: str, where: str, reason: str) -> PocketR1Error:
    """Return the error for one the core raised: ``code``, the place it names, and its reason.

    The class follows the code, or its first word (``bundle-invalid`` is a BundleError).
    """
    cls = _CORE_CLASSES.get(code) or _CORE_CLASSES.get(code.split("-")[0], EngineError)
    return cls(code, where=where, reason=reason)
