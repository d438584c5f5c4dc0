"""``pocketr1 evaluate``: what a model lost beside its reference, and whether that is too much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from pocketr1.cli.imported import Cache, runnable
from pocketr1.cli.interrupt import cancel_on_interrupt
from pocketr1.cli.numbers import decimal, points, whole
from pocketr1.cli.options import Cpus, Json, MaxContext, Model, Threads
from pocketr1.cli.output import print_json, say
from pocketr1.cli.progress import progress_bar
from pocketr1.cli.sampling import Seed, Temperature, ThinkBudget, TopP
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.engine import Sampling
    from pocketr1.evaluate import EvaluationReport

__all__ = ["MaxDrop", "MaxKld", "evaluate", "write_page"]

MaxDrop: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        parser=points("--max-drop"),
        show_default="8",
        help="cli-option-max-drop",
    ),
]
MaxKld: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-kld", metavar="NATS", parser=decimal("--max-kld"), help="cli-option-max-kld"
    ),
]


def _count(name: str, help: str, default: str | None = None) -> Any:
    shown = True if default is None else default
    return typer.Option(name, metavar="N", parser=whole(name), show_default=shown, help=help)


def evaluate(
    model: Model,
    reference: Annotated[
        str | None, typer.Option(metavar="MODEL", help="cli-option-reference")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="FILE", help="cli-option-evaluate-text")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="FILE", help="cli-option-evaluate-task")
    ] = None,
    limit: Annotated[int | None, _count("--limit", "cli-option-limit")] = None,
    seeds: Annotated[int, _count("--seeds", "cli-option-seeds", "1")] = 1,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    max_tokens: Annotated[
        int, _count("--max-tokens", "cli-option-evaluate-max-tokens", "4096")
    ] = 4096,
    think_budget: ThinkBudget = None,
    batch: Annotated[int, _count("--batch", "cli-option-batch", "16")] = 16,
    text_tokens: Annotated[int | None, _count("--text-tokens", "cli-option-text-tokens")] = None,
    window: Annotated[int, _count("--window", "cli-option-window", "512")] = 512,
    max_drop: MaxDrop = None,
    max_kld: MaxKld = None,
    calibration_text: Annotated[
        str | None, typer.Option(metavar="FILE", help="cli-option-evaluate-calibration")
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="cli-option-html")] = None,
    threads: Threads = None,
    cpus: Cpus = None,
    max_context: MaxContext = None,
    kv_format: Annotated[
        str,
        typer.Option(metavar="TYPE", show_default="f16", help="cli-option-evaluate-kv-format"),
    ] = "f16",
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Measure, then print the report; exit with 1 where it says FAIL."""
    from pocketr1.evaluate import EvaluateOptions, evaluate_models

    if reference is None:
        for option, value in (("--max-drop", max_drop), ("--max-kld", max_kld)):
            if value is not None:
                raise UsageError("evaluate-needs-reference", option=option)
    options = EvaluateOptions(
        sampling=_sampling(temperature, top_p, seed),
        seeds=seeds,
        max_tokens=max_tokens,
        think_budget=think_budget,
        batch=batch,
        limit=limit,
        text_tokens=text_tokens,
        window=window,
        max_drop=8.0 if max_drop is None else max_drop,
        max_kld=max_kld,
    )
    model = runnable(model, cache, threads)
    if reference is not None:
        reference = runnable(reference, cache, threads)
    with progress_bar() as bar:
        report = evaluate_models(
            model,
            reference,
            text=text,
            tasks=task or (),
            calibration=calibration_text,
            options=options,
            threads=threads,
            cpus=cpus,
            max_context=max_context,
            kv_format=kv_format,
            progress=lambda stage, *rest: bar("cli-progress-" + stage, *rest),
            watch=cancel_on_interrupt,
        )
    if html is not None:
        write_page(report, html)
    if json:
        print_json(report.to_dict())
    else:
        from pocketr1.cli.evaluate_tables import show_evaluation

        show_evaluation(report)
    if report.verdict == "fail":
        raise typer.Exit(1)


def write_page(report: EvaluationReport, path: str) -> None:
    """Write the report's page, and say where."""
    from pocketr1.evaluate import page

    page.write(report, Path(path))
    say("cli-evaluate-written", path=path)


def _sampling(temperature: float | None, top_p: float | None, seed: int | None) -> Sampling:
    from pocketr1.engine import Sampling

    given = {"temperature": temperature, "top_p": top_p, "seed": seed or 0}
    return Sampling(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
