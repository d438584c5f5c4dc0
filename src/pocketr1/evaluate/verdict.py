"""PASS or FAIL, and what to change.

A figure passes where the upper bound of its 95% interval keeps the limit, not where the figure
itself does: with few problems a bad model is lucky often enough, and a verdict must not depend on
luck. What it costs is that a good model may need more problems to be believed; the report then says
how many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pocketr1.engine import ModelReport
from pocketr1.evaluate.options import EvaluateOptions
from pocketr1.evaluate.report import Check, ModelFacts, Remark, Separation, TaskResult
from pocketr1.measure import Comparison

__all__ = ["SHARED_LIMIT", "advise", "make_checks", "remarks_on"]

#: Share of stretches of the measuring texts that the calibration text may hold. Not zero: phrases
#: that every word problem uses stand in both without either being a copy.
SHARED_LIMIT = 0.01

# The brief's advice where a calibrated model loses too much.
_SAMPLES = 1024
_SMALLER = {128: 64, 64: 32}
_MORE_BITS = {2: 3, 3: 4, 4: 8, 8: 16}
_ENDS = {"embed.weight": "--embedding-bits", "head.weight": "--head-bits"}


def make_checks(
    tasks: Sequence[TaskResult],
    whole: Comparison | None,
    separation: Separation,
    options: EvaluateOptions,
) -> list[Check]:
    """Return what decides the verdict; nothing where there is no reference to compare with."""
    checks = [
        Check(
            "drop", task.name, 100 * task.loss.value, 100 * task.loss.interval[1], options.max_drop
        )
        for task in tasks
        if task.loss is not None
    ]
    if whole is not None and options.max_kld is not None:
        mean, upper = whole.divergence.mean, whole.divergence.interval[1]
        checks.append(Check("kld", "", mean, upper, options.max_kld))
    if checks and separation.overlap is not None:
        share = separation.overlap.share
        checks.append(Check("separation", "", share, share, SHARED_LIMIT))
    return checks


def remarks_on(tasks: Sequence[TaskResult], separation: Separation) -> list[Remark]:
    """Return what a reader should know before believing a figure."""
    remarks = []
    for task in tasks:
        reference = task.reference_accuracy or task.accuracy
        if reference.value < 0.1:
            remarks.append(
                Remark("evaluate-remark-hard", {"task": task.name, "right": 100 * reference.value})
            )
        answers = task.n * task.seeds
        for lengths, who in ((task.lengths, "model"), (task.reference_lengths, "reference")):
            if lengths is not None and lengths.truncated > answers / 10:
                params = {"task": task.name, "count": lengths.truncated, "answers": answers}
                remarks.append(Remark(f"evaluate-remark-truncated-{who}", params))
    if separation.status == "unknown":
        remarks.append(Remark("evaluate-remark-calibration"))
    return remarks


def advise(facts: ModelFacts, tasks: Sequence[TaskResult], checks: Sequence[Check]) -> list[Remark]:
    """Return what to change where a check failed, the cheapest first."""
    advice: list[Remark] = []
    failed = [check for check in checks if not check.passed]
    drops = [check for check in checks if check.kind == "drop"]
    compared = [task for task in tasks if task.loss is not None]
    for check, task in zip(drops, compared, strict=True):
        if check.open:
            needed = _problems_needed(check, task)
            params = {"task": check.subject, "n": task.n, "needed": needed}
            advice.append(Remark("evaluate-advice-problems", params))
    if any(check.kind == "separation" for check in failed):
        advice.append(Remark("evaluate-advice-separation"))
    if any(check.kind in ("drop", "kld") and not check.open for check in failed):
        advice += _for_compression(facts)
    return advice


def _problems_needed(check: Check, task: TaskResult) -> int:
    """Return how many problems it takes to tell, were all rates what was seen; two digits of it."""
    assert task.loss is not None
    low, high = 1.0, 1e6
    for _ in range(50):
        middle = math.sqrt(low * high)
        worth = middle * (task.loss.effective or task.loss.count)
        upper = 100 * replace(task.loss, effective=worth).interval[1]
        low, high = (low, middle) if upper <= check.limit else (middle, high)
    needed = task.n * high
    scale: int = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / scale) * scale


def _for_compression(facts: ModelFacts) -> list[Remark]:
    report = facts.report
    if report.kind != "bundle":
        return []
    plan = report.plan or {}
    bits, group = plan.get("bits"), plan.get("group_size")
    advice = _samples(report)
    if bits in _MORE_BITS and group in _SMALLER:
        advice.append(Remark("evaluate-advice-group", {"size": _SMALLER[group]}))
    worst = [str(row["name"]) for row in facts.worst_tensors()]
    ends = [
        option
        for name, option in _ENDS.items()
        if _is_below_eight(plan.get(option[2:].replace("-", "_")))
        and any(tensor.name == name for tensor in report.tensors)
    ]
    if bits in (2, 3, 4) and ends:
        advice.append(Remark("evaluate-advice-ends", {"options": " ".join(f"{o} 8" for o in ends)}))
    if bits in _MORE_BITS:
        advice.append(Remark("evaluate-advice-bits", {"bits": _MORE_BITS[bits]}))
    elif bits == "f8":  # whose steps are larger than those of 8 bits
        advice.append(Remark("evaluate-advice-bits", {"bits": 8}))
    if worst:
        advice.append(Remark("evaluate-advice-tensors", {"tensors": ", ".join(worst[:3])}))
    return advice


def _is_below_eight(bits: object) -> bool:
    return isinstance(bits, int) and bits < 8


def _samples(report: ModelReport) -> list[Remark]:
    calibration: Mapping[str, Any] = report.calibration or {}
    samples = calibration.get("samples")
    if isinstance(samples, int) and samples < _SAMPLES:
        params = {"samples": _SAMPLES, "had": samples}
        return [Remark("evaluate-advice-samples", params)]
    return []
