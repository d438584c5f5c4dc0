"""Figures on what a model knows: accuracy, divergence, perplexity. Numbers only, no verdicts."""

from __future__ import annotations

from pocketr1.measure.accuracy import PairedDifference, Proportion
from pocketr1.measure.answers import final_answer, normal_form, same_answer
from pocketr1.measure.divergence import (
    Comparison,
    Divergence,
    compare,
    compare_logits,
    kl_divergence,
)
from pocketr1.measure.perplexity import Perplexity, perplexity, token_losses
from pocketr1.measure.task import Outcome, TaskProblem, read_task, run_task

__all__ = [
    "Comparison",
    "Divergence",
    "Outcome",
    "PairedDifference",
    "Perplexity",
    "Proportion",
    "TaskProblem",
    "compare",
    "compare_logits",
    "final_answer",
    "kl_divergence",
    "normal_form",
    "perplexity",
    "read_task",
    "run_task",
    "same_answer",
    "token_losses",
]
