"""Any model we read as a GGUF file, for llama.cpp and what is built on it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import __version__
from pocketr1.arch import ModelSpec
from pocketr1.checkpoint.gguf.model import ROPE_FACTORS, source_names
from pocketr1.checkpoint.gguf.weights import rotated_rows
from pocketr1.engine import locate
from pocketr1.errors import CompressionError, UsageError
from pocketr1.export.gguf_blocks import BLOCK, encode, holds
from pocketr1.export.gguf_file import Entries, GgufWriter, TensorRow
from pocketr1.export.gguf_rope import RopeRule, find_rule
from pocketr1.export.gguf_tokenizer import tokenizer_entries
from pocketr1.export.report import ExportProgress, ExportReport
from pocketr1.export.source import Coded, ModelWeights, Slab, StoredTensor, open_weights
from pocketr1.machine import default_threads

__all__ = ["GGUF_TYPES", "GgufExport", "export_gguf"]

#: "closest": of each matrix the type that holds what the model has.
GGUF_TYPES = ("f16", "q8_0", "q4_0", "closest")
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "BF16": 32}
_PLAIN = {"f32": "F32", "f16": "F16", "bf16": "BF16"}


@dataclass(frozen=True)
class _Target:
    """What a tensor becomes; exactly: codes, or numbers that the type holds, are taken over."""

    tensor: StoredTensor
    row: TensorRow
    exactly: bool
    head_dim: int | None  # rows change places


class GgufExport:
    """Writes one model.

    Types: ``f16`` rounds every matrix to F16. ``q8_0`` and ``q4_0`` quantize with a searched scale
    per block of 32, or take codes over where the model has such (bundles of any group size without
    zero points, and GGUF of the same type); with ``q4_0`` the output head gets Q8_0. ``closest``
    chooses for each matrix: 8 bits become Q8_0 and 4 bits Q4_0 with the same codes, 4 bits with
    zero points Q4_1 (their minima rounded to F16); what is not quantized stays as it is, and what a
    GGUF file holds in a way that no format of ours does becomes Q8_0. Vectors are F32. Matrices
    whose rows are no multiple of 32 stay plain, or become F16.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        output: str | os.PathLike[str],
        type: str = "closest",
        *,
        overwrite: bool = False,
        threads: int | None = None,
        progress: Callable[[ExportProgress], None] | None = None,
    ) -> None:
        """Check the options; nothing is read yet.

        Args:
            model: a bundle, a checkpoint directory, a GGUF file, or ``"tiny"``.
            output: the file to write.
            type: one of :data:`GGUF_TYPES`.
            overwrite: replace a file of that name, once the new one is whole.
            threads: None takes as many as there are fast cores.
            progress: called with how far the work is; what it raises stops it.

        Raises:
            UsageError: ``export-type``.
        """
        if type not in GGUF_TYPES:
            raise UsageError("export-type", value=type, allowed=", ".join(GGUF_TYPES))
        self.model = model
        self.output = Path(output)
        self.type = type
        self.overwrite = overwrite
        self.threads = threads or default_threads()
        self._progress = progress

    def run(self) -> ExportReport:
        """Write the file, whole or not at all.

        Raises:
            EngineError, BundleError, CheckpointError: the model cannot be read.
            CompressionError: ``export-exists``; ``export-gguf-model``, ``-rope``, ``-tokenizer``
                or ``-range`` for what GGUF cannot say; the disk is full or cannot be written.
        """
        began = time.monotonic()
        weights = open_weights(locate(self.model))
        spec = weights.spec
        rule = find_rule(spec)
        targets = [self._target(weights, *names) for names in source_names(spec).items()]
        rows = [target.row for target in targets]
        if rule.factors is not None:
            rows.insert(0, TensorRow(ROPE_FACTORS, "F32", rule.factors.shape))
        counts = Counter(t.row.type for t in targets if len(t.row.shape) == 2)
        metadata = _metadata(spec, rule, self.output.stem)
        metadata["general.file_type"] = _FILE_TYPES[counts.most_common(1)[0][0]]
        metadata |= tokenizer_entries(spec, weights.companions)
        writer = GgufWriter(self.output, metadata, rows, overwrite=self.overwrite)
        done, total = 0, sum(row.nbytes for row in rows)
        with writer:
            if rule.factors is not None:
                writer.write(rows[0], [rule.factors.astype("<f4").view(np.uint8)])
            for target in targets:
                writer.write(target.row, self._bytes(weights, target))
                done += target.row.nbytes
                if self._progress is not None:
                    self._progress(ExportProgress(done, total, target.row.name))
        return ExportReport(
            path=str(self.output),
            format="gguf",
            file_bytes=writer.file_bytes,
            parameters=sum(int(np.prod(t.tensor.shape)) for t in targets),
            types=dict(counts),
            matrices=sum(counts.values()),
            exact=sum(t.exactly for t in targets if len(t.row.shape) == 2),
            seconds=time.monotonic() - began,
        )

    def _target(self, weights: ModelWeights, name: str, there: str) -> _Target:
        tensor = weights.tensors[name]
        kind, exactly = "F32", True
        if len(tensor.shape) == 2:
            kind, exactly = self._choose(weights, tensor)
        part = name.split(".")[-2]
        moves = weights.spec.architecture == "llama" and part in ("q", "k")
        head_dim = weights.spec.head_dim if moves else None
        return _Target(tensor, TensorRow(there, kind, tensor.shape), exactly, head_dim)

    def _choose(self, weights: ModelWeights, tensor: StoredTensor) -> tuple[str, bool]:
        """Return a matrix's type, and whether that loses nothing."""
        plain = _PLAIN.get(tensor.format or "")
        if self.type == "closest" and plain is not None:
            return plain, True
        if self.type == "f16" or tensor.shape[1] % BLOCK:
            return "F16", plain == "F16"
        kinds = self._quantized(tensor, weights.spec.tied_embeddings)
        if plain is None and tensor.format is not None:
            if _same_codes(kinds[0], tensor.format):
                return kinds[0], True
            if all(holds(kinds[0], slab.coded()) for slab in weights.slabs(tensor.name)):
                return kinds[0], True
        return kinds[-1], False

    def _quantized(self, tensor: StoredTensor, tied: bool) -> tuple[str, ...]:
        """Return the type to try first, and what it is where codes do not fit."""
        if self.type == "closest":
            eight = tensor.format is None or tensor.format.startswith("w8")
            return ("Q8_0",) if eight else ("Q4_0", "Q4_1")
        head = "embed.weight" if tied else "head.weight"
        return ("Q8_0",) if self.type == "q8_0" or tensor.name == head else ("Q4_0",)

    def _bytes(self, weights: ModelWeights, target: _Target) -> Iterator[NDArray[np.uint8]]:
        tensor, kind = target.tensor, target.row.type
        options: dict[str, Any] = {
            # The codes of Q4_1 are those of the model, though its minima are rounded.
            "exactly": target.exactly or kind == "Q4_1",
            "threads": self.threads,
        }
        slabs = weights.slabs(tensor.name)
        if target.head_dim is None:
            for slab in slabs:
                yield encode(kind, slab, tensor, **options)
            return
        # Row i of the file is the row of ours that lies there in a Llama's file.
        order = np.argsort(rotated_rows(0, tensor.shape[0], target.head_dim))
        yield encode(kind, _Joined(tuple(slabs)), tensor, order=order, **options)


def _same_codes(kind: str, weight_format: str) -> bool:
    """Whether a type holds every tensor of a format, so that nobody need look."""
    if kind == "Q8_0":
        return weight_format.startswith("w8")
    return weight_format.startswith("w4") and not weight_format.endswith("z")


@dataclass(frozen=True)
class _Joined:
    """Slabs of one tensor as one."""

    slabs: tuple[Slab, ...]

    def numbers(self) -> NDArray[np.float32]:
        return np.concatenate([slab.numbers() for slab in self.slabs])

    def coded(self) -> Coded:
        rows = [slab.coded() for slab in self.slabs]
        return Coded(
            np.concatenate([row.steps for row in rows]),
            np.concatenate([row.scales for row in rows]),
            rows[0].group,
        )


def export_gguf(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    type: str = "closest",
    *,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Callable[[ExportProgress], None] | None = None,
) -> ExportReport:
    """Write a model as a GGUF file; see :class:`GgufExport` for arguments, types and errors."""
    return GgufExport(
        model, output, type, overwrite=overwrite, threads=threads, progress=progress
    ).run()


def _metadata(spec: ModelSpec, rule: RopeRule, name: str) -> Entries:
    """Return what describes the model, without its tokenizer."""
    layer = spec.layers[0]
    if any(other != layer for other in spec.layers):
        raise CompressionError("export-gguf-model", reason="its layers differ in size")
    kind = spec.architecture
    entries: Entries = {
        "general.architecture": kind,
        "general.name": name,
        "general.quantized_by": f"pocketr1 {__version__}",
        "general.quantization_version": 2,
        f"{kind}.vocab_size": spec.vocab_size,
        f"{kind}.context_length": spec.max_positions,
        f"{kind}.embedding_length": spec.hidden_size,
        f"{kind}.block_count": len(spec.layers),
        f"{kind}.feed_forward_length": layer.ffn_size,
        f"{kind}.attention.head_count": layer.heads,
        f"{kind}.attention.head_count_kv": layer.kv_heads,
        f"{kind}.attention.key_length": spec.head_dim,
        f"{kind}.attention.value_length": spec.head_dim,
        f"{kind}.attention.layer_norm_rms_epsilon": spec.rms_norm_eps,
        f"{kind}.rope.dimension_count": spec.head_dim,
        f"{kind}.rope.freq_base": rule.theta,
    }
    if rule.yarn_factor is not None and rule.original_positions is not None:
        entries[f"{kind}.rope.scaling.type"] = "yarn"
        entries[f"{kind}.rope.scaling.factor"] = rule.yarn_factor
        entries[f"{kind}.rope.scaling.original_context_length"] = rule.original_positions
        if rule.attention_factor != 1:
            entries[f"{kind}.rope.scaling.attn_factor"] = rule.attention_factor
    return entries
