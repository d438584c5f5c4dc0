"""What calibration brings, and how it compares with llama.cpp's types and importance matrix.

    python benchmarks/calibration.py --work DIR [--llama-tools DIR --llama-python PYTHON]
    python benchmarks/calibration.py --work DIR --llama-only --llama-tools … --models "outlier twin"
    python benchmarks/calibration.py --pages        the kept figures into the guides

compresses Tiny R1 and its outlier twin, rounded plainly and calibrated with prompts of the kind it
was trained on, and measures the KL divergence of each from the original over the right replies to
held-out problems. With llama.cpp (its ``llama-quantize`` and ``llama-imatrix`` in DIR, and a Python
that has llama-cpp-python) the same models are made in its types, with an importance matrix of the
very text ours were calibrated with, and measured by it on the same tokens. Bits per weight count
all tensors' bytes over all weights, for both. Writes DIR/calibration.json and prints a table;
``figures/calibration.json``, copied from there, is what the guides show. ``--keep`` puts the rows
of the models and engines that were measured in place of the kept ones.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pocketr1
from pocketr1 import measure
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.compress import Quantizer, Target
from pocketr1.export import export_gguf

ROOT = Path(__file__).parents[1]
TINY = ROOT / "models" / "tiny-r1"
sys.path.insert(0, str(ROOT / "training"))

from tiny_r1.outliers import write_twin  # noqa: E402
from tiny_r1.problem import Problem  # noqa: E402
from tiny_r1.sample import held_out_problems, training_problem  # noqa: E402

SAMPLES = 512
PROBLEMS = 1000
OURS: dict[str, dict[str, Any]] = {
    "4 bits, groups of 64": {"bits": 4, "group_size": 64},
    "4 bits, groups of 64, zero points": {"bits": 4, "group_size": 64, "symmetric": False},
    "3 bits, groups of 64": {"bits": 3, "group_size": 64},
}
TARGETS = (4.27, 3.27)
KEPT = Path(__file__).parent / "figures" / "calibration.json"
PAGES = (ROOT / "docs" / "guide" / "calibrate.md", ROOT / "docs" / "zh" / "calibrate.md")
MARK = "<!-- figures: calibration -->"
LLAMA = ("Q4_0", "Q4_K_M", "Q3_K_L", "Q3_K_M", "IQ4_XS")


def write_prompts(path: Path) -> None:
    """Write questions like those the model was trained on; none is held out."""
    random = Random(11)
    lines = (json.dumps({"question": training_problem(random).question}) for _ in range(SAMPLES))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def held_out(count: int = PROBLEMS) -> Iterator[Problem]:
    """Return the problems on whose right replies is measured."""
    return islice(held_out_problems(seed=3), count)


def exchanges(model: Path, problems: Iterable[Problem]) -> list[measure.Exchange]:
    """Return right replies to problems."""
    tokenizer = load_tokenizer(model)
    template = ChatTemplate.load(model, tokenizer)
    found = []
    for problem in problems:
        prompt = template.encode([{"role": "user", "content": problem.question}]).ids
        reply = f"{problem.thought}\n</think>\n\n{problem.reply}"
        ids = (*prompt, *tokenizer.encode_markup(reply))
        found.append(measure.Exchange(ids, len(prompt), len(ids)))
    return found


def plans(prompts: Path) -> dict[str, dict[str, Any]]:
    """Return what is compressed, by name, and the Quantizer's options for it."""
    found: dict[str, dict[str, Any]] = {}
    for name, options in OURS.items():
        found[f"{name}, rounded"] = options
        found[f"{name}, calibrated"] = {**options, "calibration_data": prompts}
    for bits in TARGETS:
        target = Target(bits_per_weight=bits)
        name = f"{bits} bits shared out, calibrated"
        found[name] = {"target": target, "calibration_data": prompts}
    return found


def bundle(source: Path, work: Path, prompts: Path, name: str) -> Path:
    """Return the bundle of one of the plans, made where it is not there."""
    made = plans(prompts)
    options, out = made[name], work / f"ours-{list(made).index(name)}"
    if "calibration_data" in options:
        text = work / "text.txt"
        options = {**options, "calibration_samples": SAMPLES, "calibration_text": text}
    if not out.exists():
        Quantizer(source, output_path=out, **options).run()
    return out


def ours(source: Path, work: Path, prompts: Path) -> list[dict[str, Any]]:
    """Compress in every way and measure."""
    replies = exchanges(source, held_out())
    rows = []
    with pocketr1.load(source) as reference:
        for name in plans(prompts):
            out = bundle(source, work, prompts, name)
            with pocketr1.load(out) as model:
                tally = measure.compare_exchanges(reference, model, replies)
            bits_per_weight = pocketr1.inspect(out).bits_per_weight
            rows.append(
                {
                    "engine": "pocketr1",
                    "name": name,
                    "bits_per_weight": bits_per_weight,
                    "replies": _figures(tally.comparison(1)),
                    "prompts": _figures(tally.comparison(0)),
                }
            )
            print(f"{source.name}: {json.dumps(rows[-1])}", file=sys.stderr, flush=True)
    return rows


def _figures(compared: measure.Comparison | None) -> dict[str, Any]:
    assert compared is not None
    return compared.divergence.to_dict()


def llamas(
    source: Path, work: Path, text: Path, tools: Path, python: str, problems: int = PROBLEMS
) -> list[dict[str, Any]]:
    """Make the model in llama.cpp's types, with an importance matrix, and let it measure."""
    plain = work / "f16.gguf"
    export_gguf(source, plain, "f16", overwrite=True)
    matrix = work / "imatrix.gguf"
    run = [tools / "llama-imatrix", "-m", plain, "-f", text, "-o", matrix, "-c", "256"]
    subprocess.run([*map(str, run), "--parse-special"], check=True, capture_output=True)
    made = []
    for kind in LLAMA:
        out = work / f"{kind}.gguf"
        line = [tools / "llama-quantize", "--imatrix", matrix, plain, out, kind, "2"]
        subprocess.run([*map(str, line)], check=True, capture_output=True)
        made.append(out)
    replies = exchanges(source, held_out(problems))
    sequences = [[list(each.ids), each.reasoning] for each in replies]
    script = Path(__file__).with_name("llama_divergences.py")
    answer = subprocess.run(
        [python, str(script), str(plain), *map(str, made)],
        input=json.dumps(sequences),
        capture_output=True,
        text=True,
        check=True,
    )
    divergences = json.loads(answer.stdout)
    parameters = pocketr1.inspect(source).parameters
    rows = []
    for kind, path in zip(LLAMA, made, strict=True):
        size = pocketr1.inspect(path).weight_bytes
        rows.append(
            {
                "engine": "llama.cpp",
                "name": f"{kind} with importance matrix",
                "bits_per_weight": 8 * size / parameters,
                **divergences[str(path)],
            }
        )
    return rows


def kept_with(document: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the kept figures with new rows in place of those of the same model and engine."""
    models = {name: list(rows) for name, rows in document["models"].items()}
    for name, rows in found.items():
        new = {row["engine"] for row in rows}
        models[name] = [row for row in models.get(name, []) if row["engine"] not in new] + rows
    return {**document, "models": models}


def table(found: dict[str, list[dict[str, Any]]], chinese: bool = False) -> str:
    """Return the figures as a Markdown table."""
    head = (
        "model",
        "engine",
        "weights",
        "bits per weight",
        "KL, replies (95%)",
        "KL, prompts (95%)",
    )
    lines = [
        "| " + " | ".join(said(word, chinese) for word in head) + " |",
        "|---|---|---|---|---|---|",
    ]
    for model, rows in found.items():
        for row in sorted(
            rows, key=lambda row: (-round(row["bits_per_weight"], 2), row["replies"]["kld_mean"])
        ):
            name = ", ".join(said(part, chinese) for part in row["name"].split(", "))
            lines.append(
                f"| {said(model, chinese)} | {row['engine']} | {name} "
                f"| {row['bits_per_weight']:.2f} | {_mean(row['replies'], 5)} "
                f"| {_mean(row['prompts'], 4)} |"
            )
    return "\n".join(lines)


def _mean(figures: dict[str, Any], places: int) -> str:
    low, high = figures["kld_interval"]
    return f"{figures['kld_mean']:.{places}f} ({low:.{places}f} … {high:.{places}f})"


_CHINESE = {
    "model": "模型",
    "engine": "引擎",
    "weights": "权重",
    "bits per weight": "每权重位数",
    "KL, replies (95%)": "KL，回答（95%）",
    "KL, prompts (95%)": "KL，题目（95%）",
    "outlier twin": "离群孪生",
    "4 bits": "4 位",
    "3 bits": "3 位",
    "groups of 64": "每组 64",
    "zero points": "带零点",
    "rounded": "直接取整",
    "calibrated": "校准",
}


def said(text: str, chinese: bool) -> str:
    """Return a word of a table in the language of its guide."""
    if not chinese:
        return text
    text = text.replace("with importance matrix", "（重要性矩阵）")
    if text.endswith("bits shared out"):
        return f"自动分配 {text.split()[0]} 位"
    return _CHINESE.get(text, text)


def page_with(path: Path, mark: str, table: str, page: str | None = None) -> str:
    """Return a guide, or this text of it, with ``table`` in place of the one behind ``mark``."""
    before, found, rest = (page or path.read_text("utf-8")).partition(mark)
    old = re.match(r"\n\n(\|.*\n)+", rest)
    if not found or old is None:
        raise SystemExit(f"{path}: no table behind {mark}")
    return f"{before}{mark}\n\n{table}\n{rest[old.end() :]}"


def pages() -> dict[Path, str]:
    """Return the guides with the kept figures in their place."""
    found = json.loads(KEPT.read_text("utf-8"))["models"]
    return {path: page_with(path, MARK, table(found, "zh" in path.parts)) for path in PAGES}


def write_pages() -> None:
    """Write the kept figures into the guides."""
    for path, page in pages().items():
        path.write_text(page, "utf-8")


def sources(work: Path) -> Iterator[tuple[str, Path, Path, Path]]:
    """Yield name, checkpoint, directory and prompts of each model; the twin is made."""
    work.mkdir(parents=True, exist_ok=True)
    prompts = work / "prompts.jsonl"
    write_prompts(prompts)
    twin = work / "twin"
    if not twin.exists():
        write_twin(TINY, twin)
    for name, source in (("Tiny R1", TINY), ("outlier twin", twin)):
        directory = work / f"made-{source.name}"
        directory.mkdir(exist_ok=True)
        yield name, source, directory, prompts


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what calibration brings.")
    parser.add_argument("--work", type=Path, help="where models and figures go")
    parser.add_argument("--pages", action="store_true", help="write the kept figures into guides")
    parser.add_argument("--llama-tools", type=Path, help="directory of llama.cpp's programs")
    parser.add_argument("--llama-python", help="a Python that has llama-cpp-python")
    parser.add_argument("--llama-only", action="store_true", help="measure llama.cpp alone")
    parser.add_argument("--models", metavar="NAMES", help="only these, separated by commas")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="for llama.cpp alone")
    parser.add_argument("--keep", action="store_true", help="into the kept figures and the guides")
    options = parser.parse_args()
    with_llama = options.llama_tools is not None and options.llama_python is not None
    if options.pages:
        write_pages()
        return
    if options.work is None:
        parser.error("--work or --pages")
    if options.llama_only and not with_llama:
        parser.error("--llama-only needs --llama-tools and --llama-python")
    if options.problems != PROBLEMS and (options.keep or not options.llama_only):
        parser.error(f"only figures of {PROBLEMS} problems are kept, or compared with ours")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, source, work, prompts in sources(options.work):
        if options.models is not None and name not in options.models.split(","):
            continue
        text = work / "text.txt"
        found[name] = [] if options.llama_only else ours(source, work, prompts)
        if with_llama:
            if not text.exists():
                bundle(source, work, prompts, "4 bits, groups of 64, calibrated")
            tools, python = options.llama_tools, options.llama_python
            found[name] += llamas(source, work, text, tools, python, options.problems)
    document = {"samples": SAMPLES, "problems": options.problems, "models": found}
    text_of = json.dumps(document, indent=1) + "\n"
    (options.work / "calibration.json").write_text(text_of, "utf-8")
    if options.keep:
        merged = kept_with(json.loads(KEPT.read_text("utf-8")), found)
        KEPT.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")
        write_pages()
    print(table(found))


if __name__ == "__main__":
    main()
