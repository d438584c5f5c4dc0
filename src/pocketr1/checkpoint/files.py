"""Which files a checkpoint consists of; pickles and foreign formats are refused here, unopened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pocketr1.errors import CheckpointError

__all__ = ["CheckpointFiles", "CompanionFile", "locate", "read_index", "read_json"]

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
)
_LARGEST_JSON = 64 << 20  # bytes


class CompanionFile(Protocol):
    """A small file that a bundle takes over: a path, or what a GGUF file says in its place."""

    @property
    def name(self) -> str:
        """``tokenizer.json`` …"""
        ...

    def read_bytes(self) -> bytes:
        """Return all of it."""
        ...


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of a checkpoint, by role."""

    directory: Path
    config: Path
    generation: Path | None  # generation_config.json
    shards: tuple[Path, ...]  # safetensors files the checkpoint has or should have
    index: Path | None
    shard_of: Mapping[str, Path] | None  # by checkpoint tensor name; None without an index
    tokenizer: tuple[Path, ...]  # those that exist


def locate(
    path: Path, config_path: Path | None = None, headers: Path | None = None
) -> CheckpointFiles:
    """Find a checkpoint's files.

    ``path`` is a directory in Hugging Face's layout, one ``.safetensors`` file, or a
    ``.safetensors.index.json``. A directory's single ``model.safetensors`` goes before an index, as
    in transformers. ``config_path`` replaces the ``config.json`` beside the weights.
    ``headers``: see :func:`pocketr1.checkpoint.open`.

    Raises:
        CheckpointError: nothing there, pickled weights, GGUF, no config, or a wrong index.
    """
    single = path / _SINGLE
    if headers is not None and (headers / _SINGLE).is_file() and not single.exists():
        weights = single  # it is still to come
    else:
        weights = _find_weights(path)
    directory = weights.parent
    config = config_path or directory / "config.json"
    if not config.is_file():
        raise CheckpointError("checkpoint-config-missing", where=str(config))
    shard_of = None
    shards: tuple[Path, ...] = (weights,)
    if weights.name.endswith(".index.json"):
        shard_of = read_index(weights)
        shards = tuple(sorted(set(shard_of.values())))
    companions = []
    for name in _TOKENIZER_FILES:
        found = next((d / name for d in (directory, config.parent) if (d / name).is_file()), None)
        if found is not None:
            companions.append(found)
    return CheckpointFiles(
        directory=directory,
        config=config,
        generation=next((p for p in companions if p.name == "generation_config.json"), None),
        shards=shards,
        index=weights if shard_of is not None else None,
        shard_of=shard_of,
        tokenizer=tuple(companions),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, at most 64 MiB, no duplicate keys, no NaN.

    Raises:
        CheckpointError: ``checkpoint-json-invalid`` or ``checkpoint-read``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_JSON + 1)
    except OSError as error:
        raise CheckpointError(
            "checkpoint-read", where=str(path), reason=error.strerror or str(error)
        ) from error
    if len(data) > _LARGEST_JSON:
        raise _not_json(path, "it is larger than 64 MiB")
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _not_json(path, str(error)) from error
    if not isinstance(value, dict):
        raise _not_json(path, "it is not an object")
    return value


def _find_weights(path: Path) -> Path:
    """Return the index, or the single safetensors file."""
    if path.is_dir():
        for name in (_SINGLE, _INDEX):
            if (path / name).is_file():
                return path / name
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            reason = error.strerror or str(error)
            raise CheckpointError("checkpoint-read", where=str(path), reason=reason) from error
        for entry in entries:
            _refuse_foreign(entry)
        raise CheckpointError("checkpoint-no-weights", where=str(path))
    _refuse_foreign(path)
    if not path.is_file():
        raise CheckpointError("checkpoint-not-found", where=str(path))
    if not path.name.endswith((".safetensors", ".safetensors.index.json")):
        raise CheckpointError("checkpoint-no-weights", where=str(path))
    return path


def _refuse_foreign(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        raise CheckpointError("checkpoint-gguf", where=str(path))
    # training_args.bin is a pickle too, but no weights: it says nothing about the checkpoint.
    if suffix in _PICKLES and path.name != "training_args.bin":
        raise CheckpointError("checkpoint-pickle", where=str(path))


def read_index(path: Path) -> dict[str, Path]:
    """Read ``model.safetensors.index.json``: the file of each tensor, in the index's directory.

    Raises:
        CheckpointError: ``checkpoint-index-invalid``, ``checkpoint-pickle``, ``checkpoint-gguf`` …
    """
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _bad_index(path, 'it has no "weight_map"')
    shard_of = {}
    for tensor, name in weight_map.items():
        # A plain name cannot lead out of the directory. The file itself may be a link: the cache
        # of huggingface_hub is made of them.
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise _bad_index(path, f"the file of {tensor} is {name!r}, not a plain file name")
        _refuse_foreign(path.parent / name)
        if not name.endswith(".safetensors"):
            raise _bad_index(path, f"the file of {tensor} is {name!r}, not a safetensors file")
        shard_of[tensor] = path.parent / name
    return shard_of


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _not_json(path: Path, reason: str) -> CheckpointError:
    return CheckpointError("checkpoint-json-invalid", where=str(path), reason=reason)


def _bad_index(path: Path, reason: str) -> CheckpointError:
    return CheckpointError("checkpoint-index-invalid", where=str(path), reason=reason)
