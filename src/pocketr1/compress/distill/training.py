"""Train a student towards the original's probabilities.

Knowledge distillation (Hinton et al., arXiv:1503.02531) at temperature 1: the divergence
KL(original || student) behind each counted token, which is what the gate measures. Only scales,
biases and gains are trained: PEQA (Kim et al., arXiv:2305.14152), and the end-to-end phase of
EfficientQAT (Chen et al., arXiv:2407.11062, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.checkpoint import checkpoint

from pocketr1.compress.distance import Sequences
from pocketr1.compress.distill.student import Frozen, Student, rms_norm

__all__ = ["Teacher", "Training", "train"]

_LOGIT_ROWS = 256  # whose logits are in memory together
_BETAS = (0.9, 0.95)
_WARM_UP = 0.05  # of the steps


@dataclass(frozen=True)
class Training:
    """How to train.

    epochs: passes over the text; rate: Adam's largest step, relative to each value; tokens: of a
    step, about; seed: of the order of the steps.
    """

    epochs: int
    rate: float
    tokens: int
    seed: int = 1


@dataclass(frozen=True)
class Teacher:
    """The original: what its last layer leaves, from which its probabilities follow.

    states: float32 (tokens, hidden size), of all sequences one behind the other; gain, head: of its
    last norm and its head.
    """

    states: NDArray[np.float32]
    gain: torch.Tensor
    head: Frozen
    eps: float

    def log_probabilities(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return what it says behind tokens, float32 (rows, vocabulary)."""
        states = torch.from_numpy(np.array(self.states[rows], np.float32))
        return torch.log_softmax(rms_norm(states, self.gain, self.eps) @ self.head.value().T, -1)


def train(
    student: Student,
    teacher: Teacher,
    text: Sequences,
    training: Training,
    advance: Callable[[int, int], None],
) -> int | None:
    """Train a student in place; return the number of steps, None where it diverged.

    The same text, seed and number of threads give the same values. advance: is told steps done and
    steps in all.
    """
    order = np.random.default_rng(training.seed)
    batches = _batches(text, training.tokens)
    steps = training.epochs * len(batches)
    parameters = [trained.shift for _, trained in student.trained()]
    optimizer = torch.optim.Adam(parameters, lr=training.rate, betas=_BETAS)
    done = 0
    advance(0, steps)
    for _ in range(training.epochs):
        for number in order.permutation(len(batches)):
            for group in optimizer.param_groups:
                group["lr"] = training.rate * _share(done / steps)
            optimizer.zero_grad(set_to_none=True)
            loss = _divergence(student, teacher, text, batches[number])
            if not math.isfinite(loss):
                return None
            optimizer.step()
            done += 1
            advance(done, steps)
    return done


def _share(done: float) -> float:
    """Return the share of the largest rate: a short rise, then half a cosine down to 0."""
    if done < _WARM_UP:
        return (done + 0.001) / (_WARM_UP + 0.001)
    return 0.5 + 0.5 * math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP))


def _batches(text: Sequences, tokens: int) -> list[list[int]]:
    """Return sequences of about the same length together, as many as have that many tokens."""
    batches: list[list[int]] = [[]]
    starts = np.cumsum([0, *text.lengths])
    for number in np.argsort(text.lengths, kind="stable"):
        longest = text.lengths[number]
        if not text.counted[starts[number] : starts[number] + longest].any():
            continue
        if batches[-1] and (len(batches[-1]) + 1) * longest > tokens:
            batches.append([])
        batches[-1].append(int(number))
    return batches


def _divergence(student: Student, teacher: Teacher, text: Sequences, batch: Sequence[int]) -> float:
    """Return the mean divergence behind the counted tokens of a batch; gradients are added."""
    starts = np.cumsum([0, *text.lengths])
    lengths = [text.lengths[number] for number in batch]
    ids = np.zeros((len(batch), max(lengths)), np.int64)
    counted = np.zeros(ids.shape, np.bool_)
    rows = []
    for place, number in enumerate(batch):
        here = slice(starts[number], starts[number + 1])
        ids[place, : lengths[place]] = text.ids[here]
        counted[place, : lengths[place]] = text.counted[here]
        rows.append(starts[number] + np.flatnonzero(text.counted[here]))
    states = student.states(torch.from_numpy(ids))[torch.from_numpy(counted)]
    behind = np.concatenate(rows)
    head = student.head()

    def part(some: torch.Tensor, begin: int) -> torch.Tensor:
        with torch.no_grad():
            wanted = teacher.log_probabilities(behind[begin : begin + _LOGIT_ROWS])
        said = torch.log_softmax(head(some), -1)
        return (wanted.exp() * (wanted - said)).sum()

    total = torch.zeros(())
    for begin in range(0, len(behind), _LOGIT_ROWS):
        some = states[begin : begin + _LOGIT_ROWS]
        total = total + checkpoint(part, some, begin, use_reentrant=False)
    mean = total / len(behind)
    mean.backward()
    return float(mean.detach())
