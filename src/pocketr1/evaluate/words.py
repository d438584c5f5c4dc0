"""The report's findings as sentences and figures, in the current language."""

from __future__ import annotations

from collections.abc import Iterable

from pocketr1 import messages
from pocketr1.evaluate.report import Check, EvaluationReport, Remark, Separation
from pocketr1.measure import Comparison

__all__ = [
    "check_text",
    "comparison_rows",
    "divergence_title",
    "joined",
    "number",
    "percent",
    "remark_text",
    "separation_text",
    "verdict_text",
]


def remark_text(remark: Remark) -> str:
    """Return a remark in the current language."""
    return messages.text(remark.code, **remark.params)


def check_text(check: Check) -> str:
    """Return what a check found."""
    state = "pass" if check.passed else "open" if check.open else "fail"
    scale = 100 if check.kind == "separation" else 1
    digits = ".5f" if check.kind == "kld" else ".2f"
    figures = {
        name: f"{scale * getattr(check, name):{digits}}" for name in ("value", "upper", "limit")
    }
    return messages.text(f"evaluate-check-{check.kind}-{state}", subject=check.subject, **figures)


def joined(sentences: Iterable[str]) -> str:
    """Return sentences one behind the other."""
    return {"en": " ", "zh": ""}[messages.language()].join(sentences)


def verdict_text(report: EvaluationReport) -> str:
    """Return PASS or FAIL, or why there is no verdict."""
    if report.verdict is None:
        return messages.text(
            "evaluate-no-verdict" if report.reference is None else "evaluate-no-check"
        )
    return messages.text(f"evaluate-{report.verdict}")


def separation_text(separation: Separation) -> str:
    """Return what is known of the calibration text."""
    found = separation.overlap
    params = {"sha256": (separation.calibration_sha256 or "")[:16]}
    if found is not None:
        params |= {"shared": str(found.shared), "grams": str(found.grams)}
        params["example"] = found.example or "–"
    return messages.text(f"evaluate-separation-{separation.status}", **params)


def divergence_title(report: EvaluationReport) -> str:
    """Return the heading over the comparison that the report leads with."""
    if report.text is None:
        return messages.text("evaluate-divergence-replies")
    return messages.text("evaluate-divergence-text", path=report.text.path)


def comparison_rows(compared: Comparison) -> dict[str, str]:
    """Return the figures of a comparison by the code of their label."""
    found = compared.divergence
    low, high = found.interval
    return {
        "evaluate-scored": str(found.tokens),
        "evaluate-perplexity": f"{number(compared.model.value)} "
        f"({number(compared.reference.value)})",
        "evaluate-kld": f"{found.mean:.5f} ({max(low, 0):.5f} … {high:.5f})",
        "evaluate-kld-quantiles": f"{found.median:.2g}, {found.p99:.4g}, {found.maximum:.4g}",
        "evaluate-top1": f"{100 * found.top1_agreement:.2f}%",
        "evaluate-rms": f"{100 * found.rms_dp:.3f}%",
    }


def number(value: float) -> str:
    """Return a perplexity in at most seven digits."""
    return f"{value:.4f}" if value < 1000 else f"{value:.4g}"


def percent(value: float, interval: tuple[float, float]) -> str:
    """Return a share with its interval, in percent."""
    low, high = interval
    return f"{100 * value:.1f}% ({100 * low:.1f} … {100 * high:.1f})"
