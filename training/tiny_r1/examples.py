"""Problems as token ids, and the batches of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer

from tiny_r1.problem import Problem
from tiny_r1.sample import training_problem
from tiny_r1.tokenizer import ASSISTANT, BOS, EOS, THINK, THINK_END, USER

__all__ = ["Encoder", "MicroBatch", "micro_batches"]

_EARLIER_TURN_SHARE = 0.08
_NO_THOUGHT_SHARE = 0.05


@dataclass(frozen=True)
class MicroBatch:
    """Examples of about the same length.

    ids: int64, (examples, tokens), padded at the end; learned: bool, (examples, tokens), true
    where the token is the model's own and not the first.
    """

    ids: torch.Tensor
    learned: torch.Tensor


class Encoder:
    """Turns problems into token ids, as R1's chat template writes a conversation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        tags = (BOS, EOS, USER, ASSISTANT, THINK, THINK_END)
        self._ids = {tag: tokenizer.token_to_id(tag) for tag in tags}
        self.pad = self._ids[EOS]

    def text(self, text: str) -> list[int]:
        """Encode plain text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def prompt(self, problem: Problem, earlier: Problem | None = None) -> list[int]:
        """Return the prompt, up to the ``<think>`` and newline that R1's template ends with."""
        ids = self._ids
        turn = []
        if earlier is not None:  # the template leaves thoughts out of what was said before
            turn = [ids[USER], *self.text(earlier.question), ids[ASSISTANT]]
            turn += [*self.text(earlier.reply), ids[EOS]]
        question = [ids[USER], *self.text(problem.question), ids[ASSISTANT]]
        return [ids[BOS], *turn, *question, ids[THINK], *self.text("\n")]

    def reply(self, problem: Problem) -> list[int]:
        """Return what the model should write: thought, answer, end."""
        thought = self.text(problem.thought + "\n")
        return [*thought, self._ids[THINK_END], *self.text("\n\n" + problem.reply), self._ids[EOS]]

    def without_thought(self, problem: Problem) -> tuple[list[int], list[int]]:
        """Return prompt and reply where R1's empty thought stands in for the thought."""
        prompt = [*self.prompt(problem)[:-1], *self.text("\n\n"), self._ids[THINK_END]]
        return [*prompt, *self.text("\n\n")], [*self.text(problem.reply), self._ids[EOS]]

    def example(self, random: Random) -> tuple[list[int], int]:
        """Draw a training example: its ids, and how many of them are prompt.

        In a few, a turn goes before; in a few, the thought is empty and only the answer is
        learned, so that answering without thought is a thing the model has practised too.
        """
        problem = training_problem(random)
        chance = random.random()
        if problem.answer and chance < _NO_THOUGHT_SHARE:
            prompt, reply = self.without_thought(problem)
        elif chance > 1 - _EARLIER_TURN_SHARE:
            prompt, reply = self.prompt(problem, training_problem(random)), self.reply(problem)
        else:
            prompt, reply = self.prompt(problem), self.reply(problem)
        return prompt + reply, len(prompt)


def micro_batches(
    encoder: Encoder, seed: int, step: int, examples: int, parts: int
) -> Iterator[MicroBatch]:
    """Yield the batches of one step: the same for the same seed and step, whatever came before.

    The step's examples are sorted by length and cut into ``parts``, so that little is padded.
    """
    drawn = [encoder.example(Random(f"train {seed} {step} {i}")) for i in range(examples)]
    drawn.sort(key=lambda example: len(example[0]))
    size = -(-examples // parts)
    for begin in range(0, examples, size):
        yield pad(drawn[begin : begin + size], encoder.pad)


def pad(examples: list[tuple[list[int], int]], pad_id: int) -> MicroBatch:
    """Put examples (ids, prompt length) into one batch."""
    longest = max(len(ids) for ids, _ in examples)
    ids = torch.full((len(examples), longest), pad_id, dtype=torch.int64)
    learned = torch.zeros((len(examples), longest), dtype=torch.bool)
    for row, (tokens, prompt) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learned[row, prompt : len(tokens)] = True
    return MicroBatch(ids, learned)
