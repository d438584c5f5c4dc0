"""The server under load: several streams at once, long prompts beside them, a trace of requests.

    python benchmarks/serving.py MODEL --work DIR [--gguf FILE --llama-tools DIR] [--threads 2]
        [--scenarios streams,stall,static,load] [--repeat 3] [--rates 0.2,0.4,0.8,1.2]
    python benchmarks/serving.py --pages        the kept figures into the guide, and drawn

MODEL is what `pocketr1 serve` gets. With llama.cpp's ``llama-server`` in DIR and the same weights
as GGUF it is measured beside ours, by the same client, in turns. Each request is a prompt of random
ids, answered greedily with as many tokens as asked for, end-of-text ignored. The scenarios:

streams  1, 2, 4 and 8 at once, short prompts: tokens a second of all together.
stall    4 streams decode while three prompts of 2,048 tokens arrive: the largest gap between two
         tokens over the median gap.
static   a trace that comes faster than it can be served, beside the dynamic batching of the guide
         this project follows (serving_baseline.py).
load     the trace at several rates: throughput and latency.

Writes DIR/serving.json after each scenario, so that one that is cut short keeps what it has, and
DIR/serving-requests.jsonl with the time of every token. `results.py add` keeps the former.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

import results
import serving_baseline
import serving_servers
from serving_client import Asked, ask, fetch_json
from serving_report import section, table
from serving_summary import stall, summary
from serving_trace import ANSWERS, PROMPTS, Arrival, Lengths, prompt_ids, trace

import pocketr1
from pocketr1 import messages
from pocketr1.bench import describe_machine

PAGES = (("en", "docs/guide/benchmark.md"), ("zh", "docs/zh/性能测试.md"))
_BEGIN, _END = "<!-- serving -->\n", "<!-- serving: end -->"
AT_ONCE = 8  # answers that each server computes together
SCENARIOS = ("streams", "stall", "static", "load")


class Client:
    """Asks one server, each time with a prompt that it has not seen."""

    def __init__(self, server: serving_servers.Server, vocabulary: int, seed: int) -> None:
        self.server = server
        self._vocabulary = vocabulary
        self._seed = seed
        self._numbers = count()
        self._model: str | None = None

    async def ask(self, prompt_tokens: int, wanted: int, due: float | None = None) -> Asked:
        """Send one request when it is due; without ``due``, now."""
        asked = self.record(prompt_tokens, wanted, due)
        return await self.send(asked)

    def record(self, prompt_tokens: int, wanted: int, due: float | None = None) -> Asked:
        """Return the record of a request to be sent."""
        when = perf_counter() if due is None else due
        return Asked(next(self._numbers), prompt_tokens, wanted, when)

    async def send(self, asked: Asked, **more: Any) -> Asked:
        """Send a recorded request, with more fields than all have."""
        if self._model is None:
            _, models = await fetch_json(f"{self.server.url}/v1/models")
            self._model = models["data"][0]["id"]
        ids = prompt_ids(asked.number, asked.prompt_tokens, self._vocabulary, self._seed)
        fields = {"model": self._model, **self.server.fields, **more}
        return await ask(f"{self.server.url}/v1/completions", ids, asked, fields)


async def streams_at_once(client: Client, streams: int, prompt: int, answer: int) -> list[Asked]:
    """Ask ``streams`` times at once."""
    now = perf_counter()
    return list(await asyncio.gather(*(client.ask(prompt, answer, now) for _ in range(streams))))


async def long_prompts_beside(
    client: Client, options: argparse.Namespace
) -> tuple[list[Asked], list[Asked], tuple[float, float]]:
    """Return streams that decode, prompts that came meanwhile, and the interval before these."""
    room = options.context - options.short - 8
    streams = [client.record(options.short, room) for _ in range(4)]
    # With its probability each token is told, also one that ends inside a character.
    tasks = [asyncio.create_task(client.send(each, logprobs=0)) for each in streams]
    await asyncio.sleep(options.settle)  # their own prompts are computed
    begin = perf_counter()
    await asyncio.sleep(options.quiet)
    end = perf_counter()
    prompts = await asyncio.gather(
        *(client.ask(options.long, 8, end + number * options.apart) for number in range(3))
    )
    await asyncio.sleep(options.settle / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return streams, list(prompts), (begin, end)


async def replay(client: Client, requests: Sequence[Arrival]) -> list[Asked]:
    """Send a trace's requests when each is due."""
    begin = perf_counter() + 0.05
    asked = (client.ask(r.prompt_tokens, r.answer_tokens, begin + r.at) for r in requests)
    return list(await asyncio.gather(*asked))


class Bench:
    """The scenarios, over the servers that run, and the figures so far."""

    def __init__(
        self, options: argparse.Namespace, clients: list[Client], found: dict[str, Any]
    ) -> None:
        self._options = options
        self._clients = clients
        self._found = found
        self._requests: TextIO = (options.work / "serving-requests.jsonl").open("w")

    def _keep(self, scenario: str, name: str, requests: Sequence[Asked], **more: Any) -> None:
        head = {"scenario": scenario, "server": name, **more}
        for each in requests:
            self._requests.write(json.dumps({**head, **each.to_dict()}) + "\n")
        self._requests.flush()

    async def streams(self) -> None:
        """Measure streams at once."""
        options, rounds = self._options, self._found.setdefault("streams", {})
        for _ in range(options.repeat):
            for number in options.streams:
                for client in self._clients:
                    asked = await streams_at_once(client, number, options.short, options.answer)
                    name = client.server.name
                    self._keep("streams", name, asked, streams=number)
                    row = summary(asked)
                    rounds.setdefault(name, {}).setdefault(str(number), []).append(row)
                    _say(f"{number} streams, {name}", row)

    async def stall(self) -> None:
        """Measure what long prompts do to streams."""
        rounds = self._found.setdefault("stall", {})
        for _ in range(max(1, self._options.repeat - 1)):
            for client in self._clients:
                name = client.server.name
                streams, prompts, quiet = await long_prompts_beside(client, self._options)
                self._keep("stall", name, [*streams, *prompts])
                row = stall(streams, prompts, quiet)
                rounds.setdefault(name, []).append(row)
                print(f"stall, {name}: {json.dumps(row)}", file=sys.stderr, flush=True)

    async def static(self) -> None:
        """Measure the trace beside static batches."""
        options, rounds = self._options, self._found.setdefault("static", {})
        for number in range(max(1, options.repeat - 1)):
            requests = trace(
                options.static_requests,
                options.static_rate,
                variation=options.variation,
                seed=number,
                **_lengths(options),
            )
            asked = await replay(self._clients[0], requests)
            self._keep("static", "pocketr1", asked, round=number)
            rounds.setdefault("pocketr1", []).append(summary(asked))
            _say("trace, continuous", rounds["pocketr1"][-1])
            with pocketr1.load(
                options.model, threads=options.threads, max_context=options.context
            ) as engine:
                warm = prompt_ids(0, 64, engine.vocab_size, 1)
                list(engine.generate(warm, serving_baseline.GREEDY, max_tokens=4))
                asked = serving_baseline.serve(engine, requests, self._found["seed"] + 1)
            self._keep("static", "static", asked, round=number)
            rounds.setdefault("static", []).append(summary(asked))
            _say("trace, static batches", rounds["static"][-1])

    async def load(self) -> None:
        """Measure the trace at several rates."""
        options, rounds = self._options, self._found.setdefault("load", {})
        for rate in options.rates:
            requests = trace(
                max(8, round(rate * options.seconds)), rate, seed=1, **_lengths(options)
            )
            for client in self._clients:
                name = client.server.name
                asked = await replay(client, requests)
                self._keep("load", name, asked, rate=rate)
                row = {"rate": rate, **summary(asked)}
                rounds.setdefault(name, []).append(row)
                _say(f"{rate:g} requests a second, {name}", row)


def _lengths(options: argparse.Namespace) -> dict[str, Lengths]:
    half = options.context // 2
    return {"prompts": PROMPTS.within(half), "answers": ANSWERS.within(half - 8)}


def _say(what: str, row: dict[str, Any]) -> None:
    if "tok_s" not in row:
        print(f"{what}: all failed: {row['errors']}", file=sys.stderr, flush=True)
        return
    gaps, firsts = row["gap_s"], row["first_token_s"]
    print(
        f"{what}: {row['tok_s']:.1f} tok/s ({row['together_tok_s']:.1f} decoding together), first"
        f" token {firsts['p50']:.2f} s p50 {firsts['p95']:.2f} s p95, gap {1e3 * gaps['p50']:.0f}"
        f" ms p50 {1e3 * gaps['p99']:.0f} ms p99 {1e3 * gaps['max']:.0f} ms max, latency"
        f" {row['latency_s']['mean']:.1f} s, refused {row['refused']}, failed {row['failed']},"
        f" short {row['short']}",
        file=sys.stderr,
        flush=True,
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the servers and measure what is asked for."""
    with pocketr1.load(options.model, threads=options.threads) as engine:
        vocabulary = engine.vocab_size
    # New prompts in every run: what a server kept of an earlier one is of no use.
    seed = secrets.randbelow(1 << 31)
    servers = []
    if "pocketr1" in options.servers:
        servers.append(
            serving_servers.ours(
                options.model, options.threads, options.context, AT_ONCE, options.serve_options
            )
        )
    if "llama.cpp" in options.servers and options.gguf is not None:
        servers.append(
            serving_servers.llama_cpp(
                options.llama_tools, options.gguf, options.threads, options.context, AT_ONCE
            )
        )
    found: dict[str, Any] = {
        "kind": "serving",
        "model": Path(options.model).name,
        "machine": asdict(describe_machine()),
        "threads": options.threads,
        "seed": seed,
        "options": {
            name: getattr(options, name)
            for name in ("short", "answer", "long", "apart", "context", "repeat", "seconds",
                         "static_requests", "static_rate", "variation")
        },
        "prompts": asdict(_lengths(options)["prompts"]),
        "answers": asdict(_lengths(options)["answers"]),
        "servers": [
            {"name": each.name, "version": _version(each, options), **each.settings}
            for each in servers
        ],
    }  # fmt: skip
    print(json.dumps(found["machine"]), json.dumps(found["servers"]), file=sys.stderr, flush=True)
    async with AsyncExitStack() as stack:
        clients = []
        for server in servers:
            log = options.work / f"{server.name}.log"
            await stack.enter_async_context(serving_servers.running(server, log))
            clients.append(Client(server, vocabulary, seed))
        for client in clients:
            warm = [await client.ask(256, 8), *await streams_at_once(client, 8, 16, 8)]
            if any(each.error for each in warm):
                raise SystemExit(f"{client.server.name}: {[each.error for each in warm]}")
        bench = Bench(options, clients, found)
        for scenario in options.scenarios:
            began = perf_counter()
            await getattr(bench, scenario)()
            took = perf_counter() - began
            print(f"{scenario}: {took / 60:.1f} min", file=sys.stderr, flush=True)
            text = json.dumps(found, indent=1, ensure_ascii=False)
            (options.work / "serving.json").write_text(text + "\n", "utf-8")
    return found


def _version(server: serving_servers.Server, options: argparse.Namespace) -> str:
    """Return what a server says of its version."""
    if server.name == "pocketr1":
        return pocketr1.__version__
    tool = str(options.llama_tools / "llama-server")
    done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("version"))
    return next(found, "unknown")


def write_pages() -> list[Path]:
    """Show every kept result in the guides, with its tables and plots; return the files."""
    for language, name in PAGES:
        messages.set_language(language)
        page = results.ROOT / name
        text = page.read_text("utf-8")
        before, mark, rest = text.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not (mark and end):
            raise SystemExit(f"{name}: no place for the figures of serving")
        sections = [
            section(path.stem, json.loads(path.read_text("utf-8")))
            for path in sorted(results.RESULTS.glob("serving-*.json"))
        ]
        shown = "".join(f"\n{each}" for each in sections)
        page.write_text(f"{before}{mark}{shown}\n{end}{after}", "utf-8")
    messages.set_language(None)
    return [*results.write_pages(), *results.draw()]


def _several(kind: type) -> Any:
    return lambda text: [kind(part) for part in text.split(",")]


def main() -> int:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("model", nargs="?", help="a bundle, a checkpoint or tiny")
    parser.add_argument("--work", type=Path, help="where the figures and the servers' logs go")
    parser.add_argument("--pages", action="store_true", help="tables and plots of what is kept")
    parser.add_argument("--scenarios", type=_several(str), default=list(SCENARIOS), metavar="NAMES")
    parser.add_argument(
        "--servers", type=_several(str), default=["pocketr1", "llama.cpp"], metavar="NAMES"
    )
    parser.add_argument("--gguf", type=Path, help="the same weights for llama.cpp's server")
    parser.add_argument("--llama-tools", type=Path, metavar="DIR", help="holds llama-server")
    parser.add_argument("--serve-options", default="", help="more options for pocketr1 serve")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="rounds of streams; others one less")
    parser.add_argument("--context", type=int, default=4096, help="tokens of one sequence")
    parser.add_argument("--streams", type=_several(int), default=[1, 2, 4, 8], metavar="NUMBERS")
    parser.add_argument("--short", type=int, default=16, help="tokens of a stream's prompt")
    parser.add_argument("--answer", type=int, default=128, help="tokens of a stream's answer")
    parser.add_argument("--long", type=int, default=2048, help="tokens of a long prompt")
    parser.add_argument("--apart", type=float, default=1.0, help="seconds between long prompts")
    parser.add_argument("--settle", type=float, default=3.0, help="seconds for streams to begin")
    parser.add_argument("--quiet", type=float, default=5.0, help="seconds before long prompts")
    parser.add_argument("--static-requests", type=int, default=40, metavar="N")
    parser.add_argument("--static-rate", type=float, default=2.0, metavar="PER_SECOND")
    parser.add_argument("--variation", type=float, default=2.0, help="of gaps in that trace")
    parser.add_argument("--rates", type=_several(float), default=[0.2, 0.4, 0.8, 1.2])
    parser.add_argument("--seconds", type=float, default=30.0, help="of arrivals at each rate")
    options = parser.parse_args()
    if options.pages:
        for path in write_pages():
            print(path.relative_to(results.ROOT))
        return 0
    if options.model is None or options.work is None:
        parser.error("MODEL and --work, or --pages")
    if options.gguf is not None and options.llama_tools is None:
        parser.error("--gguf needs --llama-tools")
    if not set(options.scenarios) <= set(SCENARIOS):
        parser.error(f"--scenarios takes some of {', '.join(SCENARIOS)}")
    if "static" in options.scenarios and "pocketr1" not in options.servers:
        parser.error("the scenario static measures pocketr1")
    options.work.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(measure(options))
    messages.set_language("en")
    for part in ("streams", "stall", "static", "load"):
        if part in found:
            print(f"\n{table(found, part)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
