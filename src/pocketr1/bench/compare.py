"""Measure engines side by side: by turns, each job in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pocketr1.bench import page_cache
from pocketr1.bench.comparison import FIGURES, CompareOptions, Comparison, EngineResult, MissingPeer
from pocketr1.bench.machine import describe_machine
from pocketr1.bench.peers import OURS
from pocketr1.bench.peers.peer import LoadOptions
from pocketr1.bench.roofline import Limits, Roofline, demand, measure_limits
from pocketr1.errors import EngineError, UsageError
from pocketr1.machine import default_threads

__all__ = ["compare_engines"]

_TOGETHER_PROMPT = 8  # tokens of each prompt that is decoded beside others

# A peer's interpreter need not have this package: it is found by its path, and nothing beside it.
_WORKER = """
import importlib.util, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
path = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location(
    "pocketr1", path + "/__init__.py", submodule_search_locations=[path])
module = sys.modules["pocketr1"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from pocketr1.bench.peers.worker import main
sys.exit(main())
"""


class _JobError(Exception):
    """A job that gave no figures: ``kind`` and ``reason``."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class _Contestant:
    engine: str
    model: Path
    files: list[Path]
    versions: dict[str, str]
    kv_format: str | None = None  # of ours, in the columns behind its first

    @property
    def name(self) -> str:
        also = "" if self.kv_format is None else f" K/V {self.kv_format}"
        return f"{self.engine} {self.model.name}{also}"


def compare_engines(
    model: str,
    options: CompareOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Measure ``model`` and the peers' models beside it and return the comparison.

    Rounds go through all engines by turns, so that what disturbs the machine for a while disturbs
    everyone; every job is a process of its own, so that its memory is its own. A peer that is not
    installed, has no model or fails is named in ``missing``; ours failing is an error.
    ``progress`` is told each job before it begins.

    Raises UsageError (``bench-peer-models``), EngineError (``bench-died``) and what loading raises.
    """
    from pocketr1.engine import inspect
    from pocketr1.engine.loading import locate

    options = options or CompareOptions()
    report = inspect(model)  # a model that is none is told before anything is measured
    source = locate(model).path
    threads = options.threads or default_threads()
    contestants, missing = _contestants(source, options)

    def miss(contestant: _Contestant, failed: _JobError, part: str = "") -> None:
        """Name what failed, once; ours failing is an error."""
        if contestant.engine == OURS:
            raise EngineError("bench-died", model=contestant.model, status=failed.reason) from None
        named = _failure(contestant, failed, part)
        if named not in missing:
            missing.append(named)

    results: dict[int, EngineResult] = {}
    limits: list[Limits] = []
    for turn in range(options.repeat):
        if options.roofline:
            limits.append(measure_limits(threads, options.isa))
        for index, contestant in enumerate(contestants):
            if turn and index not in results:
                continue  # it failed before
            name = f"{turn + 1}/{options.repeat}  {contestant.name}"
            say = (lambda job, name=name: progress(f"{name}  {job}")) if progress else _silent
            try:
                round_result = _round(contestant, options, threads, report.parameters, say, miss)
            except _JobError as failed:
                miss(contestant, failed)
                results.pop(index, None)
                continue
            results[index] = _merge(results.get(index), round_result)
    return Comparison(
        machine=describe_machine(),
        threads=threads,
        options=options,
        engines=[results[index] for index in sorted(results)],
        missing=missing,
        roofline=Roofline(tuple(limits), demand(model, options.kv_format)) if limits else None,
    )


def _silent(_job: str) -> None:
    return None


def _contestants(
    source: Path, options: CompareOptions
) -> tuple[list[_Contestant], list[MissingPeer]]:
    """Return ours and every peer's models, and the peers that cannot take part."""
    python = options.peer_python or sys.executable
    directory = Path(options.peer_models or f"{source.resolve()}-peers")
    if options.against and options.peer_models and not directory.is_dir():
        raise UsageError("bench-peer-models", path=directory)
    contestants: list[_Contestant] = []
    missing: list[MissingPeer] = []
    job = {"action": "find", "engine": OURS, "model": str(source)}
    try:
        contestants += _found(OURS, _work(sys.executable, job))
    except _JobError as failed:
        raise EngineError("bench-died", model=source, status=failed.reason) from None
    contestants += [replace(contestants[0], kv_format=kv) for kv in options.more_kv_formats]
    for engine in dict.fromkeys(options.against):
        job = {"action": "find", "engine": engine, "directory": str(directory)}
        try:
            found = _found(engine, _work(python, job))
        except _JobError as failed:
            params = {"engine": engine, "python": python, "reason": failed.reason}
            code = f"bench-peer-{failed.kind}"
            missing.append(MissingPeer(engine, code, params))
            continue
        if not found:
            params = {"engine": engine, "path": str(directory)}
            missing.append(MissingPeer(engine, "bench-peer-no-model", params))
        contestants += found
    return contestants, missing


def _found(engine: str, answer: dict[str, Any]) -> list[_Contestant]:
    return [
        _Contestant(
            engine, Path(row["path"]), [Path(name) for name in row["files"]], answer["versions"]
        )
        for row in answer["models"]
    ]


def _round(
    contestant: _Contestant,
    options: CompareOptions,
    threads: int,
    parameters: int,
    say: Callable[[str], None],
    miss: Callable[[_Contestant, _JobError, str], None],
) -> EngineResult:
    """Measure one engine once: cold start, short prompt, long prompt, many sequences.

    An engine that cannot do one of the last two keeps its other figures; ``miss`` is told.
    """
    python = sys.executable
    if contestant.engine != OURS:
        python = options.peer_python or python

    def job(context: int, sequences: int, *runs: dict[str, int]) -> dict[str, Any]:
        kv_format = contestant.kv_format or options.kv_format
        load = LoadOptions(threads, context, sequences, kv_format, options.isa)
        return _work(
            python,
            {
                "action": "measure",
                "engine": contestant.engine,
                "model": str(contestant.model),
                "options": asdict(load),
                "runs": list(runs),
            },
        )

    prompt, tokens = options.prompt_tokens, options.gen_tokens
    short = prompt + tokens + 1
    values: dict[str, float | None] = dict.fromkeys(FIGURES)

    say("cold")
    page_cache.drop(contestant.files)
    left = page_cache.resident_share(contestant.files)
    cold = job(short, 1)
    if left is not None and left <= page_cache.STILL_WARM:
        values["load_cold_s"] = cold["first_logits_s"]

    say("short")
    answer = job(
        short,
        1,
        {"prompts": 1, "prompt_tokens": prompt, "tokens": 1, "warm_up": 1},
        {"prompts": 1, "prompt_tokens": 1, "tokens": tokens + 1},
    )
    prefill, decode = answer["runs"]
    values["load_warm_s"] = answer["first_logits_s"]
    values["ttft_s"] = prefill["first_s"]
    values["prefill_tok_s"] = prompt / prefill["first_s"]
    values["decode_tok_s"] = tokens / decode["decode_s"]
    values["peak_rss_mb"] = answer["peak_rss_bytes"] / 1e6

    if options.long_tokens:
        say("long")
        count = options.long_tokens
        warm = {"prompts": 1, "prompt_tokens": min(prompt, count), "tokens": 1}
        run = {"prompts": 1, "prompt_tokens": count, "tokens": tokens + 1}
        try:
            long = job(count + tokens + 1, 1, warm, run)
            values["prefill_long_tok_s"] = count / long["runs"][1]["first_s"]
            values["decode_long_tok_s"] = tokens / long["runs"][1]["decode_s"]
            values["peak_rss_long_mb"] = long["peak_rss_bytes"] / 1e6
        except _JobError as failed:
            miss(contestant, failed, "--long-tokens")

    if options.together > 1:
        say("together")
        run = {"prompts": options.together, "prompt_tokens": _TOGETHER_PROMPT, "tokens": tokens + 1}
        context = _TOGETHER_PROMPT + tokens + 1
        try:
            many = job(context, options.together, {**run, "warm_up": 1})
            values["together_tok_s"] = options.together * tokens / many["runs"][0]["decode_s"]
        except _JobError as failed:
            miss(contestant, failed, "--together")

    return EngineResult(
        engine=contestant.engine,
        model=str(contestant.model),
        versions=contestant.versions,
        settings=answer["settings"],
        weights_mb=answer["weight_bytes"] / 1e6,
        bits_per_weight=8 * answer["weight_bytes"] / parameters,
        values={name: [value] for name, value in values.items()},
        kv_format=contestant.kv_format,
    )


def _merge(before: EngineResult | None, result: EngineResult) -> EngineResult:
    if before is None:
        return result
    for name, values in before.values.items():
        values += result.values[name]
    return before


def _failure(contestant: _Contestant, failed: _JobError, part: str) -> MissingPeer:
    params = {"engine": contestant.engine, "model": contestant.model.name, "reason": failed.reason}
    if part:
        return MissingPeer(contestant.engine, "bench-peer-part", {**params, "part": part})
    return MissingPeer(contestant.engine, "bench-peer-died", params)


def _work(python: str, job: dict[str, Any]) -> dict[str, Any]:
    """Have a process do the job; raises _JobError where it gives no result."""
    package = str(Path(__file__).resolve().parents[1])
    command = [python, "-c", _WORKER, package, json.dumps(job)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=_environment())
    except OSError as error:
        raise _JobError("failed", f"{python}: {error.strerror}") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        code = done.returncode
        status = f"signal {-code}" if code < 0 else f"exit status {code}"
        raise _JobError("failed", status) from None
    if "failed" in answer:
        raise _JobError(answer["failed"], answer["reason"])
    return answer


def _environment() -> dict[str, str]:
    """Peers see the environment as it is, but for reports of use, which some send home."""
    return {**os.environ, "OPENVINO_TELEMETRY": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
