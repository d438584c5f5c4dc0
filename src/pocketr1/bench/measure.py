"""The measurement itself; runs in a process that does nothing else."""

from __future__ import annotations

import math
import sys
from time import perf_counter

import numpy as np

from pocketr1.arch import expected_tensors
from pocketr1.bench.machine import describe_machine
from pocketr1.bench.report import BenchOptions, BenchReport, Spread
from pocketr1.engine import Engine, Sampling, load
from pocketr1.engine.budget import describe
from pocketr1.machine import peak_rss_bytes

__all__ = ["measure", "measure_peak"]

_GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=0)


def measure(model: str, options: BenchOptions) -> BenchReport:
    """Load ``model``, time it, and return the report; one line per repetition goes to stderr.

    Every repetition has a sequence of its own and a prompt of its own, so no prefix can be
    reused; end-of-text is ignored; the counts that are reported are asserted. A first, uncounted
    token pages the weights in.
    """
    # One token more than is counted: the first one falls out of the prefill.
    needed = options.prompt_tokens + options.gen_tokens + 1
    began = perf_counter()
    engine = load(
        model,
        threads=options.threads,
        max_context=needed,
        kv_format=options.kv_format,
        isa=options.isa,
        memory_budget=options.memory_budget,
    )
    load_s = perf_counter() - began
    engine.logits([engine.spec.bos_token_id or 0])
    first_logits_s = perf_counter() - began
    prefill, decode, first = [], [], []
    for turn in range(options.repeat):
        prompt_s, first_s, decode_s = _once(engine, options, turn)
        prefill.append(options.prompt_tokens / prompt_s)
        decode.append(options.gen_tokens / decode_s)
        first.append(first_s)
        line = f"{turn + 1}/{options.repeat}  prefill {prefill[-1]:.1f}  decode {decode[-1]:.2f}"
        print(line + " tok/s", file=sys.stderr, flush=True)
    parameters = sum(math.prod(shape) for shape in expected_tensors(engine.spec).values())
    return BenchReport(
        model=model,
        prefill_tok_s=Spread.of(prefill),
        decode_tok_s=Spread.of(decode),
        load_s=load_s,
        first_logits_s=first_logits_s,
        ttft_s=Spread.of(first).median,
        peak_rss_mb=peak_rss_bytes() / 1e6,
        weights_mb=engine.weight_bytes / 1e6,
        bits_per_weight=8 * engine.weight_bytes / parameters,
        isa=engine.isa,
        threads=engine.threads,
        kv_format=options.kv_format,
        prompt_tokens=options.prompt_tokens,
        gen_tokens=options.gen_tokens,
        repeat=options.repeat,
        machine=describe_machine(),
        memory=None
        if engine.streaming is None
        else dict(describe(engine.streaming, Spread.of(decode).median)),
    )


def measure_peak(model: str, options: BenchOptions) -> int:
    """Return the peak memory of this process, in bytes, when it has answered one prompt."""
    with load(
        model,
        threads=options.threads,
        max_context=options.prompt_tokens + options.gen_tokens + 1,
        kv_format=options.kv_format,
        isa=options.isa,
        memory_budget=options.memory_budget,
    ) as engine:
        _once(engine, options, 0)
    return peak_rss_bytes()


def _once(engine: Engine, options: BenchOptions, turn: int) -> tuple[float, float, float]:
    """Return seconds of prefill, to the first token, and of ``gen_tokens`` decode steps."""
    prompt = np.random.default_rng(turn).integers(engine.vocab_size, size=options.prompt_tokens)
    began = perf_counter()
    generation = engine.generate(
        prompt, _GREEDY, max_tokens=options.gen_tokens + 1, stop_token_ids=()
    )
    next(generation)
    first_s = perf_counter() - began
    for _ in generation:
        pass
    decode_s = perf_counter() - began - first_s
    counts = (generation.prompt_tokens, generation.reused_tokens, len(generation.token_ids))
    if counts != (options.prompt_tokens, 0, options.gen_tokens + 1):
        raise AssertionError(f"prompt, reused, generated tokens are {counts}")
    return generation.prefill_seconds, first_s, decode_s
