"""``pocketr1 doctor``: what this device can run."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1.cli import layout
from pocketr1.cli.options import Json
from pocketr1.cli.output import fitted, is_terminal, print_json, say, show, show_table
from pocketr1.messages import text

if TYPE_CHECKING:
    from pocketr1.doctor import Advice, Assessment, Findings

__all__ = ["doctor"]


def doctor(
    path: Annotated[
        str, typer.Option("--path", metavar="DIR", show_default=False, help="cli-option-path")
    ] = ".",
    json: Json = False,
) -> None:
    """Examine the device, then print tables and the advice, or the whole document."""
    from pocketr1.doctor import diagnose

    say("doctor-started")
    diagnosis = diagnose(path)
    if json:
        print_json(diagnosis.to_dict())
        return
    show_table(_findings(diagnosis.findings))
    show()
    _show_models(diagnosis.advice.assessments)
    show()
    for line in _advice(diagnosis.findings, diagnosis.advice):
        show(fitted(line, sys.stdout))


def _findings(findings: Findings) -> dict[str, str]:
    rows = {
        "doctor-device": _known(findings.system.device, findings.system.chip),
        "doctor-system": _system(findings),
        "doctor-cores": _cores(findings),
        "doctor-isa": _kernels(findings),
        "doctor-memory": _memory(findings),
        "doctor-speed": _speed(findings),
        "doctor-storage": _storage(findings),
        "doctor-thermal": _thermal(findings),
    }
    from pocketr1.machine import watched

    zone = watched(findings.thermal, findings.battery)
    if zone is not None:
        rows["doctor-watched"] = f"{zone.name or '?'} {zone.celsius:.0f} °C"
    battery = findings.battery
    if battery is not None:
        percent = None if battery.percent is None else f"{battery.percent}%"
        celsius = None if battery.celsius is None else f"{battery.celsius:.0f} °C"
        rows["doctor-battery"] = _known(percent, battery.status, celsius)
    return rows


def _known(*values: str | None) -> str:
    """Join what is known."""
    return text("doctor-separator").join(filter(None, values)) or text("doctor-unknown")


def _system(findings: Findings) -> str:
    system = findings.system
    android = f"Android {system.android_version or ''}".strip() if system.android else None
    container = text("doctor-container", name=system.container) if system.container else None
    return _known(
        system.distribution,
        android,
        "Termux" if system.termux else None,
        "proot" if system.proot else None,
        f"WSL{system.wsl}" if system.wsl else None,
        container,
        system.kernel,
    )


def _cores(findings: Findings) -> str:
    cpu = findings.cpu
    parts = []
    for cluster in cpu.clusters:
        notes = [] if cluster.kind in ("uniform", "unknown") else [_kind(cluster.kind)]
        notes += [f"{cluster.max_mhz} MHz"] if cluster.max_mhz else []
        name = cluster.name or text("doctor-unknown")
        parts.append(f"{len(cluster.cpus)} x {name}" + (f" ({', '.join(notes)})" if notes else ""))
    if cpu.logical is not None and cpu.usable not in (None, cpu.logical):
        parts.append(text("doctor-usable", usable=cpu.usable, logical=cpu.logical))
    if cpu.quota is not None:
        parts.append(text("doctor-quota", quota=cpu.quota))
    return _known(*parts)


def _kind(kind: str) -> str:
    return text(f"doctor-kind-{kind}")


def _kernels(findings: Findings) -> str:
    kernels = findings.kernels
    if kernels.chosen is None:
        chosen = text("doctor-isa-forced", forced=kernels.forced)
    else:
        runnable = ", ".join(kernels.runnable)
        chosen = text("doctor-isa-of", chosen=kernels.chosen, runnable=runnable)
    unused = ", ".join(kernels.unused)
    return _known(chosen, text("doctor-isa-unused", names=unused) if unused else None)


def _memory(findings: Findings) -> str:
    memory = findings.memory
    parts = [text("doctor-memory-of", available=_size(memory.available), total=_size(memory.total))]
    if memory.cgroup_limit is not None:
        parts.append(text("doctor-memory-limit"))
    if memory.swap:
        parts.append(text("doctor-swap", swap=_size(memory.swap), zram=_size(memory.zram)))
    return _known(*parts)


def _speed(findings: Findings) -> str:
    speed = findings.speed
    if speed is None:
        return text("doctor-unknown")
    rates = {name[:2]: _rate(value) for name, value in speed.multiply.items()}
    return text("doctor-speed-of", read=_rate(speed.read), threads=speed.threads, **rates)


def _storage(findings: Findings) -> str:
    storage = findings.storage
    where = text(
        "doctor-storage-of",
        path=storage.path,
        filesystem=_known(storage.filesystem),
        free=_size(storage.free),
    )
    speed = storage.speed
    if speed is None:
        return where
    return _known(
        where, text("doctor-storage-speed", write=_rate(speed.write), read=_rate(speed.read))
    )


def _thermal(findings: Findings) -> str:
    thermal = findings.thermal
    hottest = thermal.hottest
    if hottest is not None:
        return text(
            "doctor-thermal-hottest",
            celsius=hottest.celsius,
            name=_known(hottest.name),
            readable=thermal.readable,
            zones=len(thermal.zones),
        )
    if thermal.zones:
        return text("doctor-thermal-unreadable", zones=len(thermal.zones))
    return text("doctor-thermal-none")


def _show_models(assessments: Sequence[Assessment]) -> None:
    columns = ("model", "bits", "size", "memory", "storage", "speed", "fits")
    rows = [[text(f"doctor-column-{column}") for column in columns]]
    for row in assessments:
        candidate = row.candidate
        rows.append(
            [
                candidate.alias,
                str(candidate.bits),
                _size(candidate.bundle_bytes),
                _size(candidate.run_budget),
                _size(candidate.storage_bytes),
                _tokens(row),
                _fits(row),
            ]
        )
    widths = [max(map(layout.columns, column)) for column in zip(*rows, strict=True)]
    if is_terminal(sys.stdout) and sum(widths) + 2 * (len(widths) - 1) > layout.width(sys.stdout):
        _show_blocks(rows)
        return
    for cells in rows:
        line = "".join(
            cell + " " * (width + 2 - layout.columns(cell))
            for cell, width in zip(cells, widths, strict=True)
        )
        show(line.rstrip())


def _show_blocks(rows: list[list[str]]) -> None:
    """Show the table on a narrow terminal: model, bits and whether it fits, then the rest below."""
    (_, _, *names, _), *models = rows
    for model, bits, *values, fits in models:
        show(fitted(text("doctor-block", model=model, bits=bits, fits=fits), sys.stdout))
        pairs = _known(*(f"{name} {value}" for name, value in zip(names, values, strict=True)))
        for line in layout.wrapped(pairs, layout.width(sys.stdout) - 2).split("\n"):
            show(f"  {line}")


def _fits(row: Assessment) -> str:
    if row.fits:
        return text("doctor-fits-yes")
    if row.fits_memory is False and row.fits_memory_emptied and row.fits_storage:
        return text("doctor-fits-emptied")
    missing = {(False, False): "both", (False, True): "memory", (True, False): "storage"}
    known = missing.get((row.fits_memory is not False, row.fits_storage is not False))
    return text(f"doctor-fits-no-{known}" if known else "doctor-unknown")


def _advice(findings: Findings, advice: Advice) -> list[str]:
    from pocketr1.doctor import COMFORTABLE
    from pocketr1.doctor.candidates import USUAL_BITS

    best = advice.best
    if best is None:
        lines = [text("doctor-advice-none")]
        for what, missing in (
            ("memory", advice.memory_missing),
            ("storage", advice.storage_missing),
        ):
            if missing:
                lines.append(text(f"doctor-advice-{what}", missing=_size(missing)))
        if advice.memory_missing is None or advice.storage_missing is None:
            lines.append(text("doctor-advice-unknown"))
        return lines
    lines = [
        text(
            "doctor-advice",
            model=best.candidate.alias,
            bits=best.candidate.bits,
            size=_size(best.candidate.bundle_bytes),
            memory=_size(advice.run_budget),
            speed=_tokens(best),
        )
    ]
    cpu = findings.cpu
    if best.candidate.bits < USUAL_BITS:
        lines.append(text("doctor-advice-few-bits", bits=best.candidate.bits))
    if not best.comfortable:
        lines.append(text("doctor-advice-slow"))
    if advice.passed_over is not None:
        passed = advice.passed_over
        lines.append(
            text(
                "doctor-advice-passed-over",
                model=passed.candidate.alias,
                bits=passed.candidate.bits,
                speed=_tokens(passed),
                least=COMFORTABLE,
            )
        )
    if advice.threads is not None and cpu.usable is not None and advice.threads < cpu.usable:
        lines.append(text("doctor-advice-threads", threads=advice.threads))
    if findings.load is not None and findings.load >= 0.5 * (cpu.usable or 1):
        cpus = cpu.usable or text("doctor-unknown")
        lines.append(text("doctor-advice-busy", load=findings.load, cpus=cpus))
    return [*lines, f"{text('doctor-next')} {advice.command}"]


def _tokens(row: Assessment) -> str:
    return "–".join(map(_two_digits, row.tok_s)) if row.tok_s else text("doctor-unknown")


def _two_digits(value: float) -> str:
    """Return one decimal, or more where less than two significant digits would be left."""
    decimals = 1 if value <= 0 else max(1, 1 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}"


def _size(size: int | None) -> str:
    return text("doctor-unknown") if size is None else f"{size / 1e9:.1f} GB"


def _rate(speed: float | None) -> str:
    if speed is None:
        return text("doctor-unknown")
    return f"{speed / 1e9:.1f} GB/s" if speed >= 1e9 else f"{speed / 1e6:.0f} MB/s"
