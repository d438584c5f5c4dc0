"""What a budget for thoughts does to accuracy, and what becomes of a model that goes in circles.

    python benchmarks/think_budget.py --work DIR [--problems 1000]
    python benchmarks/think_budget.py --pages        the kept figures into the guide

puts held-out problems to Tiny R1, greedily, without a budget, with none at all and with several:
the thought closed, or the whole reply cut off by ``max_tokens``, which is given as many tokens as
the budget and an answer (24) need. Then to Tiny R1 rounded to 2 bits, which loops over some, with
and without the check for loops, a reply of at most 2,000 tokens each. The same definition of a
loop is also tried on replies that are right and on texts that people wrote (POCKETR1_DATA; left out
where missing), for false alarms. Writes DIR/think_budget.json; ``figures/think_budget.json``,
copied from there, is what is shown.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from calibration import ROOT, TINY, page_with

import pocketr1
from pocketr1 import Sampling, measure
from pocketr1.chat import Chat, load_tokenizer
from pocketr1.chat.control import LOOP_TOKENS
from pocketr1.engine.looping import LoopWatch
from tiny_r1.sample import held_out_problems

BUDGETS = (0, 16, 32, 48, 64, 96, 128)
ANSWER = 24  # tokens that a closed thought's tags and answer may take
SEED = 7  # of the problems
LONGEST = 2000
GREEDY = Sampling(temperature=0.0)
DATA = Path(os.environ.get("POCKETR1_DATA", ROOT.parent / "shared" / "data"))
TEXTS = ("text/wikitext2-raw-test.txt", "text/hongloumeng.txt", "math/gsm8k-test.jsonl")
KEPT = Path(__file__).parent / "figures" / "think_budget.json"
PAGES = (ROOT / "docs" / "guide" / "memory.md", ROOT / "docs" / "zh" / "memory.md")
MARK = "<!-- figures: think budget -->"
LOOPS = "<!-- figures: loops -->"


def problems(count: int) -> list[measure.TaskProblem]:
    """Return problems that training has not seen."""
    found = islice(held_out_problems(SEED), count)
    return [measure.TaskProblem(each.question, each.answer, each.language) for each in found]


def budgets(
    asked: list[measure.TaskProblem], kept: Path
) -> tuple[list[dict[str, Any]], list[measure.Reply]]:
    """Return a row for each budget, and the replies without one.

    The rows are kept, a line each, so that a run that was ended goes on.
    """
    task = measure.JsonLinesTask(TINY / "held-out.jsonl")
    lines = kept.read_text("utf-8").splitlines() if kept.exists() else []
    done = {each["budget"]: each for each in map(json.loads, lines)}
    with pocketr1.load(TINY) as engine:

        def put(**options: Any) -> tuple[list[bool], list[measure.Reply]]:
            replies = task.run(engine, asked, measure.Answering(GREEDY, batch=64, **options))
            return [task.score(*pair).right for pair in zip(asked, replies, strict=True)], replies

        free, replies = put()
        rows = [row(None, free, replies)]
        for budget in BUDGETS:
            if budget not in done:
                right, closed = put(think_budget=budget)
                cut, short = put(max_tokens=budget + ANSWER)
                figures = row(budget, right, closed)
                figures["loss"] = measure.PairedDifference.of(free, right).to_dict()
                figures["cut"] = row(budget, cut, short)
                figures["gain"] = measure.PairedDifference.of(right, cut).to_dict()
                done[budget] = figures
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(figures) + "\n")
            rows.append(done[budget])
    return rows, replies


def row(budget: int | None, right: list[bool], replies: list[measure.Reply]) -> dict[str, Any]:
    """Return the figures of one way to answer."""
    return {
        "budget": budget,
        "accuracy": measure.Proportion.of(right).to_dict(),
        "mean_tokens": sum(len(reply.token_ids) for reply in replies) / len(replies),
    }


def loops(asked: list[measure.TaskProblem], work: Path) -> dict[str, Any]:
    """Return what the check does to a model that loops.

    A reply without a loop is the same with and without the check; only the others are asked for
    again.
    """
    model = work / "two-bits"
    if not model.exists():
        pocketr1.Quantizer(TINY, output_path=model, bits=2, group_size=128).run()
    task = measure.JsonLinesTask(TINY / "held-out.jsonl")
    with pocketr1.load(model) as engine:
        answering = measure.Answering(GREEDY, max_tokens=LONGEST, batch=64)
        free = task.run(engine, asked, answering)
        found = {"off": summary(asked, free), "on": {}}
        checked, closed, ended = list(free), 0, 0
        for number, reply in enumerate(free):
            if not measure.is_looping(reply.token_ids, LOOP_TOKENS):
                continue
            with Chat(engine, sampling=GREEDY) as chat:
                again = chat.send(asked[number].question, max_tokens=LONGEST)
            closed += again.thought_closed == "loop"
            ended += again.answer_closed == "loop"
            exchange = replace(
                reply.exchange,
                ids=(*reply.exchange.ids[: reply.exchange.reasoning], *again.token_ids),
            )
            checked[number] = measure.Reply(exchange, again.answer, again.text, again.finish_reason)
    found["on"] = summary(asked, checked)
    found["on"] |= {"thoughts_closed": closed, "answers_ended": ended}
    return found


def summary(asked: list[measure.TaskProblem], replies: list[measure.Reply]) -> dict[str, Any]:
    """Return counts of replies."""
    task = measure.JsonLinesTask(TINY / "held-out.jsonl")
    return {
        "right": sum(task.score(*pair).right for pair in zip(asked, replies, strict=True)),
        "looping": sum(measure.is_looping(each.token_ids, LOOP_TOKENS) for each in replies),
        "looping_64": sum(measure.is_looping(each.token_ids) for each in replies),
        "cut_off": sum(len(each.token_ids) == LONGEST for each in replies),
        "tokens": sum(len(each.token_ids) for each in replies),
    }


def alarms(replies: Iterable[measure.Reply]) -> dict[str, dict[str, int]]:
    """Return false alarms, where a text is searched anew behind each."""
    tokens = [list(reply.token_ids) for reply in replies]
    found = {"Tiny R1, replies": counted(tokens)}
    directory = DATA / "tokenizers" / "deepseek-r1-distill-qwen"
    if directory.exists():
        tokenizer = load_tokenizer(directory)
        for name in TEXTS:
            path = DATA / name
            if path.exists():
                found[path.stem] = counted([tokenizer.encode_text(path.read_text("utf-8"))])
        source = [path.read_text("utf-8") for path in sorted(ROOT.glob("core/**/*.[ch]*"))]
        source += [path.read_text("utf-8") for path in sorted(ROOT.glob("src/**/*.py"))]
        found["Pocket R1, source"] = counted(map(tokenizer.encode_text, source))
    return found


def counted(texts: Iterable[list[int]]) -> dict[str, int]:
    """Return tokens, and alarms at 64 tokens, which an evaluation uses, and at what a chat does."""
    found = {"tokens": 0, "alarms_64": 0, "alarms": 0}
    for tokens in texts:
        found["tokens"] += len(tokens)
        for key, shortest in (("alarms_64", 64), ("alarms", LOOP_TOKENS)):
            watch = LoopWatch(shortest)
            for token in tokens:
                if watch.feed(token):
                    found[key] += 1
                    watch.clear()
    return found


_HEAD = (
    (
        "budget",
        "right",
        "lost, points (95%)",
        "tokens a reply",
        "cut off instead",
        "tokens a reply",
    ),
    (
        "预算",
        "答对",
        "损失，百分点（95%）",
        "每个回答的 token 数",
        "改为截断",
        "每个回答的 token 数",
    ),
)
_LOOP_HEAD = (
    (
        "check",
        "right",
        "written to 2,000 tokens",
        "thoughts closed, answers ended",
        "tokens in all",
    ),
    ("检查", "答对", "写满 2,000 个词元", "结束的思考，结束的回答", "总词元数"),
)


def budget_table(rows: list[dict[str, Any]], chinese: bool) -> str:
    """Return the budgets' figures as a Markdown table."""
    lines = ["| " + " | ".join(_HEAD[chinese]) + " |", "|---" * 6 + "|"]
    for each in rows:
        none = "不限" if chinese else "none"
        cells = [none if each["budget"] is None else str(each["budget"]), percent(each)]
        if "loss" in each:
            low, high = each["loss"]["interval"]
            value = each["loss"]["value"]
            cells.append(f"{100 * value:.1f} ({100 * low:.1f} … {100 * high:.1f})")
        else:
            cells.append("")
        cells.append(f"{each['mean_tokens']:.1f}")
        cut = each.get("cut")
        cells += [percent(cut), f"{cut['mean_tokens']:.1f}"] if cut else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def percent(each: dict[str, Any]) -> str:
    """Return an accuracy as it is shown."""
    return f"{100 * each['accuracy']['value']:.1f}%"


def loop_table(found: dict[str, Any], chinese: bool) -> str:
    """Return what the check for loops does as a Markdown table."""
    lines = ["| " + " | ".join(_LOOP_HEAD[chinese]) + " |", "|---" * 5 + "|"]
    for name, shown in (("off", "关"), ("on", "开")):
        each = found[name]
        ends = f"{each.get('thoughts_closed', 0)}, {each.get('answers_ended', 0)}"
        cells = [shown if chinese else name, each["right"], each["cut_off"], ends]
        lines.append("| " + " | ".join([*map(str, cells), f"{each['tokens']:,}"]) + " |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the guides with the kept figures in their place."""
    found = json.loads(KEPT.read_text("utf-8"))
    made = {}
    for chinese, path in enumerate(PAGES):
        page = page_with(path, MARK, budget_table(found["budgets"], bool(chinese)))
        made[path] = page_with(path, LOOPS, loop_table(found["loops"], bool(chinese)), page)
    return made


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what a budget for thoughts costs.")
    parser.add_argument("--work", type=Path, help="where model and figures go")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--pages", action="store_true", help="write the kept figures into guides")
    options = parser.parse_args()
    if options.pages:
        for path, page in pages().items():
            path.write_text(page, "utf-8")
        return
    if options.work is None:
        parser.error("--work or --pages")
    options.work.mkdir(parents=True, exist_ok=True)
    asked = problems(options.problems)
    rows, replies = budgets(asked, options.work / f"budgets-{len(asked)}.jsonl")
    found = {
        "problems": len(asked),
        "seed": SEED,
        "budgets": rows,
        "loops": loops(asked, options.work),
        "alarms": alarms(replies),
    }
    document = json.dumps(found, indent=1, ensure_ascii=False)
    (options.work / "think_budget.json").write_text(document + "\n", "utf-8")
    print(budget_table(rows, False), loop_table(found["loops"], False), sep="\n\n")
    print(json.dumps(found["alarms"], ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
