"""What a context too small for the thought costs: stopping, sliding, and room enough.

    python benchmarks/full_context.py --work DIR [--problems 500] [--contexts 64,96,128]
    python benchmarks/full_context.py --pages        the kept figures into the guides

puts held-out problems to Tiny R1 by DeepSeek's sampling rules, the same random numbers for all:
with a context that holds every reply, and with small ones that stop or slide. A reply that slides
may take as many tokens as the longest one of the ample context, twice. Writes
DIR/full_context.json; ``figures/full_context.json``, copied from there, is what the guides show.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from calibration import ROOT, TINY, page_with

import pocketr1
from pocketr1 import measure
from pocketr1.engine.window import FullContext
from pocketr1.evaluate import EvaluateOptions
from tiny_r1.sample import held_out_problems

SEED = 5
AMPLE = 1024
KEPT = Path(__file__).parent / "figures" / "full_context.json"
PAGES = (ROOT / "docs" / "guide" / "memory.md", ROOT / "docs" / "zh" / "memory.md")
MARK = "<!-- figures: full context -->"


def write_problems(path: Path, count: int) -> None:
    """Write held-out problems as a task."""
    with path.open("w", encoding="utf-8") as out:
        for problem in islice(held_out_problems(SEED), count):
            entry = {"question": problem.question, "answer": problem.answer}
            print(json.dumps(entry, ensure_ascii=False), file=out)


def answers(
    task: measure.Task, context: int, full_context: FullContext, max_tokens: int
) -> tuple[list[measure.Outcome], float]:
    """Return what the model made of the problems, and the seconds it took."""
    options = EvaluateOptions()
    sampling = replace(options.sampling, seed=options.first_seed)
    answering = measure.Answering(sampling, max_tokens, batch=32, full_context=full_context)
    problems = task.load()
    with pocketr1.load(TINY, max_context=context) as engine:
        began = perf_counter()
        replies = task.run(engine, problems, answering)
        seconds = perf_counter() - began
    return [task.score(*pair) for pair in zip(problems, replies, strict=True)], seconds


def row(
    context: int, when_full: str, outcomes: list[measure.Outcome], ample: list[measure.Outcome]
) -> dict[str, Any]:
    """Return the figures of one setting; those of the replies that did not fit apart."""
    right = [outcome.right for outcome in outcomes]
    cut = [a.text != b.text for a, b in zip(ample, outcomes, strict=True)]
    outgrown = [each for each, changed in zip(outcomes, cut, strict=True) if changed]
    return {
        "context": context,
        "when_full": when_full,
        "accuracy": measure.Proportion.of(right).to_dict(),
        "outgrown": len(outgrown),
        "outgrown_right": sum(each.right for each in outgrown),
        "unfinished": sum(each.finish_reason != "stop" for each in outcomes),
        "mean_tokens": sum(each.tokens for each in outcomes) / len(outcomes),
    }


_HEAD = (
    "| context | when full | right (95%) | replies changed | of them right | never ended "
    "| tokens a reply |",
    "| 上下文 | 写满时 | 答对（95%） | 受影响的回答 | 其中答对 | 没有结束 | 每个回答的词元数 |",
)
_WORDS = {"ample": "足够", "stop": "stop", "slide": "slide"}


def table(rows: list[dict[str, Any]], chinese: bool = False) -> str:
    """Return the figures as a Markdown table."""
    lines = [_HEAD[chinese], "|---" * 7 + "|"]
    for each in rows:
        low, high = each["accuracy"]["interval"]
        word = each["when_full"]
        cells = [
            f"{each['context']:,}",
            _WORDS[word] if chinese else word,
            f"{100 * each['accuracy']['value']:.1f}% ({100 * low:.1f} … {100 * high:.1f})",
            str(each["outgrown"]),
            str(each["outgrown_right"]),
            str(each["unfinished"]),
            f"{each['mean_tokens']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the guides with the kept figures in their place."""
    rows = json.loads(KEPT.read_text("utf-8"))["rows"]
    return {path: page_with(path, MARK, table(rows, "zh" in path.parts)) for path in PAGES}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what a full context costs.")
    parser.add_argument("--work", type=Path, help="where figures go")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--contexts", default="64,96,128")
    parser.add_argument("--pages", action="store_true", help="write the kept figures into guides")
    options = parser.parse_args()
    if options.pages:
        for path, page in pages().items():
            path.write_text(page, "utf-8")
        return
    if options.work is None:
        parser.error("--work or --pages")
    options.work.mkdir(parents=True, exist_ok=True)
    problems = options.work / "full_context.jsonl"
    write_problems(problems, options.problems)
    task = measure.JsonLinesTask(problems)
    ample, seconds = answers(task, AMPLE, "stop", AMPLE)
    rows = [row(AMPLE, "ample", ample, ample)]
    longest = max(outcome.tokens for outcome in ample)
    print(f"{seconds:.0f} s, longest reply {longest}", file=sys.stderr)
    settings: list[tuple[int, FullContext]] = []
    for context in map(int, options.contexts.split(",")):
        settings += [(context, "stop"), (context, "slide")]
    for context, when_full in settings:
        outcomes, seconds = answers(task, context, when_full, 2 * longest)
        rows.append(row(context, when_full, outcomes, ample))
        print(f"{seconds:.0f} s", json.dumps(rows[-1]), file=sys.stderr, flush=True)
    document = {"problems": options.problems, "seed": SEED, "rows": rows, "longest": longest}
    text = json.dumps(document, indent=1) + "\n"
    (options.work / "full_context.json").write_text(text, "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
