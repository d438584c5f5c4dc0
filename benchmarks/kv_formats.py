"""What F16 and INT8 keys and values cost beside F32: divergence, answers, bytes, speed.

    python benchmarks/kv_formats.py --work DIR [--problems 1000]
    python benchmarks/kv_formats.py --work DIR --speed BUNDLE [--contexts 4096,16384]
    python benchmarks/kv_formats.py --pages        the kept figures into the guides

puts held-out problems to Tiny R1 and its outlier twin, uncompressed, with F32, F16 and INT8 pages:
KL divergence from F32 over the right replies and over the problems themselves, and answers by
DeepSeek's sampling rules with the same random numbers for all. Divergences are means over tokens,
their intervals over problems, drawn anew. ``--speed`` decodes behind contexts of that many random
tokens with a bundle of real size, whose weights may be random: the median of the seconds for a
token, formats by turns; the context is written once for each format and then forked. Writes
DIR/kv_formats.json, each part beside the other; ``figures/kv_formats.json``, copied from there, is
what the guides show.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from calibrated_accuracy import write_problems
from calibration import ROOT, exchanges, held_out, page_with, sources
from numpy.typing import NDArray

import pocketr1
from pocketr1 import Engine, measure
from pocketr1.bench.machine import describe_machine
from pocketr1.bundle.files import write_file
from pocketr1.evaluate import EvaluateOptions

FORMATS = ("f32", "f16", "int8")
PROBLEMS = 1000
TURNS, STEPS = 5, 16
BEGINNING = 2048  # tokens whose pages fill a long context; a multiple of 64
KEPT = Path(__file__).parent / "figures" / "kv_formats.json"
PAGES = (ROOT / "docs" / "guide" / "memory.md", ROOT / "docs" / "zh" / "memory.md")
MARK = "<!-- figures: kv formats -->"
SPEED_MARK = "<!-- figures: kv speed -->"


def divergences(
    reference: Engine, model: Engine, replies: list[measure.Exchange]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return sums of KL over each problem's tokens and how many those are, (problems, 2) both.

    The columns are the problem itself and the reply.
    """
    sums, counts = np.zeros((len(replies), 2)), np.zeros((len(replies), 2), np.int64)
    for row, exchange in enumerate(replies):
        kl = measure.kl_divergence(reference.logits(exchange.ids), model.logits(exchange.ids))[:-1]
        begin = exchange.reasoning - 1  # the first of the reply is foretold by the prompt's last
        sums[row] = kl[:begin].sum(), kl[begin:].sum()
        counts[row] = begin, len(kl) - begin
    return sums, counts


def mean_of(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> list[float]:
    """Return the mean over tokens and its 95% interval, drawing problems anew."""
    drawn = np.random.default_rng(0).integers(0, len(sums), (4000, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return [float(sums.sum() / counts.sum()), *map(float, np.quantile(means, (0.025, 0.975)))]


def bytes_per_token(engine: Engine) -> float:
    """Return what 64 tokens take, over 64."""
    engine.trim_pages()
    with engine.sequence() as sequence:
        sequence.append([0] * 64)
        return engine.kv_bytes / 64


def accuracy(engine: Engine, task: measure.Task) -> list[measure.Outcome]:
    """Put the problems to a model as ``pocketr1 evaluate`` does."""
    options = EvaluateOptions()
    sampling = replace(options.sampling, seed=options.first_seed)
    answering = measure.Answering(sampling, options.max_tokens, options.think, batch=64)
    problems = task.load()
    replies = task.run(engine, problems, answering)
    return [task.score(*pair) for pair in zip(problems, replies, strict=True)]


def formats_of(source: Path, task: measure.Task, count: int, kept: Path) -> list[dict[str, Any]]:
    """Measure every format on one model, or read what was measured before."""
    if kept.exists():
        done: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))
        return done
    replies = exchanges(source, held_out(count))
    rows: list[dict[str, Any]] = []
    with pocketr1.load(source, kv_format="f32") as reference:
        first = accuracy(reference, task)
        right = [outcome.right for outcome in first]
        for kv_format in FORMATS:
            with pocketr1.load(source, kv_format=kv_format) as model:
                row: dict[str, Any] = {"format": kv_format, "bytes": bytes_per_token(model)}
                outcomes = first if kv_format == "f32" else accuracy(model, task)
                found = [outcome.right for outcome in outcomes]
                row["accuracy"] = measure.Proportion.of(found).to_dict()
                row["loss"] = measure.PairedDifference.of(right, found).to_dict()
                row["same_text"] = sum(
                    a.text == b.text for a, b in zip(first, outcomes, strict=True)
                )
                if kv_format != "f32":
                    sums, counts = divergences(reference, model, replies)
                    row["kld_prompts"] = mean_of(sums[:, 0], counts[:, 0])
                    row["kld_replies"] = mean_of(sums[:, 1], counts[:, 1])
            rows.append(row)
            print(source.name, json.dumps(row), file=sys.stderr, flush=True)
    write_file(kept, json.dumps(rows).encode())
    return rows


def _filled(engine: pocketr1.Engine, text: np.ndarray) -> pocketr1.Sequence:
    """Return a sequence of ``text``'s length that holds the pages of its beginning over and over.

    What decoding costs depends on how many keys and values there are, not on which; computing
    those of 16,384 tokens would take minutes.
    """
    begin = min(len(text), BEGINNING)
    sequence = engine.sequence()
    sequence.append(text[:begin])
    pages = engine._session.read_pages(sequence._handle, 0, begin // 64)
    while len(sequence) + begin <= len(text):
        engine._session.append_pages(sequence._handle, pages)
        sequence._tokens.extend(text[:begin].tolist())
    if len(sequence) < len(text):
        sequence.append(text[len(sequence) :])
    return sequence


def speed(bundle: Path, contexts: list[int]) -> dict[str, Any]:
    """Decode behind long contexts, a step of one token at a time."""
    formats = FORMATS[1:]
    random = np.random.default_rng(1)
    rows = []
    for context in contexts:
        limit = context + STEPS * TURNS + 1
        engines = {kv: pocketr1.load(bundle, max_context=limit, kv_format=kv) for kv in formats}
        text = random.integers(0, min(e.vocab_size for e in engines.values()), context)
        texts = {}
        for kv, engine in engines.items():
            texts[kv] = _filled(engine, text)
        seconds: dict[str, list[float]] = {kv: [] for kv in formats}
        for _ in range(TURNS):
            for kv in formats:
                with texts[kv].fork() as fork:
                    for token in text[:STEPS].tolist():
                        began = perf_counter()
                        fork.append([token])
                        seconds[kv].append(perf_counter() - began)
        for kv, engine in engines.items():
            quartiles = statistics.quantiles(seconds[kv], n=4)
            rows.append(
                {
                    "format": kv,
                    "context": context,
                    "bytes": engine._session.page_bytes / 64,
                    "tok_s": 1 / statistics.median(seconds[kv]),
                    "tok_s_quartiles": [1 / quartiles[2], 1 / quartiles[0]],
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            engine.close()
    with pocketr1.load(bundle) as engine:
        threads = engine.threads
    shape = pocketr1.inspect(bundle)
    return {
        "machine": asdict(describe_machine()),
        "threads": threads,
        "weights_mb": shape.weight_bytes / 1e6,
        "parameters": shape.parameters,
        "rows": rows,
    }


_HEAD = (
    "| model | K/V | bytes a token | KL, replies | KL, prompts | right | lost, points (95%) |",
    "| 模型 | K/V | 每个词元的字节数 | KL，回答 | KL，题目 | 答对 | 损失，百分点（95%） |",
)
_SPEED_HEAD = (
    "| context | K/V | K/V, MB | decode, tok/s | quartiles |",
    "| 上下文 | K/V | K/V（MB） | 解码（词元/秒） | 四分位数 |",
)


def table(found: dict[str, list[dict[str, Any]]], chinese: bool = False) -> str:
    """Return divergence and accuracy as a Markdown table."""
    lines = [_HEAD[chinese], "|---" * 7 + "|"]
    for model, rows in found.items():
        for row in rows:
            name = "离群孪生模型" if chinese and model != "Tiny R1" else model
            cells = [name, row["format"].upper(), f"{row['bytes']:.0f}"]
            for key in ("kld_replies", "kld_prompts"):
                if key in row:
                    mean, low, high = row[key]
                    cells.append(f"{mean:.1e} ({low:.1e} … {high:.1e})")
                else:
                    cells.append("")
            answered = row["accuracy"]
            cells.append(f"{answered['right']:,} / {answered['count']:,}")
            low, high = row["loss"]["interval"]
            points = f"{100 * row['loss']['value']:.2f} ({100 * low:.2f} … {100 * high:.2f})"
            cells.append("" if row["format"] == "f32" else points)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def speed_table(found: dict[str, Any] | None, chinese: bool = False) -> str:
    """Return the speeds as a Markdown table; without rows where none are kept."""
    lines = [_SPEED_HEAD[chinese], "|---" * 5 + "|"]
    for row in [] if found is None else found["rows"]:
        low, high = row["tok_s_quartiles"]
        cells = [f"{row['context']:,}", row["format"].upper()]
        cells += [f"{row['bytes'] * row['context'] / 1e6:.0f}", f"{row['tok_s']:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{low:.2f} … {high:.2f}"]) + " |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the guides with the kept figures in their place."""
    found = json.loads(KEPT.read_text("utf-8"))
    made = {}
    for chinese, path in enumerate(PAGES):
        made[path] = page_with(path, MARK, table(found["models"], bool(chinese)))
        if "speed" in found:
            path_text = speed_table(found["speed"], bool(chinese))
            made[path] = page_with(path, SPEED_MARK, path_text, made[path])
    return made


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what K/V formats cost.")
    parser.add_argument("--work", type=Path, help="where models and figures go")
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--speed", type=Path, metavar="BUNDLE", help="measure this one's speed")
    parser.add_argument("--contexts", default="4096,16384", help="tokens, with --speed")
    parser.add_argument("--pages", action="store_true", help="write the kept figures into guides")
    options = parser.parse_args()
    if options.pages:
        for path, page in pages().items():
            path.write_text(page, "utf-8")
        return
    if options.work is None:
        parser.error("--work or --pages")
    options.work.mkdir(parents=True, exist_ok=True)
    out = options.work / "kv_formats.json"
    known = out if out.exists() else KEPT
    figures: dict[str, Any] = json.loads(known.read_text("utf-8")) if known.exists() else {}
    if options.speed is not None:
        figures["speed"] = speed(options.speed, [int(c) for c in options.contexts.split(",")])
        print(speed_table(figures["speed"]))
    else:
        figures["models"] = {}
        for name, source, work, prompts in sources(options.work):
            problems = work / "kv_problems.jsonl"
            write_problems(problems, options.problems, prompts)
            task = measure.JsonLinesTask(problems)
            figures["models"][name] = formats_of(
                source, task, options.problems, work / f"kv_formats-{options.problems}.json"
            )
        print(table(figures["models"]))
    out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
