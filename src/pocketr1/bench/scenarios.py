"""What a user waits for: first load, speed kept up and memory, on the brief's three tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from pocketr1.bench import page_cache
from pocketr1.bench.apart import apart
from pocketr1.bench.machine import Machine, describe_machine
from pocketr1.bench.prompts import PROMPTS
from pocketr1.bench.report import rounded
from pocketr1.bench.steps import Step, measure_step
from pocketr1.errors import UsageError
from pocketr1.machine import peak_rss_bytes

__all__ = ["CLAIMS", "Claim", "Scenario", "ScenarioOptions", "ScenarioReport", "run_scenarios"]


@dataclass(frozen=True)
class Claim:
    """What was claimed for a 7B model on a Xiaomi 14: seconds, tokens per second, gigabytes."""

    first_load_s: float
    tok_s: float
    memory_gb: float


#: The figures of the guide "a 7B R1 in 8 GB", which this project was asked to measure itself by.
CLAIMS = {
    "text": Claim(8.7, 18.2, 3.2),
    "code": Claim(6.3, 14.5, 2.9),
    "mathematics": Claim(9.1, 12.7, 3.5),
}


@dataclass(frozen=True)
class ScenarioOptions:
    """tokens: written for each prompt, end-of-text ignored. steps: models of the second table, the
    most precise first; it is the reference of the others. task: a file of problems for accuracy;
    text: a file for divergence and perplexity, ``None`` the prompts themselves. speculate: ``off``,
    ``lookup`` or a draft model, as for the scenarios alone.

    Raises UsageError (``bench-value``).
    """

    tokens: int = 256
    threads: int | None = None
    steps: tuple[str, ...] = ()
    task: str | None = None
    text: str | None = None
    speculate: str = "off"

    def __post_init__(self) -> None:
        if isinstance(self.tokens, bool) or not isinstance(self.tokens, int) or self.tokens < 1:
            raise UsageError("bench-value", name="--gen-tokens", value=self.tokens)


@dataclass(frozen=True)
class Scenario:
    """One task. first_load_s: from nothing in memory to the first logits, tokenizer included.

    cold: whether the model's files really were out of memory. ttft_s: the prompts' mean time to the
    first token. tok_s: all tokens behind the first ones over their time. memory_gb: peak, 10^9.
    drafted, accepted: tokens of speculation; 0 without.
    """

    name: str
    first_load_s: float
    cold: bool
    ttft_s: float
    tok_s: float
    memory_gb: float
    prompt_tokens: int
    tokens: int
    isa: str
    threads: int
    drafted: int
    accepted: int


@dataclass(frozen=True)
class ScenarioReport:
    """Both tables. speculate: as asked for."""

    model: str
    scenarios: list[Scenario]
    steps: list[Step] = field(default_factory=list)
    machine: Machine = field(default_factory=describe_machine)
    speculate: str = "off"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, figures rounded to five digits, with the claims beside."""
        tree = asdict(self)
        for row in tree["scenarios"]:
            row["claim"] = asdict(CLAIMS[row["name"]])
        plain: dict[str, Any] = rounded({"kind": "scenarios", **tree})
        return plain

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> ScenarioReport:
        """Return the report ``to_dict`` described."""
        rows = [
            Scenario(**{name: value for name, value in row.items() if name != "claim"})
            for row in tree["scenarios"]
        ]
        steps = [Step(**step) for step in tree["steps"]]
        machine = Machine(**tree["machine"])
        return cls(tree["model"], rows, steps, machine, tree["speculate"])


def run_scenarios(
    model: str,
    options: ScenarioOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> ScenarioReport:
    """Measure every scenario in a fresh process, then the steps.

    Raises what loading and the tokenizer raise, UsageError of the task and the text, EngineError
    (``bench-died``).
    """
    options = options or ScenarioOptions()
    tell = progress or (lambda _what: None)
    scenarios = []
    for name in PROMPTS:
        tell(name)
        cold = _forget(model)
        tree = apart("scenario", model, {**asdict(options), "name": name})
        scenarios.append(Scenario(**tree, cold=cold))
    steps = []
    for step in options.steps:
        tell(step)
        steps.append(
            measure_step(
                step,
                options.steps[0],
                threads=options.threads,
                task=options.task,
                text=options.text,
            )
        )
    return ScenarioReport(model, scenarios, steps, speculate=options.speculate)


def measure_scenario(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Do one scenario in this process, which has done nothing else."""
    from pocketr1.chat import ChatTemplate, load_tokenizer
    from pocketr1.engine import Sampling, load
    from pocketr1.engine.loading import open_speculation

    name, tokens = options["name"], options["tokens"]
    began = perf_counter()
    engine = load(model, threads=options["threads"])
    tokenizer = load_tokenizer(engine.path)
    template = ChatTemplate.load(engine.path, tokenizer)
    prompts = [template.encode([{"role": "user", "content": text}]).ids for text in PROMPTS[name]]
    engine.logits([engine.spec.bos_token_id or 0])
    first_load_s = perf_counter() - began
    first_s = decode_s = 0.0
    drafted = accepted = 0
    with open_speculation(options["speculate"], engine) as speculation:
        for prompt in prompts:
            began = perf_counter()
            writing = engine.generate(
                prompt,
                Sampling(seed=0),
                max_tokens=tokens + 1,
                stop_token_ids=(),
                speculation=speculation,
            )
            next(writing)
            first = perf_counter() - began
            for _ in writing:
                pass
            decode_s += perf_counter() - began - first
            first_s += first
            if writing.speculated is not None:
                drafted += writing.speculated.drafted
                accepted += writing.speculated.accepted
    return {
        "name": name,
        "first_load_s": first_load_s,
        "ttft_s": first_s / len(prompts),
        "tok_s": len(prompts) * tokens / decode_s,
        "memory_gb": peak_rss_bytes() / 1e9,
        "prompt_tokens": sum(len(prompt) for prompt in prompts),
        "tokens": len(prompts) * tokens,
        "isa": engine.isa,
        "threads": engine.threads,
        "drafted": drafted,
        "accepted": accepted,
    }


def _forget(model: str) -> bool:
    """Have the system drop the model's pages; return whether it did."""
    from pocketr1.engine.loading import locate

    files = [path for path in Path(locate(model).path).rglob("*") if path.is_file()]
    page_cache.drop(files)
    left = page_cache.resident_share(files)
    return left is not None and left <= page_cache.STILL_WARM
