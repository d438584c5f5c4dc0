"""Find a model and load it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pocketr1.arch import ModelSpec
from pocketr1.engine.budget import MemoryPlan, Needs, make_plan
from pocketr1.engine.engine import Engine
from pocketr1.engine.speculation import Speculation
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import cpu_list, default_threads, pin, usable_cpus

if TYPE_CHECKING:
    from pocketr1 import _core
    from pocketr1.engine.kvstore import KVStore, KVStoreOptions

__all__ = [
    "DEFAULT_MAX_CONTEXT",
    "KV_FORMATS",
    "ModelSource",
    "load",
    "locate",
    "open_speculation",
    "plan_memory",
]

#: Context of ``load`` where none is asked for, or the model's own where that is shorter. Pages are
#: allocated as they fill; a full F16 context of 8,192 tokens takes 235 MB with the 1.5B shape,
#: 470 MB with 7B, 1.07 GB with Llama 8B; INT8 pages take a bit more than half of that.
DEFAULT_MAX_CONTEXT = 8192

KV_FORMATS = ("f32", "f16", "int8")
_MAX_THREADS = 256


@dataclass(frozen=True)
class ModelSource:
    """Where a model lies: ``path`` is the directory of a bundle or checkpoint, or a GGUF file."""

    kind: Literal["bundle", "checkpoint", "gguf"]
    path: Path


def locate(path: str | os.PathLike[str] | ModelSource) -> ModelSource:
    """Find the model ``path`` names: a bundle, a checkpoint directory, a GGUF file or ``"tiny"``.

    ``"tiny"`` is the model shipped with the package, wherever one stands; a directory of that name
    is ``"./tiny"``. A :class:`ModelSource` is taken as it is. Raises EngineError:
    ``model-missing``, ``model-not-a-directory``, ``model-unknown``, ``model-tiny-missing``,
    ``model-unfinished`` for a bundle that its job has not given its name yet.
    """
    if isinstance(path, ModelSource):
        return path
    if path == "tiny":
        return _locate_tiny()
    directory = Path(path)
    if not directory.exists():
        raise EngineError("model-missing", path=directory)
    if not directory.is_dir():
        from pocketr1.checkpoint import is_gguf

        if is_gguf(directory):
            return ModelSource("gguf", directory)
        raise EngineError("model-not-a-directory", path=directory)
    if (directory / "bundle.json").is_file():
        if _is_unfinished(directory.resolve()):
            raise EngineError("model-unfinished", path=directory)
        return ModelSource("bundle", directory)
    if (directory / "config.json").is_file():
        return ModelSource("checkpoint", directory)
    raise EngineError("model-unknown", path=directory)


def _is_unfinished(directory: Path) -> bool:
    """Whether a job is still at work on this bundle, or has found it not good enough."""
    job = directory.parent
    return directory.name == "bundle" and job.suffix == ".partial" and (job / "job.json").is_file()


def _locate_tiny() -> ModelSource:
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "models" / "tiny-r1", package.parents[1] / "models" / "tiny-r1"):
        if directory.is_dir():
            return locate(directory)
    raise EngineError("model-tiny-missing", path=package / "models" / "tiny-r1")


def load(
    path: str | os.PathLike[str] | ModelSource,
    *,
    threads: int | None = None,
    cpus: Iterable[int] | str | None = None,
    max_context: int | None = None,
    kv_format: str = "f16",
    mmap: bool = True,
    isa: str | None = None,
    device: str = "cpu",
    kv_store: str | os.PathLike[str] | KVStoreOptions | None = None,
    memory_budget: int | str | None = None,
) -> Engine:
    """Load a model and return the engine that runs it.

    path: a bundle, a checkpoint directory (run uncompressed, as the reference), or ``"tiny"``; or
        what ``locate`` found.
    threads: ``None`` takes as many as there are fast cores, of those this process may use; work is
        dealt out in small pieces, so that slower ones would help little and heat much.
    cpus: the calling thread and the engine's own run on these CPUs alone from now on (Linux); also
        as text, ``0-3,6`` or ``fast``.
    max_context: most tokens a sequence may hold; ``None`` is the model's own limit, at most
        DEFAULT_MAX_CONTEXT. K/V pages are allocated as they fill.
    kv_format: ``f16``, ``f32`` (the reference) or ``int8`` (groups of 32 along the head).
    mmap: map the weights (another process may share them, the system may drop them); ``False``
        reads them into memory as they are first used, values checked; a file that shrinks meanwhile
        is then an error and no crash.
    isa: one of ``pocketr1.isas()``; ``None`` takes the environment's POCKETR1_ISA or the best.
    device: ``cpu``.
    kv_store: a file that keeps the keys and values of prompts for later processes (made where there
        is none), or :class:`~pocketr1.engine.KVStoreOptions`; answers stay the same.
    memory_budget: bytes, or text such as ``700MB``, for the whole process: what of the weights does
        not fit beside K/V, scratch and the process itself is streamed from storage for every token;
        the answer stays the same. ``auto``: what is available, less 640 MB. ``None``: no limit.
        It holds for one sequence of ``max_context`` tokens: each further one has K/V of its own.

    Raises UsageError for bad options, a budget too small for the model among them
    (``budget-too-small``, ``budget-context``, ``budget-context-int8``); EngineError where no model
    is found or where it is a GGUF file (``model-gguf``; :func:`pocketr1.import_gguf` makes a bundle
    of it), BundleError or CheckpointError where it is damaged.
    """
    _check_options(threads, max_context, kv_format, device)
    source = locate(path)
    from pocketr1 import _core

    files = None if kv_store is None else _describe(source)
    model = _open(source, mmap)
    max_context = _context(model, max_context)
    here = None if cpus is None else pin(cpu_list(cpus) if isinstance(cpus, str) else cpus)
    session = _core.Session(
        model,
        threads=threads or min(_threads_for(here), _MAX_THREADS),
        max_context=max_context,
        kv_format=kv_format,
        isa=isa or "",
    )
    plan = None
    if memory_budget is not None:
        _core.trim_memory()
        needs = _needs(model, session, source.path, kv_format, kv_store is not None)
        plan = make_plan(memory_budget, needs)
        model.set_resident_limit(plan.resident)
    engine = Engine(model, session, source.path, plan)
    if kv_store is not None:
        engine._kv_store = _open_store(kv_store, engine, files or {}, kv_format)
    return engine


def plan_memory(
    path: str | os.PathLike[str] | ModelSource,
    memory_budget: int | str,
    *,
    threads: int | None = None,
    max_context: int | None = None,
    kv_format: str = "f16",
    kv_store: bool = False,
) -> MemoryPlan:
    """Return what :func:`load` would do with these arguments; raises what it raises.

    kv_store: whether it would be given one.
    """
    _check_options(threads, max_context, kv_format, "cpu")
    source = locate(path)
    from pocketr1 import _core

    model = _open(source, mmap=True)
    session = _core.Session(
        model,
        threads=threads or min(_threads_for(None), _MAX_THREADS),
        max_context=_context(model, max_context),
        kv_format=kv_format,
    )
    _core.trim_memory()
    return make_plan(memory_budget, _needs(model, session, source.path, kv_format, kv_store))


def measure_streaming(path: str | os.PathLike[str] | ModelSource) -> float:
    """Return the bytes per second at which the model's weights come from storage.

    Some 64 MB are read past what the page cache holds of them. Raises what :func:`load` raises.
    """
    model = _open(locate(path), mmap=True)
    model.set_resident_limit(0)
    assert model.stream is not None
    return model.stream[4]


def _context(model: _core.Model, max_context: int | None) -> int:
    limit = int(json.loads(model.spec_json)["max_positions"])
    if max_context is None:
        return min(limit, DEFAULT_MAX_CONTEXT)
    if max_context > limit:
        raise UsageError("max-context-value", value=max_context, limit=limit)
    return max_context


def _needs(
    model: _core.Model, session: _core.Session, path: Path, kv_format: str, kv_store: bool
) -> Needs:
    weights, ring, tiled = model.stream_sizes
    spec = ModelSpec.from_dict(json.loads(model.spec_json))
    return Needs(
        spec=spec,
        weights=weights,
        ring=ring,
        tiled=tiled,
        # Vectors are a thousandth of a model; what a pass does not go through is the embedding.
        looked_up=0 if spec.tied_embeddings else model.weight_bytes - weights,
        page_bytes=session.page_bytes,
        max_context=session.max_context,
        kv_format=kv_format,
        threads=session.threads,
        directory=path,
        kv_store=kv_store,
    )


@contextmanager
def open_speculation(how: str, engine: Engine) -> Iterator[Speculation | None]:
    """Hand out what ``off``, ``lookup`` or the path of a draft model ask for.

    The draft model is loaded, and closed afterwards. Raises what loading it raises, and UsageError
    (``budget-draft``) where the engine has a memory budget, in which no second model is planned.
    """
    if how == "off":
        yield None
    elif how == "lookup":
        yield Speculation()
    elif engine.plan is not None:
        raise UsageError("budget-draft", model=how)
    else:
        with _load_draft(how, engine) as draft:
            yield Speculation(draft)


def _load_draft(model: str, engine: Engine) -> Engine:
    try:
        return load(model, threads=engine.threads, max_context=engine.max_context)
    except UsageError as error:
        # It takes less context: beyond that the model goes on alone.
        if error.code != "max-context-value":
            raise
        return load(model, threads=engine.threads)


def _describe(source: ModelSource) -> dict[str, Any]:
    from pocketr1.engine.kvstore.fingerprint import describe_files

    try:
        return describe_files(source.path)
    except OSError:
        # Opening it says what is wrong. Where that succeeds, no stored page is taken for its own.
        return {"unreadable": time.time_ns()}


def _open_store(
    options: str | os.PathLike[str] | KVStoreOptions,
    engine: Engine,
    files: dict[str, Any],
    kv_format: str,
) -> KVStore:
    from pocketr1.engine.kvstore import KVStore, KVStoreOptions

    if not isinstance(options, KVStoreOptions):
        options = KVStoreOptions(options)
    options.check()
    return KVStore(
        options,
        engine.path,
        files,
        tokenizer=engine._tokenizer_hash,
        kv_format=kv_format,
        page_bytes=engine._session.page_bytes,
    )


def _check_options(threads: object, max_context: object, kv_format: object, device: object) -> None:
    if threads is not None and not _in_range(threads, 1, _MAX_THREADS):
        raise UsageError("threads-value", value=threads, limit=_MAX_THREADS)
    if max_context is not None and not _in_range(max_context, 1, 1 << 31):
        raise UsageError("max-context-value", value=max_context, limit=(1 << 31) - 1)
    if kv_format not in KV_FORMATS:
        raise UsageError("kv-format-value", value=kv_format, allowed=", ".join(KV_FORMATS))
    if device != "cpu":
        raise UsageError("device-value", value=device)


def _threads_for(cpus: Collection[int] | None) -> int:
    return default_threads() if cpus is None else min(len(cpus), usable_cpus())


def _in_range(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _open(source: ModelSource, mmap: bool) -> _core.Model:
    from pocketr1 import _core

    if source.kind == "bundle":
        return _core.Model.open_bundle(str(source.path), mmap)
    if source.kind == "gguf":
        raise EngineError("model-gguf", path=source.path)
    from pocketr1 import checkpoint

    return _core.Model.open_checkpoint(*checkpoint.open(source.path).core_arguments(), mmap)
