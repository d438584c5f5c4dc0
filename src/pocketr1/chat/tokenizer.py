"""Text to token ids and back, behind one interface of ours.

The ``tokenizers`` library does the work today; it has no Android wheel, so nothing outside this
file knows it. Two encoders stand side by side:

- ``encode_text`` knows no added token at all. R1's ``<think>``, ``<｜User｜>`` and the rest are
  added tokens, most of them not even marked special, so a usual ``encode`` lets whoever writes the
  text forge the end of a turn or of a thought. Here they come out as ordinary letters.
- ``encode_markup`` recognises them: for text that we or the model's template wrote.

Neither adds a beginning-of-sequence token.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import tokenizers

from pocketr1 import _core
from pocketr1.errors import ChatError

__all__ = ["AddedToken", "Tokenizer", "load_tokenizer"]

# The largest published tokenizer.json of a text model is near 35 MB; configurations are kilobytes.
_MAX_TOKENIZER_BYTES = 64 << 20
_MAX_CONFIG_BYTES = 4 << 20
# Characters from which on encoding takes milliseconds.
_LONG_TEXT = 4096


@dataclass(frozen=True)
class AddedToken:
    """A string that markup turns into one id; the flags are those of ``tokenizer.json``.

    special: left out of shown text.
    left_strip, right_strip: swallows white space on that side.
    single_word: counts only where no word character touches it.
    """

    content: str
    id: int
    special: bool = False
    left_strip: bool = False
    right_strip: bool = False
    single_word: bool = False


class Tokenizer(Protocol):
    """What the rest of the package asks of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id, added tokens included."""
        ...

    @property
    def added_tokens(self) -> Mapping[str, AddedToken]:
        """The added tokens by their text."""
        ...

    @property
    def special_ids(self) -> frozenset[int]:
        """The added tokens marked special: skipped in shown text."""
        ...

    @property
    def bos_token(self) -> str | None:
        """The text of the beginning-of-sequence token."""
        ...

    @property
    def bos_id(self) -> int | None:
        """The id of the beginning-of-sequence token."""
        ...

    @property
    def eos_token(self) -> str | None:
        """The text of the end-of-sequence token."""
        ...

    @property
    def eos_id(self) -> int | None:
        """The id of the end-of-sequence token."""
        ...

    @property
    def adds_bos(self) -> bool:
        """Whether a raw prompt of this model starts with ``bos_id``."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of ``text``, none of them an added token's."""
        ...

    def encode_markup(self, text: str) -> list[int]:
        """Return the ids of trusted ``text``, added tokens recognised, no token put in front."""
        ...

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids of a raw prompt: ``encode_text``, behind the BOS where there is one."""
        ...

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token, added or ordinary, or None."""
        ...

    def decode_bytes(self, token_id: int) -> bytes | None:
        """Return the bytes of one token; None where a token alone has none (not byte-level)."""
        ...

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """Return the text of ``ids``; broken UTF-8 becomes U+FFFD."""
        ...


def load_tokenizer(directory: str | Path) -> Tokenizer:
    """Load ``tokenizer.json`` (and ``tokenizer_config.json``, where present) of a model directory.

    R1-Distill-Qwen's takes about 0.25 s; the encoder without added tokens shares its model and
    costs nothing more.

    Raises ChatError: ``tokenizer-missing``, ``tokenizer-damaged``, ``tokenizer-too-large``.
    """
    tokenizer = _LibraryTokenizer(Path(directory))
    # Parsing leaves some 20 MB of freed memory in the C library's hands.
    _core.trim_memory()
    return tokenizer


def read_limited(path: Path, limit: int) -> bytes:
    """Return a file's bytes, at most ``limit`` of them.

    Raises ChatError: ``tokenizer-missing``, ``tokenizer-damaged`` (unreadable),
    ``tokenizer-too-large``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ChatError("tokenizer-missing", where=str(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ChatError("tokenizer-damaged", where=str(path), reason=reason) from error
    if len(data) > limit:
        raise ChatError("tokenizer-too-large", where=str(path), limit=limit >> 20)
    return data


def read_tokenizer_config(directory: Path) -> dict[str, Any]:
    """Return ``tokenizer_config.json`` as a dictionary, empty where the file is missing.

    Raises ChatError: ``tokenizer-damaged``, ``tokenizer-too-large``.
    """
    path = directory / "tokenizer_config.json"
    if not path.exists():
        return {}
    try:
        config = json.loads(read_limited(path, _MAX_CONFIG_BYTES).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ChatError("tokenizer-damaged", where=str(path), reason=_short(error)) from error
    if not isinstance(config, dict):
        raise ChatError("tokenizer-damaged", where=str(path), reason="not a JSON object")
    return config


class _LibraryTokenizer:
    """A tokenizer of the ``tokenizers`` library."""

    def __init__(self, directory: Path) -> None:
        path = directory / "tokenizer.json"
        data = read_limited(path, _MAX_TOKENIZER_BYTES)
        self._markup = _parse(path, data)
        # Some files carry the truncation of a training run; it would cut prompts silently.
        self._markup.no_truncation()
        self._markup.no_padding()
        added = [
            AddedToken(t.content, i, t.special, t.lstrip, t.rstrip, t.single_word)
            for i, t in sorted(self._markup.get_added_tokens_decoder().items())
        ]
        self._added = MappingProxyType({t.content: t for t in added})
        self._added_bytes = {t.id: t.content.encode("utf-8") for t in added}
        self._special = frozenset(t.id for t in added if t.special)
        self._plain = self._without_added_tokens(path, data)
        ids = (t.id for t in added)
        self._vocab_size = max(self._plain.get_vocab_size(), max(ids, default=-1) + 1)
        self._byte_level = _decodes_bytes(self._markup)
        config = read_tokenizer_config(directory)
        self._bos_token = self._configured(config, "bos_token")
        self._eos_token = self._configured(config, "eos_token")
        adds = config.get("add_bos_token")
        if not isinstance(adds, bool):
            adds = self._bos_token is not None and self._markup.encode("").ids[:1] == [self.bos_id]
        self._adds_bos = adds and self._bos_token is not None

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @property
    def added_tokens(self) -> Mapping[str, AddedToken]:
        return self._added

    @property
    def special_ids(self) -> frozenset[int]:
        return self._special

    @property
    def bos_token(self) -> str | None:
        return self._bos_token

    @property
    def bos_id(self) -> int | None:
        return None if self._bos_token is None else self.token_to_id(self._bos_token)

    @property
    def eos_token(self) -> str | None:
        return self._eos_token

    @property
    def eos_id(self) -> int | None:
        return None if self._eos_token is None else self.token_to_id(self._eos_token)

    @property
    def adds_bos(self) -> bool:
        return self._adds_bos

    def encode_text(self, text: str) -> list[int]:
        return _encode(self._plain, text)

    def encode_markup(self, text: str) -> list[int]:
        return _encode(self._markup, text)

    def encode_prompt(self, text: str) -> list[int]:
        bos = [self.bos_id] if self._adds_bos and self.bos_id is not None else []
        return bos + self.encode_text(text)

    def token_to_id(self, token: str) -> int | None:
        found: int | None = self._markup.token_to_id(token)
        return found

    def decode_bytes(self, token_id: int) -> bytes | None:
        added = self._added_bytes.get(token_id)
        if added is not None:
            return added
        if not self._byte_level:
            return None
        # Ids past the vocabulary exist: embeddings are padded to round sizes. They say nothing.
        token = self._markup.id_to_token(token_id) if 0 <= token_id < 1 << 32 else None
        return b"" if token is None else _token_bytes(token)

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        kept = [i for i in ids if not (skip_special and i in self._special)]
        if not self._byte_level:
            return str(self._markup.decode(kept, skip_special_tokens=False))
        return b"".join(self.decode_bytes(i) or b"" for i in kept).decode("utf-8", "replace")

    def _configured(self, config: dict[str, Any], name: str) -> str | None:
        value = config.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        return value if isinstance(value, str) and self.token_to_id(value) is not None else None

    def _without_added_tokens(self, path: Path, data: bytes) -> tokenizers.Tokenizer:
        plain = tokenizers.Tokenizer(self._markup.model)
        if any(plain.token_to_id(content) is not None for content in self._added):
            # Added tokens that also lie in the model's own vocabulary could be met as plain text.
            plain = _parse(path, _hide_added_tokens(json.loads(data)))
        if self._markup.normalizer is not None:
            plain.normalizer = self._markup.normalizer
        if self._markup.pre_tokenizer is not None:
            plain.pre_tokenizer = self._markup.pre_tokenizer
        return plain


def _parse(path: Path, data: bytes) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(data)
    except BaseException as error:
        # The library raises bare Exception, and a panic of its Rust code is none even of those.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ChatError("tokenizer-damaged", where=str(path), reason=_short(error)) from error


def whole_characters(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a surrogate pair, which has no UTF-8 form."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _encode(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    text = whole_characters(text)
    if len(text) < _LONG_TEXT:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids
    # The library gives up the interpreter's lock in this one alone. Held for the seconds that a
    # book takes, it would stop the server's loop and the engine's thread.
    (encoded,) = tokenizer.encode_batch([text], add_special_tokens=False)
    return list(encoded.ids)


def _hide_added_tokens(tree: dict[str, Any]) -> bytes:
    """Return a ``tokenizer.json`` whose model cannot produce its added tokens; ids stay."""
    model = tree["model"]
    hidden = {t["content"] for t in tree["added_tokens"]} - {model.get("unk_token")}
    tree.update(added_tokens=[], post_processor=None, truncation=None, padding=None)

    # Names no writer of text can know.
    names = {piece: f"{secrets.token_hex(16)}-{n}" for n, piece in enumerate(hidden)}

    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): i for piece, i in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "merges" in model:
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        model["merges"] = [p for p in pairs if not hidden & {p[0], p[1], p[0] + p[1]}]
    return json.dumps(tree, ensure_ascii=False).encode("utf-8")


def _byte_alphabet() -> dict[str, int]:
    """The byte-level alphabet of GPT-2: printable Latin-1 as it is, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


_BYTES = _byte_alphabet()


def _token_bytes(token: str) -> bytes:
    try:
        return bytes(_BYTES[c] for c in token)
    except KeyError:
        return token.encode("utf-8")  # not in the alphabet: the library takes the text itself


def _decodes_bytes(tokenizer: tokenizers.Tokenizer) -> bool:
    decoder = tokenizer.decoder
    # "Ġ" is the space and "ä½ł" the character 你 in the byte-level alphabet, and nowhere else.
    return decoder is not None and decoder.decode(["Ġ", "ä½ł"]) == " 你"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
