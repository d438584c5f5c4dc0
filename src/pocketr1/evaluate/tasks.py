"""A task put to a model and its reference: who is right, how often, after how many tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pocketr1 import measure
from pocketr1.engine import Engine
from pocketr1.evaluate.report import Flip, Histogram, Lengths, TaskResult

__all__ = ["TaskRun", "run_one"]

_FLIPS = 5  # that a report shows
_BINS = 20  # of the lengths of replies


@dataclass(frozen=True)
class TaskRun:
    """The result, and the reference's replies of the first run (empty without a reference)."""

    result: TaskResult
    reference_replies: Sequence[measure.Reply]


@dataclass(frozen=True)
class _Answers:
    """One model's outcomes, by seed and problem."""

    outcomes: Sequence[Sequence[measure.Outcome]]
    replies: Sequence[measure.Reply]  # of the first seed
    loops: Sequence[Sequence[bool]]

    def right(self, problems: Sequence[int]) -> list[list[bool]]:
        """Return, for each of these problems, whether each seed's answer is right."""
        return [[run[n].right for run in self.outcomes] for n in problems]

    def lengths(self, problems: Sequence[int], edges: Sequence[float]) -> Lengths:
        """Summarize how long the replies are and how they end."""
        chosen = [run[n] for run in self.outcomes for n in problems]
        tokens = [outcome.tokens for outcome in chosen]
        counts, _ = np.histogram(tokens, np.asarray(edges))
        return Lengths(
            mean_tokens=float(np.mean(tokens)),
            truncated=sum(outcome.finish_reason != "stop" for outcome in chosen),
            looping=sum(loops[n] for loops in self.loops for n in problems),
            histogram=Histogram(list(edges), counts.tolist()),
        )


def run_one(
    task: measure.Task,
    problems: Sequence[measure.TaskProblem],
    answering: Sequence[measure.Answering],
    model: Engine,
    reference: Engine | None,
    advance: Callable[[int, int], None],
) -> TaskRun:
    """Put ``problems`` to both models, once for each of ``answering``, and compare.

    advance: called with answers done and in all.
    """
    total = len(problems) * len(answering) * (1 if reference is None else 2)
    done = 0

    def answers(engine: Engine) -> _Answers:
        nonlocal done
        outcomes, first, loops = [], None, []
        for each in answering:
            replies = task.run(engine, problems, each, partial(_from, done))
            done += len(problems)
            pairs = zip(problems, replies, strict=True)
            outcomes.append([task.score(problem, reply) for problem, reply in pairs])
            loops.append([measure.is_looping(reply.token_ids) for reply in replies])
            first = replies if first is None else first
        return _Answers(outcomes, first or [], loops)

    def _from(start: int, n: int, _: int) -> None:
        advance(start + n, total)

    advance(0, total)
    before = None if reference is None else answers(reference)
    after = answers(model)
    longest = max(
        outcome.tokens
        for each in filter(None, (before, after))
        for run in each.outcomes
        for outcome in run
    )
    step = max(1, -(-(longest + 1) // _BINS))
    edges = [step * place for place in range(_BINS + 1)]
    path = getattr(task, "path", None)
    names = sorted({p.group for p in problems if p.group is not None})

    def result(chosen: Sequence[int], groups: dict[str, TaskResult]) -> TaskResult:
        return TaskResult(
            name=task.name,
            path=None if path is None else str(path),
            sha256=None if path is None else hashlib.sha256(path.read_bytes()).hexdigest(),
            n=len(chosen),
            seeds=len(answering),
            accuracy=measure.repeated_proportion(after.right(chosen)),
            lengths=after.lengths(chosen, edges),
            reference_accuracy=None
            if before is None
            else measure.repeated_proportion(before.right(chosen)),
            reference_lengths=None if before is None else before.lengths(chosen, edges),
            loss=None
            if before is None
            else measure.repeated_difference(before.right(chosen), after.right(chosen)),
            groups=groups,
            lost=() if before is None else _lost(before, after, chosen),
        )

    by_group = {
        name: result([n for n, p in enumerate(problems) if p.group == name], {})
        for name in (names if len(names) > 1 else ())
    }
    whole = result(range(len(problems)), by_group)
    return TaskRun(whole, [] if before is None else before.replies)


def _lost(before: _Answers, after: _Answers, chosen: Sequence[int]) -> list[Flip]:
    found = [
        Flip(new.problem.question, new.problem.answer, new.given, old.given)
        for one, other in zip(before.outcomes, after.outcomes, strict=True)
        for old, new in ((one[n], other[n]) for n in chosen)
        if old.right and not new.right
    ]
    return found[:_FLIPS]
