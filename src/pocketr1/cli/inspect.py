"""``pocketr1 inspect``: what a model is made of."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.cli.options import Json, KvFormat, MaxContext, Model
from pocketr1.cli.output import is_terminal, print_json, show, show_table
from pocketr1.cli.progress import progress_bar
from pocketr1.cli.streamed import foresee, show_forecast
from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.engine import ModelReport

__all__ = ["inspect"]


def inspect(
    model: Model,
    verify: Annotated[bool, typer.Option("--verify", help="cli-option-verify")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="cli-option-tensors")] = False,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="SIZE|auto", help="cli-option-budget")
    ] = None,
    max_context: MaxContext = None,
    kv_format: KvFormat = "f16",
    json: Json = False,
) -> None:
    """Inspect, then print a table or the report."""
    from pocketr1.engine import inspect as inspect_model

    for option, given in (
        ("--max-context", max_context is not None),
        ("--kv-format", kv_format != "f16"),
    ):
        if given and budget is None:
            raise UsageError("cli-plan-option", option=option)
    forecast = None if budget is None else foresee(model, budget, max_context, kv_format)

    with progress_bar() as bar:
        report = inspect_model(
            model,
            verify=verify,
            progress=lambda done, total: bar("cli-progress-verify", done, total),
        )
    if json:
        tree = report.to_dict()
        if not tensors:
            del tree["tensors"]
        if forecast is not None:
            tree["memory"] = forecast.to_dict()
        print_json(tree)
        return
    _print(report)
    if forecast is not None:
        show()
        show_forecast(forecast)
    if tensors:
        _print_tensors(report)


def _print(report: ModelReport) -> None:
    model = report.model
    layers = model["layers"]
    shape = f"{model['architecture']}, {len(layers)} x {model['hidden_size']}"
    heads = f"{layers[0]['heads']} / {layers[0]['kv_heads']} x {model['head_dim']}"
    formats = Counter(tensor.format for tensor in report.tensors)
    rows = {
        "cli-inspect-path": f"{report.path} ({messages.text('cli-kind-' + report.kind)})",
        "cli-inspect-model": f"{shape}, {heads}, FFN {layers[0]['ffn_size']}",
        "cli-inspect-vocabulary": str(model["vocab_size"]),
        "cli-inspect-positions": str(model["max_positions"]),
        "cli-inspect-parameters": f"{report.parameters / 1e6:.1f} M "
        f"({report.decoder_parameters / 1e6:.1f} M)",
        "cli-inspect-bits": f"{report.bits_per_weight:.3f} ({report.decoder_bits_per_weight:.3f})",
        "cli-inspect-formats": ", ".join(f"{name} ({n})" for name, n in formats.items()),
        "cli-inspect-size": f"{report.file_bytes / 1e6:.1f} MB",
        "cli-inspect-kv": f"{report.kv_bytes_per_token} B",
    }
    if report.kind == "bundle":
        plan = ", ".join(f"{name} {value}" for name, value in (report.plan or {}).items())
        worst = max(report.tensors, key=lambda t: t.relative_rms or 0.0)
        rows["cli-inspect-made"] = f"{report.created_by}: {plan}"
        rows["cli-inspect-source"] = ", ".join(str(row["file"]) for row in report.source)
        rows["cli-inspect-error"] = f"{worst.relative_rms or 0.0:.5f} ({worst.name})"
        if report.gate is not None:
            verdict = str(report.gate.get("verdict"))
            known = {"pass": "evaluate-pass", "fail": "evaluate-fail"}
            rows["cli-inspect-gate"] = (
                messages.text(known[verdict]) if verdict in known else verdict
            )
        checked = "cli-verified" if report.verified else "cli-not-verified"
        rows["cli-inspect-verified"] = messages.text(checked)
    show_table(rows)


def _print_tensors(report: ModelReport) -> None:
    show()
    name = max(len(tensor.name) for tensor in report.tensors)
    narrow = is_terminal(sys.stdout) and layout.width(sys.stdout) < name + 53
    for tensor in report.tensors:
        shape = " x ".join(map(str, tensor.shape))
        error = "" if tensor.relative_rms is None else f"{tensor.relative_rms:.5f}"
        if narrow:
            show(tensor.name)
            details = f"{tensor.format}, {shape}, {tensor.bytes}"
            show(f"  {details}, {error}" if error else f"  {details}")
            continue
        line = f"{tensor.name:{name}}  {tensor.format:8}  {shape:>16}  {tensor.bytes:>12}  {error}"
        show(line.rstrip())
