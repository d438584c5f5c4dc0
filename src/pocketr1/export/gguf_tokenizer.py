"""A model's tokenizer as GGUF's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pocketr1.arch import ModelSpec
from pocketr1.checkpoint.gguf import pretokenizers
from pocketr1.checkpoint.gguf.container import shown
from pocketr1.checkpoint.gguf.tokenizer import CONTROL, NORMAL, UNUSED, USER_DEFINED
from pocketr1.errors import CompressionError
from pocketr1.export.gguf_file import Entries, Strings

__all__ = ["tokenizer_entries"]

_PREFIX = "tokenizer.ggml."


def tokenizer_entries(spec: ModelSpec, companions: Mapping[str, bytes]) -> Entries:
    """Return the metadata of a byte-level BPE tokenizer; "none" where the model has none.

    Raises:
        CompressionError: ``export-gguf-tokenizer`` where the tokenizer is of another kind, or
            cannot be read.
    """
    if "tokenizer.json" not in companions:
        return {_PREFIX + "model": "none"}
    tree = _object(companions["tokenizer.json"], "tokenizer.json")
    config = _object(companions.get("tokenizer_config.json", b"{}"), "tokenizer_config.json")
    try:
        entries = _tokens(spec, tree)
        entries |= _special(spec, tree, config)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refused(f"tokenizer.json is not as expected ({error!r})") from error
    template = companions.get("chat_template.jinja", config.get("chat_template"))
    if isinstance(template, bytes):
        template = template.decode("utf-8", "replace")
    if isinstance(template, str):
        entries["tokenizer.chat_template"] = template
    return entries


def _tokens(spec: ModelSpec, tree: dict[str, Any]) -> Entries:
    model = tree["model"]
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
        raise _refused("it is not byte-level BPE")
    row = pretokenizers.matching(tree)
    if row is None:
        raise _refused("GGUF has no name for the way it cuts text that is known here")
    texts: dict[int, str] = {id_: text for text, id_ in model["vocab"].items()}
    kinds = dict.fromkeys(texts, NORMAL)
    for token in tree.get("added_tokens") or []:
        texts[token["id"]] = token["content"]
        control = token["special"] or _looks_special(token["content"])
        kinds[token["id"]] = CONTROL if control else USER_DEFINED
    if texts and max(texts) >= spec.vocab_size:
        raise _refused(f"it has a token {max(texts)}, the model ids up to {spec.vocab_size - 1}")
    ids = range(spec.vocab_size)
    pairs = [p if isinstance(p, str) else " ".join(p) for p in model["merges"]]
    name = row.names[0]
    if "deepseek-r1-qwen" in row.names and "<｜Assistant｜>" in texts.values():
        name = "deepseek-r1-qwen"
    return {
        _PREFIX + "model": "gpt2",
        _PREFIX + "pre": name,
        _PREFIX + "tokens": Strings([texts.get(id_, f"[PAD{id_}]") for id_ in ids]),
        _PREFIX + "token_type": [kinds.get(id_, UNUSED) for id_ in ids],
        _PREFIX + "merges": Strings(pairs),
    }


def _looks_special(text: str) -> bool:
    """Whether a token is one of a template's tags, as llama.cpp's converter sees it."""
    return any(text.startswith(a) and text.endswith(b) for a, b in (("<|", "|>"), ("<｜", "｜>")))


def _special(spec: ModelSpec, tree: dict[str, Any], config: dict[str, Any]) -> Entries:
    ids = dict(tree["model"]["vocab"])
    ids |= {token["content"]: token["id"] for token in tree.get("added_tokens") or []}

    def configured(name: str) -> int | None:
        value = config.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        return ids.get(value) if isinstance(value, str) else None

    entries: Entries = {}
    bos = configured("bos_token")
    bos = spec.bos_token_id if bos is None else bos
    if bos is not None:
        entries[_PREFIX + "bos_token_id"] = bos
    ends = [token for token in (configured("eos_token"), *spec.eos_token_ids) if token is not None]
    for name, token in zip(("eos", "eot", "eom"), dict.fromkeys(ends), strict=False):
        entries[f"{_PREFIX}{name}_token_id"] = token
    pad = configured("pad_token")
    if pad is not None:
        entries[_PREFIX + "padding_token_id"] = pad
    adds = config.get("add_bos_token")
    if not isinstance(adds, bool):
        adds = bos is not None and _begins(tree) == bos
    entries[_PREFIX + "add_bos_token"] = adds and bos is not None
    return entries


def _begins(tree: dict[str, Any]) -> int | None:
    """Return the token that a post-processor puts first."""
    post = tree.get("post_processor") or {}
    for step in post.get("processors") or [post]:
        if step.get("type") == "TemplateProcessing":
            first = step["single"][0].get("SpecialToken")
            if first is not None:
                return int(step["special_tokens"][first["id"]]["ids"][0])
    return None


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(f"{name} is no JSON: {shown(str(error))}") from error
    if not isinstance(tree, dict):
        raise _refused(f"{name} is no JSON object")
    return tree


def _refused(reason: str) -> CompressionError:
    return CompressionError("export-gguf-tokenizer", reason=reason)
