"""The bundle that is distilled, and the checkpoint it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketr1 import _core, checkpoint
from pocketr1.arch import ModelSpec
from pocketr1.bundle import TensorPlan
from pocketr1.bundle.layout import group_size
from pocketr1.checkpoint import CompanionFile
from pocketr1.compress.source import hash_file
from pocketr1.errors import UsageError

__all__ = ["MadeBundle", "check_source"]


@dataclass(frozen=True)
class MadeBundle:
    """An opened bundle, and what its bundle.json says."""

    path: Path
    core: _core.Bundle
    metadata: Mapping[str, Any]
    tensors: tuple[TensorPlan, ...]  # in decode order

    @classmethod
    def open(cls, path: Path) -> MadeBundle:
        """Open a bundle that has something to train.

        Raises:
            BundleError: it is damaged or foreign.
            UsageError: ``distill-nothing``.
        """
        core = _core.Bundle.open(str(path))
        tensors = tuple(TensorPlan(name, kind, tuple(s)) for name, kind, s, _ in core.tensors())
        if not any(group_size(tensor.format) for tensor in tensors):
            raise UsageError("distill-nothing", path=path)
        return cls(path, core, json.loads(core.metadata_json), tensors)

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        return ModelSpec.from_dict(self.metadata["model"])

    @property
    def sha256(self) -> str:
        """Of the hashes of all weights."""
        shards = json.dumps(self.metadata["shards"], sort_keys=True)
        return hashlib.sha256(shards.encode()).hexdigest()

    @property
    def companions(self) -> tuple[CompanionFile, ...]:
        """The tokenizer's files."""
        return tuple(self.path / name for name in self.metadata["tokenizer"]["files"])


def check_source(
    bundle: MadeBundle, source: checkpoint.Checkpoint, advance: Callable[[int, int], None]
) -> None:
    """Check that a checkpoint is the one a bundle was made of, by shape, sizes and hashes.

    advance: is told bytes hashed, and bytes in all.

    Raises:
        UsageError: ``distill-encoded``, ``distill-model-differs``, ``distill-source-differs``.
        CheckpointError: a file cannot be read.
    """
    if any(tensor.decoder is not None for tensor in source.tensors.values()):
        raise UsageError("distill-encoded", path=source.path)
    made_of = dict(bundle.metadata["model"])
    given = source.spec.to_dict()
    for key, value in given.items():
        if json.loads(json.dumps(value)) != made_of.get(key):
            raise UsageError(
                "distill-model-differs", source=source.config_path, bundle=bundle.path, key=key
            )
    rows = {str(row["file"]): row for row in bundle.metadata["source"]}
    files = {path.name: path for path in source.files}
    for name in sorted({*rows} ^ {*files}):
        raise UsageError("distill-source-differs", file=name, bundle=bundle.path)
    for name, path in files.items():
        if path.stat().st_size != rows[name]["size"]:
            raise UsageError("distill-source-differs", file=path, bundle=bundle.path)
    total = sum(path.stat().st_size for path in files.values())
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        advance(done, total)

    for name, path in files.items():
        if hash_file(path, more) != rows[name]["sha256"]:
            raise UsageError("distill-source-differs", file=path, bundle=bundle.path)
