"""Reports over :mod:`pocketr1.measure`: what a model lost, whether that is too much, what helps."""

from __future__ import annotations

from pocketr1.evaluate.evaluation import REPLY_TOKENS, evaluate
from pocketr1.evaluate.gate import EvaluationGate
from pocketr1.evaluate.options import EvaluateOptions
from pocketr1.evaluate.report import (
    Check,
    EvaluationReport,
    ModelFacts,
    Remark,
    Separation,
    TaskResult,
    TextFacts,
)
from pocketr1.evaluate.run import evaluate_models, find_task

__all__ = [
    "REPLY_TOKENS",
    "Check",
    "EvaluateOptions",
    "EvaluationGate",
    "EvaluationReport",
    "ModelFacts",
    "Remark",
    "Separation",
    "TaskResult",
    "TextFacts",
    "evaluate",
    "evaluate_models",
    "find_task",
]
