"""``pocketr1 bench``: speed and memory, alone, beside other engines, over time, on questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1.cli.governing import MaxTemp, OnBattery, Remarks, make_care
from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.numbers import whole
from pocketr1.cli.options import Cpus, Json, MemoryBudget, Model, Threads, budget
from pocketr1.cli.output import print_json, say
from pocketr1.cli.progress import progress_bar
from pocketr1.cli.speculation import Speculate
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.bench import BenchOptions, CompareOptions, ScenarioOptions
    from pocketr1.engine import Care

__all__ = ["bench"]


def bench(
    model: Model,
    prompt_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole("--prompt-tokens"),
            show_default="512",
            help="cli-option-prompt-tokens",
        ),
    ] = 512,
    gen_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole("--gen-tokens"),
            show_default="64",
            help="cli-option-gen-tokens",
        ),
    ] = 64,
    threads: Threads = None,
    cpus: Cpus = None,
    repeat: Annotated[
        int,
        typer.Option(
            metavar="N", parser=whole("--repeat"), show_default="3", help="cli-option-repeat"
        ),
    ] = 3,
    kv_format: Annotated[
        str, typer.Option(metavar="TYPES", show_default="f16", help="cli-option-kv-formats")
    ] = "f16",
    against: Annotated[str | None, typer.Option(metavar="NAMES", help="cli-option-against")] = None,
    peer_models: Annotated[
        str | None, typer.Option(metavar="DIR", help="cli-option-peer-models")
    ] = None,
    peer_python: Annotated[
        str | None, typer.Option(metavar="PATH", help="cli-option-peer-python")
    ] = None,
    long_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole("--long-tokens"),
            show_default="4096",
            help="cli-option-long-tokens",
        ),
    ] = 4096,
    together: Annotated[
        int,
        typer.Option(
            metavar="N", parser=whole("--together"), show_default="8", help="cli-option-together"
        ),
    ] = 8,
    roofline: Annotated[bool, typer.Option("--roofline", help="cli-option-roofline")] = False,
    sustain: Annotated[str | None, typer.Option(metavar="TIME", help="cli-option-sustain")] = None,
    plot: Annotated[str | None, typer.Option(metavar="FILE", help="cli-option-plot")] = None,
    scenarios: Annotated[bool, typer.Option("--scenarios", help="cli-option-scenarios")] = False,
    steps: Annotated[str | None, typer.Option(metavar="DIRS", help="cli-option-steps")] = None,
    task: Annotated[str | None, typer.Option(metavar="FILE", help="cli-option-task")] = None,
    text: Annotated[str | None, typer.Option(metavar="FILE", help="cli-option-text")] = None,
    speculate: Speculate = "off",
    max_temp: MaxTemp = None,
    on_battery: OnBattery = None,
    memory_budget: MemoryBudget = None,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Measure, then print a table or the report."""
    from pocketr1.bench import BenchOptions, CompareOptions, ScenarioOptions
    from pocketr1.machine import pinned

    modes = {
        "--against": against is not None,
        "--roofline": roofline,
        "--sustain": sustain is not None,
        "--scenarios": scenarios,
    }
    other = next((name for name, on in modes.items() if on), None)
    if memory_budget is not None and other is not None:
        raise UsageError("bench-modes", one="--memory-budget", other=other)
    _check_modes([name for name, on in modes.items() if on])
    for option, value, needs in (
        ("--peer-models", peer_models, "--against"),
        ("--peer-python", peer_python, "--against"),
        ("--plot", plot, "--sustain"),
        ("--max-temp", max_temp, "--sustain"),
        ("--on-battery", on_battery, "--sustain"),
        ("--steps", steps, "--scenarios"),
        ("--task", task, "--steps"),
        ("--text", text, "--steps"),
        ("--speculate", None if speculate == "off" else speculate, "--scenarios"),
    ):
        if value is not None and not (steps is not None if needs == "--steps" else modes[needs]):
            raise UsageError("bench-needs", option=option, needs=needs)
    first_kv, *more_kv = _names(kv_format) or ("",)
    if more_kv and against is None:
        raise UsageError("bench-needs", option="--kv-format " + kv_format, needs="--against")
    model = runnable(model, cache, threads)
    # What is pinned here is inherited by every process that measures, the peers' too.
    with pinned(cpus) as here:
        threads = threads or (None if here is None else len(here))
        if sustain is not None:
            _sustain(model, sustain, threads, make_care(max_temp, on_battery, 0), plot, json)
        elif scenarios:
            _scenarios(
                model,
                ScenarioOptions(gen_tokens, threads, _names(steps), task, text, speculate),
                json,
            )
        elif against is not None or roofline:
            _compare(
                model,
                CompareOptions(
                    prompt_tokens=prompt_tokens,
                    gen_tokens=gen_tokens,
                    long_tokens=long_tokens,
                    together=together,
                    threads=threads,
                    repeat=repeat,
                    kv_format=first_kv,
                    more_kv_formats=tuple(more_kv),
                    against=_names(against),
                    peer_models=peer_models,
                    peer_python=peer_python,
                    roofline=roofline,
                ),
                json,
            )
        else:
            options = BenchOptions(
                prompt_tokens,
                gen_tokens,
                threads,
                repeat,
                first_kv,
                memory_budget=budget(memory_budget),
            )
            _measure(model, options, json)


def _check_modes(on: list[str]) -> None:
    """Refuse two measurements at once; --against and --roofline are one."""
    kinds = {"--against": "compare", "--roofline": "compare"}
    for name in on[1:]:
        if kinds.get(name, name) != kinds.get(on[0], on[0]):
            raise UsageError("bench-modes", one=on[0], other=name)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _sustain(
    model: str, time: str, threads: int | None, care: Care, plot: str | None, json: bool
) -> None:
    from pocketr1.bench import duration, run_sustain
    from pocketr1.cli.bench_tables import show_sustain
    from pocketr1.engine import Governor

    seconds = duration(time)
    say("cli-bench-sustain-started", model=model, seconds=seconds)
    with progress_bar() as bar:
        report = run_sustain(
            model,
            seconds,
            threads=threads,
            governor=Governor(care, Remarks()),
            progress=lambda done, whole: bar("cli-progress-sustain", int(done), int(whole)),
        )
    if plot is not None:
        Path(plot).write_text(report.plot(), encoding="utf-8")
        say("cli-bench-plot", path=plot)
    if json:
        print_json(report.to_dict())
    else:
        show_sustain(report)


def _scenarios(model: str, options: ScenarioOptions, json: bool) -> None:
    from pocketr1.bench import run_scenarios
    from pocketr1.cli.bench_tables import show_scenarios

    say("cli-bench-turns")
    report = run_scenarios(model, options, lambda job: say("cli-bench-job", job=job))
    if json:
        print_json(report.to_dict())
    else:
        show_scenarios(report)


def _compare(model: str, options: CompareOptions, json: bool) -> None:
    from pocketr1.bench import compare_engines
    from pocketr1.cli.bench_tables import show_comparison

    say("cli-bench-turns")
    comparison = compare_engines(model, options, lambda job: say("cli-bench-job", job=job))
    for missing in comparison.missing:
        say(missing.code, **missing.params)
    if json:
        print_json(comparison.to_dict())
    else:
        show_comparison(comparison)


def _measure(model: str, options: BenchOptions, json: bool) -> None:
    from pocketr1.bench import run_bench
    from pocketr1.cli.bench_tables import show_bench

    say("cli-bench-started", model=model)
    report = run_bench(model, options)
    if json:
        print_json(report.to_dict())
    else:
        show_bench(report)
