"""Figures on what a model knows: accuracy, divergence, perplexity. Numbers only, no verdicts."""

from __future__ import annotations

from pocketr1.engine.looping import is_looping
from pocketr1.measure.accuracy import PairedDifference, Proportion
from pocketr1.measure.answers import final_answer, normal_form, same_answer
from pocketr1.measure.divergence import (
    Comparison,
    Divergence,
    Tally,
    check_vocabularies,
    compare,
    compare_logits,
    kl_divergence,
)
from pocketr1.measure.overlap import Overlap, overlap
from pocketr1.measure.perplexity import Perplexity, perplexity, token_losses
from pocketr1.measure.problems import TaskProblem, read_task
from pocketr1.measure.repeated import repeated_difference, repeated_proportion
from pocketr1.measure.replies import (
    PARTS,
    Exchange,
    answer_begin,
    compare_exchanges,
    exchange_perplexity,
)
from pocketr1.measure.task import Answering, JsonLinesTask, Outcome, Reply, Task, run_task

__all__ = [
    "PARTS",
    "Answering",
    "Comparison",
    "Divergence",
    "Exchange",
    "JsonLinesTask",
    "Outcome",
    "Overlap",
    "PairedDifference",
    "Perplexity",
    "Proportion",
    "Reply",
    "Tally",
    "Task",
    "TaskProblem",
    "answer_begin",
    "check_vocabularies",
    "compare",
    "compare_exchanges",
    "compare_logits",
    "exchange_perplexity",
    "final_answer",
    "is_looping",
    "kl_divergence",
    "normal_form",
    "overlap",
    "perplexity",
    "read_task",
    "repeated_difference",
    "repeated_proportion",
    "run_task",
    "same_answer",
    "token_losses",
]
