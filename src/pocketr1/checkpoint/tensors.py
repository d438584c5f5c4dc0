"""Which tensor lies where, checked against what the architecture asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pocketr1 import _core
from pocketr1.arch import Architecture, expected_tensors
from pocketr1.checkpoint.decoder import Decoder
from pocketr1.checkpoint.encoded import join
from pocketr1.checkpoint.files import CheckpointFiles
from pocketr1.checkpoint.schemes import Quantization
from pocketr1.checkpoint.stored import Entry, read_numbers, read_rows
from pocketr1.errors import CheckpointError

__all__ = ["Entry", "TensorInfo", "TensorTable", "read_table"]

_DTYPES = {"BF16": "bf16", "F16": "f16", "F32": "f32"}
_EMBEDDING = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"
_COMPARED = 4 << 20  # bytes read at a time


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint."""

    name: str  # canonical: layers.0.q.weight
    source_name: str  # in the file: model.layers.0.self_attn.q_proj.weight
    dtype: str  # "bf16", "f16" or "f32": of what reading gives
    shape: tuple[int, ...]  # (outputs, inputs), or (n,)
    file: Path  # of an encoded tensor, the one that holds its codes
    offset: int  # bytes from the start of the file
    nbytes: int  # of an encoded tensor, codes, scales and whatever belongs to them
    decoder: Decoder | None = None  # where it is stored encoded


@dataclass(frozen=True)
class TensorTable:
    """The checked contents of a checkpoint's weight files."""

    architecture: Architecture  # tied_embeddings as the weights have it
    tensors: dict[str, TensorInfo]  # canonical name -> place, in decode order
    awaited: dict[str, Path]  # canonical name -> the missing shard that will hold it
    ignored: tuple[str, ...]  # tensors in the files that the model does not need


def read_table(
    files: CheckpointFiles,
    architecture: Architecture,
    missing: frozenset[Path],
    headers: Path | None = None,
    quantization: Quantization | None = None,
) -> TensorTable:
    """Read the headers of all shards but the ``missing`` ones, and check every tensor.

    headers: a directory with a stand-in of every missing shard, of its name, header and size; with
        it their tensors have their places already, though nothing can be read there yet.
    quantization: how the weights are stored encoded; all files must be there then.

    Kept as transformers does: ``rotary_emb.inv_freq`` is ignored. Where embeddings are tied, a
    head that equals the embedding is ignored, one that differs is used (the model is then untied,
    whatever its config says), and a head without an embedding serves as both.

    Raises:
        CheckpointError: ``checkpoint-tensor-missing``, ``-unknown``, ``-shape``, ``-type``,
            ``-twice``, ``checkpoint-encoded-missing-file``, ``-type``, ``-value``,
            ``checkpoint-index-invalid``, or ``safetensors-invalid``.
    """
    if quantization is not None and missing:
        raise CheckpointError("checkpoint-encoded-missing-file", where=str(min(missing)))
    unread = missing if headers is None else frozenset[Path]()
    entries = _read_headers(
        files, unread, {path: headers / path.name for path in missing if headers}
    )
    ignored: list[str] = []
    if quantization is not None:
        entries, needless = join(entries, quantization)
        ignored += needless
    absent = {name: path for name, path in (files.shard_of or {}).items() if path in unread}
    architecture = _resolve_tying(architecture, entries, absent | _lying_in(entries, missing))
    canonical = {source: name for name, source in architecture.tensor_names.items()}
    for source, entry in entries.items():
        if source in canonical:
            continue
        tied_head = source == _HEAD and architecture.spec.tied_embeddings
        needless_bias = source.endswith(".bias") and _is_needless(source, entries)
        if not tied_head and not needless_bias and not source.endswith("rotary_emb.inv_freq"):
            raise CheckpointError(
                "checkpoint-tensor-unknown",
                where=str(entry.file),
                tensor=entry.name,
                architecture=architecture.spec.architecture,
            )
        ignored.append(source)
    shapes = expected_tensors(architecture.spec)
    lacking = [
        source
        for source in architecture.tensor_names.values()
        if source not in entries and source not in absent
    ]
    if lacking:
        raise CheckpointError(
            "checkpoint-tensor-missing",
            where=str(files.index or files.shards[0]),
            tensor=lacking[0],
            count=len(lacking),
        )
    tensors, awaited = {}, {}
    for name, shape in shapes.items():
        source = architecture.tensor_names[name]
        if source in entries:
            tensors[name] = _check(name, source, shape, entries[source])
        else:
            awaited[name] = absent[source]
    return TensorTable(architecture, tensors, awaited, tuple(ignored))


def _is_needless(bias: str, entries: Mapping[str, Entry]) -> bool:
    """Whether a bias of an encoded weight is zero: some tools give one to every layer."""
    weight = entries.get(bias.removesuffix("bias") + "weight")
    entry = entries[bias]
    if weight is None or weight.decoder is None or entry.dtype not in _DTYPES:
        return False
    return not read_numbers(entry, read_rows(entry)).any()


def _lying_in(entries: Mapping[str, Entry], shards: frozenset[Path]) -> dict[str, Path]:
    return {name: entry.file for name, entry in entries.items() if entry.file in shards}


def _read_headers(
    files: CheckpointFiles, missing: frozenset[Path], stand_ins: Mapping[Path, Path]
) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in files.shards:
        if path in missing:
            continue
        header = stand_ins.get(path, path)
        for name, dtype, shape, begin, end in _core.safetensors_header(str(header)):
            if name in entries:
                raise CheckpointError(
                    "checkpoint-tensor-twice",
                    where=str(path),
                    other=str(entries[name].file),
                    tensor=name,
                )
            entries[name] = Entry(dtype, tuple(shape), path, begin, end, name)
    if files.shard_of is not None:
        _check_index(files.index or files.shards[0], files.shard_of, entries, missing)
    return entries


def _check_index(
    index: Path,
    shard_of: Mapping[str, Path],
    entries: Mapping[str, Entry],
    missing: frozenset[Path],
) -> None:
    for name, path in shard_of.items():
        if path not in missing and (name not in entries or entries[name].file != path):
            raise CheckpointError(
                "checkpoint-tensor-missing", where=str(path), tensor=name, count=1
            )
    for name, entry in entries.items():
        if shard_of.get(name) != entry.file:
            raise CheckpointError(
                "checkpoint-index-invalid",
                where=str(index),
                reason=f"it does not list {name}, which {entry.file.name} holds",
            )


def _resolve_tying(
    architecture: Architecture, entries: Mapping[str, Entry], absent: Mapping[str, Path]
) -> Architecture:
    if not architecture.spec.tied_embeddings:
        return architecture
    names = dict(architecture.tensor_names)
    present = {name for name in (_EMBEDDING, _HEAD) if name in entries or name in absent}
    if present == {_HEAD}:
        names["embed.weight"] = _HEAD
        return replace(architecture, tensor_names=names)
    if len(present) < 2:
        return architecture
    for name in present:
        if name in absent:
            raise CheckpointError(
                "checkpoint-shard-missing", where=str(absent[name]), count=1, total=1
            )
    if _equal(entries[_EMBEDDING], entries[_HEAD]):
        return architecture
    names["head.weight"] = _HEAD
    spec = replace(architecture.spec, tied_embeddings=False)
    return replace(architecture, spec=spec, tensor_names=names)


def _equal(a: Entry, b: Entry) -> bool:
    if (a.dtype, a.shape) != (b.dtype, b.shape) or a.decoder or b.decoder:
        return False
    try:
        with a.file.open("rb") as one, b.file.open("rb") as other:
            one.seek(a.begin)
            other.seek(b.begin)
            left = a.end - a.begin
            while left:
                size = min(left, _COMPARED)
                if one.read(size) != other.read(size):
                    return False
                left -= size
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError("checkpoint-read", where=str(a.file), reason=reason) from error
    return True


def _check(name: str, source: str, shape: tuple[int, ...], entry: Entry) -> TensorInfo:
    if entry.shape != shape:
        raise CheckpointError(
            "checkpoint-tensor-shape",
            where=str(entry.file),
            tensor=entry.name,
            actual=list(entry.shape),
            expected=list(shape),
        )
    if entry.decoder is None and entry.dtype not in _DTYPES:
        raise CheckpointError(
            "checkpoint-tensor-type", where=str(entry.file), tensor=source, dtype=entry.dtype
        )
    return TensorInfo(
        name=name,
        source_name=entry.name,
        dtype=_DTYPES[entry.dtype] if entry.decoder is None else entry.decoder.dtype,
        shape=shape,
        file=entry.file,
        offset=entry.begin,
        nbytes=entry.end - entry.begin,
        decoder=entry.decoder,
    )
