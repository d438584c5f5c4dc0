"""What a restart costs with keys and values stored, and without.

    python benchmarks/kv_store.py MODEL --work DIR [--prompt-tokens 2048] [--repeat 3]
    python benchmarks/kv_store.py --pages        the kept figures into the guide

Every run is a process of its own: one without a store, one that fills an empty store, one that
finds it (its file in the page cache, as after leaving the program), and one that finds it after its
pages have been dropped from the page cache (as after a reboot). Each asks for a prompt of random
tokens and writes 32 more, greedily; all must write the same tokens, with the same logits behind the
last to the bit, or the script fails. Measured are the time to the first token (from the ids on,
loading excluded), the speed of decoding (the store is filled meanwhile), and the bytes stored and
written. Medians over the repeats, in turns. Writes DIR/kv_store.json; ``figures/kv_store.json``,
copied from there, is what is shown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from calibration import page_with

import pocketr1
from pocketr1.bench.machine import describe_machine
from pocketr1.bench.page_cache import drop, resident_share

KEPT = Path(__file__).parent / "figures" / "kv_store.json"
DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "guide" / "memory.md", DOCS / "zh" / "memory.md"]
MARK = "<!-- figures: kv store -->"
NEW_TOKENS = 32
GREEDY = pocketr1.Sampling(temperature=0.0)
HOW = ("without", "filling", "restored", "restored_cold")


def work(options: dict[str, Any]) -> dict[str, Any]:
    """Do one run in this process."""
    ids = np.random.default_rng(7).integers(10, options["vocabulary"], options["prompt_tokens"])
    began = time.perf_counter()
    engine = pocketr1.load(
        options["model"],
        threads=options["threads"],
        kv_format=options["kv_format"],
        kv_store=options["store"],
        max_context=options["prompt_tokens"] + 2 * NEW_TOKENS,
    )
    load_s = time.perf_counter() - began
    with engine, engine.sequence() as sequence:
        began = time.perf_counter()
        generation = engine.generate(
            ids, GREEDY, max_tokens=NEW_TOKENS, stop_token_ids=(), sequence=sequence
        )
        tokens = [next(generation).id]
        first = time.perf_counter() - began
        tokens += [token.id for token in generation]
        logits = sequence.append(tokens[-1:])
        found = {
            "load_s": load_s,
            "ttft_s": first,
            "decode_tok_s": (NEW_TOKENS - 1) / generation.decode_seconds,
            "restored_tokens": generation.restored_tokens,
            "tokens": tokens,
            "logits": hashlib.sha256(logits.tobytes()).hexdigest(),
            "kv_bytes_in_memory": engine.kv_bytes,
            "kv_page_bytes": engine._session.page_bytes,
        }
        if engine.kv_store is not None:
            began = time.perf_counter()
            engine.kv_store.flush(600)
            found["flush_s"] = time.perf_counter() - began
            engine.kv_store.close()
            stats = engine.kv_store.stats
            found |= {f"store_{name}": value for name, value in asdict(stats).items()}
            found["notices"] = [notice.code for notice in engine.kv_store.notices]
    return found


def apart(options: dict[str, Any]) -> dict[str, Any]:
    """Do one run in a process of its own."""
    command = [sys.executable, __file__, "--worker", json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def round_of(options: dict[str, Any], store: Path) -> dict[str, dict[str, Any]]:
    """Do one of each kind of run."""
    for side in ("", "-wal", "-shm", ".reserve"):
        store.with_name(store.name + side).unlink(missing_ok=True)
    runs: dict[str, dict[str, Any]] = {"without": apart({**options, "store": None})}
    for how in HOW[1:]:
        if how == "restored_cold":
            drop([store])
        warm = resident_share([store]) if how != "filling" else None
        runs[how] = {**apart({**options, "store": str(store)}), "resident": warm}
        if runs[how]["notices"]:
            raise SystemExit(f"{how}: {runs[how]['notices']}")
    for how, run in runs.items():
        if (run["tokens"], run["logits"]) != (runs["without"]["tokens"], runs["without"]["logits"]):
            raise SystemExit(f"{how} gives another answer")
        print(
            f"{options['kv_format']} {how}: first token {run['ttft_s']:.3f} s,"
            f" {run['restored_tokens']} tokens restored, decode {run['decode_tok_s']:.1f} tok/s",
            file=sys.stderr,
        )
    return runs


def medians(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the median of every figure, and the spread of the time to the first token."""
    found: dict[str, dict[str, Any]] = {}
    for how in HOW:
        rows = [each[how] for each in rounds]
        found[how] = {
            name: statistics.median(row[name] for row in rows)
            for name, value in rows[0].items()
            if isinstance(value, int | float)
        }
        times = sorted(row["ttft_s"] for row in rows)
        found[how]["ttft_range_s"] = [times[0], times[-1]]
    return found


def table(found: dict[str, Any], chinese: bool) -> str:
    """Return the figures as a Markdown table."""
    head = (
        ("提示、K/V", "首词元：计算", "恢复", "恢复（文件不在页缓存中）", "内存中 K/V")
        if chinese
        else (
            "prompt, K/V",
            "first token: computed",
            "restored",
            "file not cached",
            "K/V in memory",
        )
    )
    head += (
        ("写入存储", "解码：写入时") if chinese else ("written to flash", "decode while storing")
    )
    head += ("不写入时",) if chinese else ("without",)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kv_format, runs in found["kv_formats"].items():
        plain, filling = runs["without"], runs["filling"]
        tokens = f"{found['prompt_tokens']:,}" + (" 个词元" if chinese else " tokens")
        cells = [f"{tokens}, {kv_format.upper()}", f"{plain['ttft_s']:.2f} s"]
        for how in ("restored", "restored_cold"):
            ratio = runs[how]["ttft_s"] / plain["ttft_s"]
            cells.append(f"{runs[how]['ttft_s']:.3f} s ({100 * ratio:.1f}%)")
        cells.append(f"{plain['kv_bytes_in_memory'] / 1e6:.1f} MB")
        cells.append(f"{filling['store_file_bytes'] / 1e6:.1f} MB")
        cells += [f"{run['decode_tok_s']:.1f} tok/s" for run in (filling, plain)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the guides with the kept figures in their place."""
    found = json.loads(KEPT.read_text("utf-8"))
    return {path: page_with(path, MARK, table(found, "zh" in path.parts)) for path in PAGES}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure a restart with stored keys and values.")
    parser.add_argument("model", nargs="?", help="a bundle, a checkpoint or tiny")
    parser.add_argument("--work", type=Path, help="where the store and the figures go")
    parser.add_argument("--prompt-tokens", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pages", action="store_true", help="the kept figures into the guide")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(json.loads(options.worker))))
        return
    if options.pages:
        for path, text in pages().items():
            path.write_text(text, "utf-8")
        return
    if options.model is None or options.work is None:
        parser.error("MODEL and --work, or --pages")
    options.work.mkdir(parents=True, exist_ok=True)
    with pocketr1.load(options.model) as engine:
        # Tiny R1's vocabulary has ids that it never saw; they do no harm.
        vocabulary = engine.vocab_size
    given = {
        "model": options.model,
        "prompt_tokens": options.prompt_tokens,
        "threads": options.threads,
        "vocabulary": vocabulary,
    }
    found: dict[str, Any] = {"machine": asdict(describe_machine()), **given}
    found |= {"repeat": options.repeat, "new_tokens": NEW_TOKENS, "kv_formats": {}}
    found |= {"model": Path(options.model).name, "load_average": os.getloadavg()[0]}
    store = options.work / "kv.sqlite3"
    rounds: dict[str, list[dict[str, dict[str, Any]]]] = {"f16": [], "int8": []}
    for _ in range(options.repeat):
        for kv_format, done in rounds.items():
            done.append(round_of({**given, "kv_format": kv_format}, store))
    for kv_format, done in rounds.items():
        found["kv_formats"][kv_format] = medians(done)
    (options.work / "kv_store.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(table(found, chinese=False))


if __name__ == "__main__":
    main()
