"""Measure Tiny R1 on held-out problems, before and after compression.

    python -m tiny_r1.evaluate CHECKPOINT --work DIRECTORY [--problems 5000] [--full]

compresses the checkpoint, puts the same problems to every variant, each in a process of its own,
and prints a table; ``--full`` adds the outlier twin, answers without thinking, and the divergence
from the checkpoint. The figures go to ``DIRECTORY/figures.json``. Needs no PyTorch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pocketr1
from pocketr1 import measure
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.cli.progress import progress_bar
from pocketr1.machine import peak_rss_bytes
from tiny_r1.outliers import write_twin
from tiny_r1.sample import held_out_problems

__all__ = ["Variant", "measure_variants"]

_MAX_TOKENS = 400  # the longest right reply has about 250
_TEXT_PROBLEMS = 300  # whose right replies are the text of the divergence


@dataclass(frozen=True)
class Variant:
    """A model to measure: its name in the table, its directory, and whether it may think."""

    name: str
    path: Path
    think: bool = True


def problems(count: int) -> list[measure.TaskProblem]:
    """Return the first held-out problems, English and Chinese by turns."""
    return [
        measure.TaskProblem(problem.question, problem.answer, problem.language)
        for problem in islice(held_out_problems(), count)
    ]


def measure_one(variant: Variant, count: int) -> dict[str, Any]:
    """Put the problems to one model in this process."""
    with progress_bar() as bar, pocketr1.load(variant.path) as engine:

        def advance(done: int, total: int) -> None:
            bar("cli-progress-measure", done, total, f"{variant.name}: {done} / {total}")

        advance(0, count)
        began = time.monotonic()
        outcomes = measure.run_task(
            engine,
            problems(count),
            max_tokens=_MAX_TOKENS,
            think=variant.think,
            progress=advance,
        )
        seconds = time.monotonic() - began
    return {
        "right": [outcome.right for outcome in outcomes],
        "groups": [outcome.problem.group for outcome in outcomes],
        "tokens": sum(outcome.tokens for outcome in outcomes),
        "truncated": sum(outcome.finish_reason != "stop" for outcome in outcomes),
        "seconds": seconds,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def measure_variants(variants: list[Variant], count: int) -> dict[str, dict[str, Any]]:
    """Put the problems to every model, each in a process of its own."""
    results = {}
    for variant in variants:
        command = [sys.executable, "-m", "tiny_r1.evaluate", str(variant.path)]
        command += ["--one", variant.name]
        command += ["--problems", str(count), *([] if variant.think else ["--no-thought"])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        results[variant.name] = json.loads(done.stdout)
    return results


def prepare(checkpoint: Path, work: Path, full: bool) -> list[Variant]:
    """Compress the checkpoint, and its twin, where it is not done; the checkpoint comes first."""
    work.mkdir(parents=True, exist_ok=True)
    sources = {"": checkpoint}
    if full:
        sources["twin "] = work / "twin"
        if not (work / "twin").exists():
            write_twin(checkpoint, work / "twin")
    variants = [Variant("BF16", checkpoint)]
    for prefix, source in sources.items():
        for bits, group in ((8, 128), (4, 32)):
            out = work / f"{prefix.strip() or 'tiny-r1'}-int{bits}"
            if not out.exists():
                pocketr1.Quantizer(source, output_path=out, bits=bits, group_size=group).run()
            variants.append(Variant(f"{prefix}INT{bits}", out))
    if full:
        variants.append(Variant("BF16, no thought", checkpoint, think=False))
    return variants


def figures(variants: list[Variant], results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row of figures for every variant; differences are from the first."""
    reference = results[variants[0].name]
    rows = []
    for variant in variants:
        result = results[variant.name]
        report = pocketr1.inspect(variant.path)
        by_group: dict[str, list[bool]] = {}
        for group, right in zip(result["groups"], result["right"], strict=True):
            by_group.setdefault(group, []).append(right)
        row = {
            "name": variant.name,
            "file_bytes": report.file_bytes,
            "bits_per_weight": report.bits_per_weight,
            "accuracy": measure.Proportion.of(result["right"]).to_dict(),
            "by_language": {
                group: measure.Proportion.of(right).to_dict() for group, right in by_group.items()
            },
            "mean_tokens": result["tokens"] / len(result["right"]),
            "truncated": result["truncated"],
            "tokens_per_second": result["tokens"] / result["seconds"],
            "peak_rss_bytes": result["peak_rss_bytes"],
        }
        if result is not reference:
            loss = measure.PairedDifference.of(reference["right"], result["right"])
            row["loss"] = loss.to_dict()
        rows.append(row)
    return rows


def divergences(variants: list[Variant]) -> dict[str, dict[str, Any]]:
    """Compare each thinking variant with the first on the right replies to held-out problems.

    Only tokens of thought and answer count: the model never learned to predict questions.
    """
    tokenizer = load_tokenizer(variants[0].path)
    template = ChatTemplate.load(variants[0].path, tokenizer)
    exchanges = []
    for problem in islice(held_out_problems(seed=3), _TEXT_PROBLEMS):
        prompt = template.encode([{"role": "user", "content": problem.question}]).ids
        reply = f"{problem.thought}\n</think>\n\n{problem.reply}"
        ids = (*prompt, *tokenizer.encode_markup(reply))
        # Thought and answer count as one part here.
        exchanges.append(measure.Exchange(ids, len(prompt), len(ids)))
    found = {}
    with pocketr1.load(variants[0].path) as reference:
        for variant in variants[1:]:
            if not variant.think:
                continue
            with pocketr1.load(variant.path) as model:
                tally = measure.compare_exchanges(reference, model, exchanges)
            compared = tally.comparison(measure.PARTS.index("reasoning"))
            assert compared is not None
            found[variant.name] = {
                **compared.divergence.to_dict(),
                "perplexity": compared.model.value,
                "reference_perplexity": compared.reference.value,
            }
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| | size, MB | bits per weight | right, % (95%) | en / zh, % | lost, points (95%) "
        "| tok/s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["accuracy"]["interval"]
        languages = " / ".join(
            f"{100 * row['by_language'][each]['value']:.1f}" for each in ("en", "zh")
        )
        lost = "–"
        if "loss" in row:
            down, up = row["loss"]["interval"]
            lost = f"{100 * row['loss']['value']:.2f} ({100 * down:.2f} – {100 * up:.2f})"
        lines.append(
            f"| {row['name']} | {row['file_bytes'] / 1e6:.1f} | {row['bits_per_weight']:.2f} "
            f"| {100 * row['accuracy']['value']:.1f} ({100 * low:.1f} – {100 * high:.1f}) "
            f"| {languages} | {lost} | {row['tokens_per_second']:.0f} "
            f"| {row['peak_rss_bytes'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure Tiny R1 on held-out problems.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--work", type=Path, help="directory for bundles and figures")
    parser.add_argument("--problems", type=int, default=5000)
    parser.add_argument("--full", action="store_true", help="twin, no thought, divergence")
    parser.add_argument("--one", metavar="NAME", help="this model alone, outcomes as JSON")
    parser.add_argument("--no-thought", action="store_true")
    options = parser.parse_args()
    if options.one:
        variant = Variant(options.one, options.checkpoint, think=not options.no_thought)
        print(json.dumps(measure_one(variant, options.problems)))
        return
    if options.work is None:
        parser.error("--work is needed")
    variants = prepare(options.checkpoint, options.work, options.full)
    results = measure_variants(variants, options.problems)
    rows = figures(variants, results)
    document: dict[str, Any] = {"problems": options.problems, "rows": rows}
    if options.full:
        document["divergence"] = divergences(variants)
    (options.work / "figures.json").write_text(json.dumps(document, indent=1) + "\n")
    print(table(rows))
    for name, found in document.get("divergence", {}).items():
        print(
            f"KL divergence of {name}: {found['kld_mean']:.5f} nats per token of the reply, "
            f"same likeliest token {100 * found['top1_agreement']:.2f}%"
        )


if __name__ == "__main__":
    main()
