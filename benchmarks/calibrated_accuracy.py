"""What compression costs in answers and in length: 5,000 problems, rounded, calibrated, shared out.

    python benchmarks/calibrated_accuracy.py --work DIR [--problems 5000]
    python benchmarks/calibrated_accuracy.py --pages        the kept figures into the guides

puts held-out problems to Tiny R1 and its outlier twin and to what calibration.py makes of them in
4.27 bits per weight (the same bundles, where DIR is the same), as ``pocketr1 evaluate`` would:
temperature 0.6, top-p 0.95, every model with the same random numbers, once a problem. Writes
DIR/problems.jsonl, a task of that command, and DIR/calibrated_accuracy.json, and prints a table;
``figures/calibrated_accuracy.json``, copied from there, is what the guides show. What was answered
is kept in DIR too, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from calibration import PAGES, ROOT, bundle, page_with, said, sources

import pocketr1
from pocketr1 import measure
from pocketr1.bundle.files import write_file
from pocketr1.evaluate import EvaluateOptions
from tiny_r1.sample import held_out_problems

PROBLEMS = 5000
SEED = 5  # of the problems; the kept task, and the text of the divergences, have others
BUNDLES = (
    "4 bits, groups of 64, rounded",
    "4 bits, groups of 64, calibrated",
    "4.27 bits shared out, calibrated",
)
KEPT = Path(__file__).parent / "figures" / "calibrated_accuracy.json"
MARK = "<!-- figures: calibrated accuracy -->"

#: One entry a problem, each of an answer: right, tokens, cut off, in a loop.
Answers = dict[str, list[Any]]


def write_problems(path: Path, count: int, prompts: Path) -> None:
    """Write problems that neither training nor calibration has seen."""
    seen = {json.loads(line)["question"] for line in prompts.read_text("utf-8").splitlines()}
    lines = []
    for problem in islice(held_out_problems(SEED), count):
        if problem.question in seen:
            raise SystemExit(f"calibrated with: {problem.question}")
        entry = {"question": problem.question, "answer": problem.answer, "group": problem.language}
        lines.append(json.dumps(entry, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def answers(model: Path, task: measure.Task, kept: Path) -> Answers:
    """Put the problems to a model, or read what it answered before."""
    if kept.exists():
        read: Answers = json.loads(kept.read_text("utf-8"))
        return read
    options = EvaluateOptions()
    sampling = replace(options.sampling, seed=options.first_seed)  # each model draws the same
    answering = measure.Answering(sampling, options.max_tokens, options.think, batch=64)
    problems = task.load()
    with pocketr1.load(model) as engine:
        replies = task.run(engine, problems, answering)
    outcomes = [task.score(*pair) for pair in zip(problems, replies, strict=True)]
    found: Answers = {
        "right": [outcome.right for outcome in outcomes],
        "tokens": [outcome.tokens for outcome in outcomes],
        "cut_off": [outcome.finish_reason != "stop" for outcome in outcomes],
        "looping": [measure.is_looping(reply.token_ids) for reply in replies],
    }
    write_file(kept, json.dumps(found).encode())
    return found


def row(name: str, model: Path, found: Answers, reference: Answers | None) -> dict[str, Any]:
    """Return a model's figures, beside the reference's where it is another."""
    tokens = sum(found["tokens"])
    figures = {
        "name": name,
        "bits_per_weight": pocketr1.inspect(model).bits_per_weight,
        "accuracy": measure.Proportion.of(found["right"]).to_dict(),
        "mean_tokens": tokens / len(found["tokens"]),
        "cut_off": sum(found["cut_off"]),
        "looping": sum(found["looping"]),
    }
    if reference is not None:
        loss = measure.PairedDifference.of(reference["right"], found["right"])
        figures["loss"] = loss.to_dict()
        figures["tokens_ratio"] = tokens / sum(reference["tokens"])
    return figures


def table(found: dict[str, list[dict[str, Any]]], chinese: bool = False) -> str:
    """Return the figures as a Markdown table."""
    head = _HEAD[chinese]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for model, rows in found.items():
        for each in rows:
            name = ", ".join(said(part, chinese) for part in each["name"].split(", "))
            cells = [
                said(model, chinese),
                "原模型" if chinese and each["name"] == "as it was" else name,
                f"{each['bits_per_weight']:.2f}",
                f"{100 * each['accuracy']['value']:.2f}%",
            ]
            loss = each.get("loss")
            if loss is None:
                cells += ["", "", f"{each['mean_tokens']:.1f}", ""]
            else:
                low, high = loss["interval"]
                cells += [
                    f"{100 * loss['value']:.2f} ({100 * low:.2f} … {100 * high:.2f})",
                    f"{loss['first_only']}, {loss['second_only']}",
                    f"{each['mean_tokens']:.1f}",
                    f"{100 * (each['tokens_ratio'] - 1):+.2f}%",
                ]
            cells.append(f"{each['cut_off']}, {each['looping']}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


_HEAD = (
    (
        "model",
        "weights",
        "bits per weight",
        "right",
        "lost, points (95%)",
        "answers lost, gained",
        "tokens a reply",
        "longer by",
        "cut off, in a loop",
    ),
    (
        "模型",
        "权重",
        "每权重位数",
        "答对",
        "损失，百分点（95%）",
        "变错，变对",
        "每个回答的 token 数",
        "长度变化",
        "被截断，循环",
    ),
)


def pages() -> dict[Path, str]:
    """Return README and guides with the kept figures in their place."""
    found = json.loads(KEPT.read_text("utf-8"))["models"]
    english, chinese = PAGES
    made = {}
    for path in (ROOT / "README.md", english):
        made[path] = page_with(path, MARK, table(found))
    for path in (ROOT / "README.zh-CN.md", chinese):
        made[path] = page_with(path, MARK, table(found, chinese=True))
    return made


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what compression costs in answers.")
    parser.add_argument("--work", type=Path, help="where models and figures go")
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--pages", action="store_true", help="write the kept figures into guides")
    options = parser.parse_args()
    if options.pages:
        for path, page in pages().items():
            path.write_text(page, "utf-8")
        return
    if options.work is None:
        parser.error("--work or --pages")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, source, work, prompts in sources(options.work):
        problems = options.work / "problems.jsonl"
        write_problems(problems, options.problems, prompts)
        task = measure.JsonLinesTask(problems)
        kept = work / f"answers-{options.problems}"
        kept.mkdir(exist_ok=True)
        reference = answers(source, task, kept / "reference.json")
        rows = [row("as it was", source, reference, None)]
        for number, each in enumerate(BUNDLES):
            model = bundle(source, work, prompts, each)
            rows.append(row(each, model, answers(model, task, kept / f"{number}.json"), reference))
            print(name, json.dumps(rows[-1]), file=sys.stderr, flush=True)
        found[name] = rows
    document = json.dumps({"problems": options.problems, "seed": SEED, "models": found}, indent=1)
    (options.work / "calibrated_accuracy.json").write_text(document + "\n", "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
