"""What speculative decoding gains: acceptance, speed-up, and what a verified row costs.

    python benchmarks/speculation.py [--model DIRECTORY] [--json FILE] [--cpu-time]

Two kinds of runs, plain and speculative by turns, the same tokens asserted:

- ``live``: Tiny R1 answers its held-out problems. All it can do is arithmetic.
- ``replay``, with ``--model``: a model of real size, whose weights may be random, computes every
  step and draws every token, and is then told which token to take: that of a given text. The cost
  is real, and the acceptance is that of a model which would write exactly this text. The texts are
  Tiny R1's answers; modules of Python's standard library (code completion: 512 tokens are given);
  and passages of this repository's guide, repeated word for word (quoting). The tokenizer of code
  and passages is a BPE of 16,000 tokens trained on other modules, since a byte a token would
  flatter the drafter.

Speed-ups are medians of the ratios of decode time, a pair for each text, with the quartiles. On a
busy machine wall-clock time says little: ``--cpu-time`` takes the process's, on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import tokenizers

import pocketr1
from pocketr1 import Engine, Generation, Sampling, Speculation
from pocketr1.bench.machine import describe_machine
from pocketr1.chat import ChatTemplate, load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

from tiny_r1.sample import held_out_problems  # noqa: E402

VOCABULARY = 16_000
CODE_PROMPT = 512
ROWS = (1, 2, 3, 4, 5, 6, 8, 9, 12, 16)
clock = perf_counter


@dataclass(frozen=True)
class Text:
    """A prompt, and what a model writes behind it (none: whatever it writes)."""

    prompt: list[int]
    answer: list[int] = field(default_factory=list)


@dataclass
class Result:
    """One scenario with one way to draft; ratios: plain over speculative decode seconds."""

    scenario: str
    model: str
    draft: str
    tokens: int = 0
    steps: int = 0
    drafted: int = 0
    accepted: int = 0
    ratios: list[float] = field(default_factory=list)

    def row(self) -> str:
        """Return a line of the table."""
        share = self.accepted / self.drafted if self.drafted else 0.0
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        return (
            f"{self.scenario:<18}{self.model:<9}{self.draft:<14}{self.tokens:>7}"
            f"{self.drafted:>9}{self.accepted:>9}{share:>7.0%}"
            f"{1 + self.accepted / self.steps:>9.2f}{middle:>9.2f}  ({low:.2f} – {high:.2f})"
        )


def problems(engine: Engine, count: int) -> list[Text]:
    """Return Tiny R1's first held-out problems as prompts."""
    template = ChatTemplate.load(engine.path, load_tokenizer(engine.path))
    return [
        Text(list(template.encode([{"role": "user", "content": problem.question}]).ids))
        for problem in islice(held_out_problems(), count)
    ]


def modules() -> list[Path]:
    """Return the standard library's larger modules, in order."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return [path for path in sorted(library.glob("*.py")) if path.stat().st_size > 20_000]


def train_tokenizer() -> tokenizers.Tokenizer:
    """Return a byte-level BPE trained on every other module."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for path in modules()[::2]], trainer)
    return tokenizer


def code(tokenizer: tokenizers.Tokenizer, count: int, tokens: int) -> list[Text]:
    """Return modules the tokenizer has not seen: their beginnings, and how they go on."""
    unseen = modules()[1::2]
    texts = []
    for path in unseen[:: max(1, len(unseen) // count)][:count]:
        ids = tokenizer.encode(path.read_text(encoding="utf-8")).ids
        texts.append(Text(ids[:CODE_PROMPT], ids[CODE_PROMPT : CODE_PROMPT + tokens]))
    return texts


def quotes(tokenizer: tokenizers.Tokenizer, count: int, tokens: int) -> list[Text]:
    """Return passages of the guide, to be repeated."""
    texts = []
    for path in sorted((ROOT / "docs" / "guide").glob("*.md"))[:count]:
        passage = tokenizer.encode(path.read_text(encoding="utf-8")).ids[: tokens - 1]
        order = tokenizer.encode("\n\nRepeat the text above word for word:\n\n").ids
        texts.append(Text([*passage, *order], passage))
    return texts


def follow(engine: Engine, text: list[int]) -> None:
    """Let ``engine`` draw as it does, and take the token of ``text`` that stands there."""
    draw = type(engine)._draw

    def told(*args: Any, position: int, **options: Any) -> int:
        draw(engine, *args, position=position, **options)
        return text[position]

    engine.__dict__["_draw"] = told


def answer(
    engine: Engine, text: Text, speculation: Speculation | None, limit: int, seed: int
) -> tuple[Generation, float]:
    """Answer one prompt; return the generation and its seconds behind the first token."""
    if text.answer:
        follow(engine, text.prompt + text.answer)
        limit = len(text.answer)
    generation = engine.generate(
        text.prompt,
        Sampling(seed=seed),
        max_tokens=limit,
        stop_token_ids=() if text.answer else None,
        speculation=speculation,
    )
    next(generation)
    began = clock()
    for _ in generation:
        pass
    seconds = clock() - began
    engine.__dict__.pop("_draw", None)
    return generation, seconds


def compare(
    result: Result, engine: Engine, texts: list[Text], speculation: Speculation, repeat: int
) -> Result:
    """Decode all texts plain and speculatively, by turns, ``repeat`` times."""
    for _ in range(repeat):
        for seed, text in enumerate(texts):
            plain, plain_seconds = answer(engine, text, None, 400, seed)
            fast, fast_seconds = answer(engine, text, speculation, 400, seed)
            assert fast.token_ids == plain.token_ids, "speculation changed a text"
            assert fast.speculated is not None
            result.ratios.append(plain_seconds / fast_seconds)
            result.tokens += len(fast.token_ids) - 1  # the first is the prompt's
            result.steps += fast.speculated.steps
            result.drafted += fast.speculated.drafted
            result.accepted += fast.speculated.accepted
    print(result.row(), flush=True)
    return result


def row_costs(engine: Engine, repeat: int, context: int = 256) -> dict[int, float]:
    """Return the time of a step of several rows over that of one; medians, by turns."""
    random = np.random.default_rng(0)
    seconds: dict[int, list[float]] = {rows: [] for rows in ROWS}
    with engine.sequence() as sequence:
        sequence.append(random.integers(0, 4000, context))
        for _ in range(repeat + 1):
            for rows in ROWS:
                ids = random.integers(0, 4000, rows).astype(np.int32)
                began = clock()
                sequence._look_ahead(ids)
                seconds[rows].append(clock() - began)
                sequence.truncate(context)
    return {
        rows: statistics.median(
            a / b
            for a, b in zip(times[1:], seconds[1][1:], strict=True)  # the first warms up
        )
        for rows, times in seconds.items()
    }


def live(threads: int, count: int, repeat: int) -> Iterator[Result]:
    """Tiny R1 with each way to draft."""
    ways = {
        "lookup": Speculation(),
        "lookup 2": Speculation(max_tokens=2, adaptive=False),
        "lookup 8": Speculation(max_tokens=8, adaptive=False),
    }
    with tempfile.TemporaryDirectory() as directory, pocketr1.load("tiny", threads=threads) as tiny:
        bundle = Path(directory) / "tiny-int4"
        pocketr1.Quantizer(tiny.path, output_path=bundle, bits=4, group_size=64).run()
        with pocketr1.load(bundle, threads=threads) as draft:
            ways["int4 model"] = Speculation(draft)
            ways["int4 model 4"] = Speculation(draft, max_tokens=4, adaptive=False)
            texts = problems(tiny, count)
            for name, speculation in ways.items():
                result = Result("problems, live", "tiny", name)
                yield compare(result, tiny, texts, speculation, repeat)


def replay(model: str, threads: int, tokens: int, repeat: int) -> Iterator[Result]:
    """A model of real size follows each kind of text."""
    tokenizer = train_tokenizer()
    with pocketr1.load("tiny", threads=threads) as tiny:
        solved = [
            Text(text.prompt, answer(tiny, text, None, tokens, 0)[0].token_ids)
            for text in problems(tiny, 6)
        ]
    scenarios = {
        "problems, replay": solved,
        "code completion": code(tokenizer, 4, tokens),
        "quoting": quotes(tokenizer, 4, tokens),
    }
    with pocketr1.load(model, threads=threads) as engine:
        for scenario, texts in scenarios.items():
            for name, speculation in (
                ("lookup", Speculation()),
                ("lookup 3", Speculation(max_tokens=3, adaptive=False)),
            ):
                result = Result(scenario, Path(model).name, name)
                yield compare(result, engine, texts, speculation, repeat)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="bundle of real size for the replays")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="of the process, on one thread")
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=128, help="of a replayed text, at most")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", help="file to write")
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock, options.threads = process_time, 1

    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    print(f"{machine.cpu}, {machine.cpus} CPUs, {machine.system}; {versions}")
    costs: dict[str, dict[int, float]] = {}
    for model in filter(None, ["tiny", options.model]):
        with pocketr1.load(model, threads=options.threads) as engine:
            print(f"{model}: {engine.isa}, {options.threads} threads; rows of a step, its cost: ")
            costs[Path(model).name] = row_costs(engine, 20 if model == "tiny" else options.repeat)
        line = (f"{rows}: {cost:.2f}" for rows, cost in costs[Path(model).name].items())
        print("  " + ", ".join(line), flush=True)
    print(
        f"{'text':<18}{'model':<9}{'draft':<14}{'tokens':>7}{'drafted':>9}{'accepted':>9}{'':>7}"
        f"{'tok/step':>9}{'speed-up':>9}"
    )
    results = list(live(options.threads, options.problems, options.repeat))
    if options.model:
        results += replay(options.model, options.threads, options.tokens, options.repeat)
    if options.json:
        tree = {
            "machine": asdict(machine),
            "threads": options.threads,
            "row_cost": costs,
            "results": [asdict(result) for result in results],
        }
        Path(options.json).write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
