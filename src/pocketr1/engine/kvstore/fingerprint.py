"""What keys and values depend on, as a hash; and the chained hash of a prompt's pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketr1 import __version__

if TYPE_CHECKING:
    from pocketr1.engine.tokens import TokenArray

__all__ = ["PAGE_TOKENS", "Identity", "describe_files", "page_keys", "page_tokens"]

#: Tokens of one page, in the core and in the store.
PAGE_TOKENS = 64

# Goes up whenever the core lays pages out otherwise, or computes other bits.
_LAYOUT = 1
_HEADER = 1 << 16  # bytes hashed from a file's beginning, where its header is
_SAMPLES, _SAMPLE = 16, 4096  # and at places spread over it


@dataclass(frozen=True)
class Identity:
    """Whose pages they are.

    fingerprint: SHA-256 of all that keys and values depend on beside the tokens.
    name: the model's, for people. page_bytes: of a page of 64 tokens, all layers.
    """

    fingerprint: bytes
    name: str
    kv_format: str
    page_bytes: int

    @classmethod
    def of(
        cls,
        path: Path,
        files: Mapping[str, Any],
        *,
        tokenizer: str | None,
        kv_format: str,
        page_bytes: int,
        adapters: Mapping[str, str],
        other_input: str | None = None,
    ) -> Identity:
        """Return the identity of a loaded model.

        files: what :func:`describe_files` gave when it was loaded. tokenizer: the hash of its file.
        adapters: a hash of each tensor's. other_input: a hash of what the model is shown beside
        text; there is nothing of the kind yet.
        """
        about = {
            "layout": _LAYOUT,
            "version": __version__,
            "files": files,
            "tokenizer": tokenizer,
            "kv_format": kv_format,
            "page_bytes": page_bytes,
            "adapters": dict(adapters),
            "other_input": other_input,
        }
        encoded = json.dumps(about, sort_keys=True).encode()
        name = path.resolve().name
        return cls(hashlib.sha256(encoded).digest(), name, kv_format, page_bytes)


def describe_files(path: Path) -> dict[str, Any]:
    """Return what tells a model's files from others.

    A bundle's are named by the hashes that bundle.json holds of every chunk; a checkpoint, which
    has none, by sizes and times of its files. Of both, headers and samples are hashed as well.
    Raises OSError.
    """
    bundle = path / "bundle.json"
    is_bundle = bundle.is_file()
    described: dict[str, Any] = {"kind": "bundle" if is_bundle else "checkpoint"}
    for small in ("bundle.json",) if is_bundle else ("config.json", "generation_config.json"):
        file = path / small
        if file.is_file():
            described[small] = hashlib.sha256(file.read_bytes()).hexdigest()
    for file in sorted(path.rglob("*.safetensors")):
        found = file.stat()
        row: list[Any] = [found.st_size, _sampled(file, found.st_size)]
        described[str(file.relative_to(path))] = row if is_bundle else [*row, found.st_mtime_ns]
    return described


def _sampled(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_HEADER))
        for number in range(_SAMPLES):
            file.seek(max(0, (size - _SAMPLE) * (number + 1) // _SAMPLES))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def page_tokens(ids: TokenArray, page: int) -> bytes:
    """Return the 64 ids of a page as int32, little-endian: 256 bytes."""
    return ids[page * PAGE_TOKENS : (page + 1) * PAGE_TOKENS].astype("<i4").tobytes()


def page_keys(fingerprint: bytes, ids: TokenArray) -> list[bytes]:
    """Return the key of every whole page of ``ids``.

    A key is the SHA-256 of the key before it, at first of the fingerprint, and the page's tokens:
    it names the whole prefix.
    """
    keys, before = [], fingerprint
    for page in range(len(ids) // PAGE_TOKENS):
        before = chained(before, page_tokens(ids, page))
        keys.append(before)
    return keys


def chained(before: bytes, tokens: bytes) -> bytes:
    """Return the key of the page of ``tokens`` behind the one with the key ``before``."""
    return hashlib.sha256(before + tokens).digest()
