"""Decode under a memory limit that the kernel keeps, beside llama.cpp under the same.

    python benchmarks/memory_budget.py BUNDLE --budget 700MB [--gguf FILE --peer-python PYTHON]
        [--prompt 448] [--gen 64] [--repeat 3] [--seconds 600] [--json FILE]

Runs as root on Linux with a memory control group. Every run is a process of its own, in a group
of BUDGET bytes without swap, after the page cache was dropped: ours with --memory-budget BUDGET,
the tokenizer loaded as for a chat; llama.cpp as it comes (weights repacked while loading), and
mapped without repacking. The group counts everything: interpreter, libraries, page cache. A run
that has not answered after so many seconds is ended and named: at its limit a process may go round
in circles, reading its own code again and again, without being killed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from memory_cgroup import make_group

from pocketr1.bench import describe_machine
from pocketr1.machine import parse_size

SOURCE = Path(__file__).parents[1] / "src"

# Arguments: BUNDLE BUDGET PROMPT GEN THREADS.
OURS = """
import json, sys
from time import perf_counter
import numpy as np
import pocketr1
from pocketr1.chat import load_tokenizer
from pocketr1.engine.loading import measure_streaming
path, budget, prompt, gen, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
began = perf_counter()
engine = pocketr1.load(
    path, threads=threads, max_context=prompt + gen + 1, memory_budget=budget
)
tokenizer = load_tokenizer(engine.path)
load_s = perf_counter() - began
ids = np.random.default_rng(0).integers(engine.vocab_size, size=prompt)
began = perf_counter()
greedy = pocketr1.Sampling(temperature=0.0)
generation = engine.generate(ids, greedy, max_tokens=gen + 1, stop_token_ids=())
next(generation)
first_s = perf_counter() - began
read = engine._model.stream[3]
began = perf_counter()
for _ in generation:
    pass
seconds = perf_counter() - began
streaming, plan = engine.streaming, engine.plan
read = (engine._model.stream[3] - read) / gen
engine.close()
# The bound is what the storage gives undisturbed: the best of what was measured before and after.
speed = max(streaming.storage_speed, *(measure_streaming(path) for _ in range(3)))
bound = speed / streaming.streamed if streaming.streamed else None
print(json.dumps({
    "load_s": load_s, "first_s": first_s, "tok_s": gen / seconds,
    "plan": plan.to_dict(), "resident": streaming.resident, "streamed": streaming.streamed,
    "read_per_token": read, "storage_bytes_s": speed, "direct": streaming.direct,
    "loading_bytes_s": streaming.storage_speed, "bound": bound,
    "share": gen / seconds / bound if bound else None,
}))
"""

# Arguments: GGUF REPACK PROMPT GEN THREADS.
THEIRS = """
import json, os, random, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from time import perf_counter
import llama_cpp as api
from pathlib import Path
from pocketr1.bench.peers import llama_cpp as peer
from pocketr1.bench.peers.peer import LoadOptions
path, repack, prompt, gen, threads = sys.argv[1], sys.argv[2] == "1", *map(int, sys.argv[3:6])
usual = api.llama_model_default_params
def params():
    chosen = usual()
    chosen.use_mmap, chosen.use_extra_bufts = True, repack
    return chosen
api.llama_model_default_params = params
began = perf_counter()
model = peer.open(Path(path), LoadOptions(threads=threads, context=prompt + gen + 1))
load_s = perf_counter() - began
draw = random.Random(0)
times = model.generate([[draw.randrange(model.vocab_size) for _ in range(prompt)]], gen + 1)
answer.write(json.dumps({"load_s": load_s, "first_s": times.first_s,
                         "tok_s": gen / times.decode_s, "settings": model.settings}))
answer.close()
os._exit(0)
"""


def run(
    name: str, command: list[str], limit: int, environment: dict[str, str], seconds: float
) -> dict[str, Any]:
    """Run once in a group of ``limit`` bytes; what came out and what the kernel counted."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    group = make_group("bench", limit)
    if isinstance(group, str):
        sys.exit(group)
    with group:
        with_environment = ["env", *(f"{key}={value}" for key, value in environment.items())]
        try:
            result = group.run([*with_environment, *command], timeout=seconds)
        except subprocess.TimeoutExpired:
            result = None
        charged = group.charged()
    row: dict[str, Any] = {"name": name, "peak": charged.peak, "oom_kills": charged.oom_kills}
    row["limit_met"] = charged.failures
    if result is None:
        row["ended"] = f"no answer in {seconds:.0f} s"
    elif result.returncode == 0:
        row |= json.loads(result.stdout.strip().splitlines()[-1])
    else:
        row["ended"] = "killed" if charged.oom_kills else result.stderr.strip()[-300:]
    return row


def show(row: dict[str, Any]) -> None:
    """Print one run."""
    head = f"{row['name']:22} peak {row['peak'] / 1e6:7.1f} MB  oom kills {row['oom_kills']}"
    if "ended" in row:
        print(f"{head}  {row['ended']}", flush=True)
        return
    line = f"{head}  load {row['load_s']:5.2f} s  prompt {row['first_s']:6.2f} s"
    line += f"  decode {row['tok_s']:6.2f} tok/s"
    print(line, flush=True)
    if "plan" in row:
        plan = row["plan"]
        other = plan["budget"] - plan["kv"] - row["resident"]
        print(
            f"  resident {row['resident'] / 1e6:.1f} MB (budget - K/V - {other / 1e6:.1f} MB), "
            f"streamed {row['streamed'] / 1e6:.1f} MB a token "
            f"(read {row['read_per_token'] / 1e6:.1f})"
        )
        if row["bound"]:
            way = "direct" if row["direct"] else "buffered"
            print(
                f"  storage {row['storage_bytes_s'] / 1e9:.2f} GB/s ({way}): at most "
                f"{row['bound']:.2f} tok/s, {row['share']:.0%} reached",
                flush=True,
            )


def main() -> int:
    """Run everything ``--repeat`` times, in turns; show medians at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--budget", required=True, metavar="SIZE")
    parser.add_argument("--gguf", type=Path, help="llama.cpp's model, such as q4_0.gguf")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--prompt", type=int, default=448, metavar="N")
    parser.add_argument("--gen", type=int, default=64, metavar="N")
    parser.add_argument("--peer-gen", type=int, default=8, metavar="N", help="it may be slow")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=600, metavar="N", help="of one run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    limit = parse_size(options.budget)
    if limit is None:
        parser.error(f"--budget takes a size, not {options.budget!r}")
    print(describe_machine(), flush=True)
    sizes = [str(options.prompt), str(options.gen), str(options.threads)]
    theirs = [str(options.prompt), str(options.peer_gen), str(options.threads)]
    jobs = [("ours", [sys.executable, "-c", OURS, str(options.bundle), str(limit), *sizes])]
    if options.gguf is not None:
        for name, repack in (("llama.cpp", "1"), ("llama.cpp, no repacking", "0")):
            peer = [options.peer_python, "-c", THEIRS, str(options.gguf), repack, *theirs]
            jobs.append((name, peer))
    rows = []
    for _ in range(options.repeat):
        for name, command in jobs:
            rows.append(run(name, command, limit, {"PYTHONPATH": str(SOURCE)}, options.seconds))
            show(rows[-1])
    for name, _ in jobs:
        mine = [row for row in rows if row["name"] == name]
        speeds = [row["tok_s"] for row in mine if "tok_s" in row]
        text = f"{statistics.median(speeds):.2f} tok/s" if speeds else "none survived"
        if speeds and name == "ours" and mine[0]["bound"]:
            text += f", {statistics.median(row['share'] for row in mine if 'share' in row):.0%}"
            text += " of the read bound"
        print(f"median  {name:24} {text}, {len(speeds)} of {len(mine)} survived")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
