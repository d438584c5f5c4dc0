"""The text a model is calibrated with: prompts, continued by the model's own reasoning.

For a reasoning model the strongest lever is that the text be its own thoughts: for the 1.5B distill
with 3-bit weights, published benchmarks average 38.1 so calibrated, and 28.3 with an encyclopedia.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketr1.errors import UsageError

if TYPE_CHECKING:
    from pocketr1.chat import ChatTemplate, Tokenizer
    from pocketr1.engine import Engine

__all__ = [
    "CALIBRATION_TOKENS",
    "GATE_TOKENS",
    "REASONING_BATCH",
    "CalibrationText",
    "Prompts",
    "Sample",
    "first_tokens",
    "gather",
    "lengths_and_ids",
    "longest_sample",
    "read_prompts",
]

#: Tokens that are calibrated with at most, and those that the gate of each layer measures on.
CALIBRATION_TOKENS = 32_768
GATE_TOKENS = 4_096

#: Answers that the model writes together while it makes its text.
REASONING_BATCH = 32

_GATE_SHARE = 9  # every ninth sample is the gate's, until it has enough
_LONGEST = 1_024  # tokens of a sample
_SHORTEST = 48
_LARGEST_FILE = 64 << 20  # bytes
_SEED = 1
_PROMPT_KEYS = ("question", "problem", "input", "prompt")


@dataclass(frozen=True)
class Sample:
    """One sequence: its tokens, and how many of them are a prompt the model did not write."""

    ids: tuple[int, ...]
    prompt: int


@dataclass(frozen=True)
class CalibrationText:
    """What a job calibrates with, and apart from it what its gate measures on.

    text: all of it, which ``sha256`` is of; file: where the prompts or texts came from, None for
    the set that comes along.
    """

    samples: tuple[Sample, ...]
    gate: tuple[Sample, ...]
    text: str
    file: str | None

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def tokens(self) -> int:
        """Of the samples."""
        return sum(len(sample.ids) for sample in self.samples)

    def record(self) -> dict[str, Any]:
        """What bundle.json keeps of it: no word of the text."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "samples": len(self.samples),
            "tokens": self.tokens,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "samples": [[list(sample.ids), sample.prompt] for sample in self.samples],
            "gate": [[list(sample.ids), sample.prompt] for sample in self.gate],
            "text": self.text,
            "file": self.file,
        }

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> CalibrationText:
        """Take what ``to_dict`` gave."""
        samples, gate = (
            tuple(Sample(tuple(ids), prompt) for ids, prompt in read[key])
            for key in ("samples", "gate")
        )
        return cls(samples, gate, read["text"], read["file"])


@dataclass(frozen=True)
class Prompts:
    """questions: to be continued by the model; texts: to be taken as they are."""

    questions: tuple[str, ...]
    texts: tuple[str, ...]
    file: str | None

    @property
    def sha256(self) -> str:
        """Of all of them, in order."""
        text = json.dumps([self.questions, self.texts])
        return hashlib.sha256(text.encode()).hexdigest()


def read_prompts(path: str | Path | None) -> Prompts:
    """Read what to calibrate with.

    path: JSON lines with a ``question`` (or ``problem``, ``input``, ``prompt``) each, which the
        model continues, or a ``text``, which is taken as it is; any other file is one text, cut
        into pieces; None: the set of prompts that comes along.

    Raises UsageError: ``calibration-file``, ``calibration-empty``, ``task-file``, ``task-line``,
    ``calibration-line``.
    """
    if path is None:
        return Prompts(tuple(_shipped()), (), None)
    path = Path(path)
    if path.suffix not in (".jsonl", ".ndjson"):
        text = _read(path)
        if not text.strip():
            raise UsageError("calibration-empty", path=path)
        return Prompts((), (text,), path.name)
    from pocketr1.measure.problems import read_lines

    questions: list[str] = []
    texts: list[str] = []
    for number, entry in read_lines(path):
        found = next((entry[key] for key in _PROMPT_KEYS if entry.get(key) is not None), None)
        into = questions
        if found is None:
            found, into = entry.get("text"), texts
        if not isinstance(found, str) or not found.strip():
            raise UsageError("calibration-line", path=path, line=number)
        into.append(found)
    if not questions and not texts:
        raise UsageError("calibration-empty", path=path)
    return Prompts(tuple(questions), tuple(texts), path.name)


def longest_sample(samples: int) -> int:
    """Return the most tokens that each of so many samples may have."""
    return min(_LONGEST, max(_SHORTEST, (CALIBRATION_TOKENS + GATE_TOKENS) // samples))


def gather(
    prompts: Prompts,
    samples: int,
    model: Callable[[], AbstractContextManager[Engine]],
    tokenizer: Tokenizer,
    template: ChatTemplate,
    advance: Callable[[int, int], None],
) -> CalibrationText:
    """Make the calibration text: let the model reason where there are questions.

    Args:
        prompts: what to begin with; where there are fewer than ``samples``, they are taken again,
            and continued otherwise.
        samples: sequences to make. Each may have its share of CALIBRATION_TOKENS; it ends when
            there are enough tokens.
        model: opens the model itself, as it was or in 8 bits; called where there are questions.
        tokenizer: the model's.
        template: the model's.
        advance: is told the tokens made, and about how many there will be.

    Raises UsageError (``calibration-short``) where the text has too few tokens to calibrate.
    """
    longest = longest_sample(samples)
    found: list[Sample] = []
    for text in prompts.texts:
        ids = tokenizer.encode_text(text)
        found += (Sample(tuple(ids[i : i + longest]), 1) for i in range(0, len(ids), longest))
    if len(found) > samples:  # from all over the text
        found = [found[i * len(found) // samples] for i in range(samples)]
    left = samples - len(found)
    if prompts.questions and left > 0:
        total = min(left * longest, CALIBRATION_TOKENS + GATE_TOKENS)
        done = 0

        def made(tokens: int) -> None:
            nonlocal done
            done += tokens
            advance(min(done, total), total)

        with model() as engine:
            made(0)
            found += _continued(prompts.questions, left, longest, engine, template, made)
    chosen, gate = _divide([sample for sample in found if len(sample.ids) > sample.prompt])
    if not chosen or not gate:
        raise UsageError("calibration-short", path=prompts.file or "")
    text = "\n".join(tokenizer.decode(sample.ids, skip_special=False) for sample in chosen)
    return CalibrationText(tuple(chosen), tuple(gate), text, prompts.file)


def _continued(
    questions: Sequence[str],
    samples: int,
    longest: int,
    model: Engine,
    template: ChatTemplate,
    advance: Callable[[int], None],
) -> Iterator[Sample]:
    from pocketr1.engine import Sampling

    prompts: list[tuple[int, ...]] = []
    for question in islice(cycle(questions), samples):
        ids = template.encode([{"role": "user", "content": question}]).ids
        prompts.append(ids[: model.max_context // 2])
    done = 0
    made: dict[int, Sample] = {}
    answers = model.generate_many(
        prompts, Sampling(seed=_SEED), max_tokens=longest, batch=REASONING_BATCH, advance=advance
    )
    for completion in answers:
        prompt = prompts[completion.index]
        made[completion.index] = Sample((*prompt, *completion.token_ids), len(prompt))
        done += len(prompt) + len(completion.token_ids)
        if done >= CALIBRATION_TOKENS + GATE_TOKENS:
            break
    yield from (made[index] for index in sorted(made))


def _divide(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Share samples out among calibration and gate, each to its limit of tokens."""
    chosen: list[Sample] = []
    gate: list[Sample] = []
    tokens = gate_tokens = 0
    for number, sample in enumerate(samples):
        size = len(sample.ids)
        if number % _GATE_SHARE == 0 and gate_tokens < GATE_TOKENS:
            cut = sample.ids[: max(GATE_TOKENS - gate_tokens, sample.prompt + 1)]
            gate.append(Sample(cut, sample.prompt))
            gate_tokens += len(cut)
        elif tokens < CALIBRATION_TOKENS:
            chosen.append(Sample(sample.ids[: CALIBRATION_TOKENS - tokens], sample.prompt))
            tokens += size
    return chosen, gate


def first_tokens(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return the first samples, the last one cut, of at most ``limit`` tokens."""
    found: list[Sample] = []
    left = limit
    for sample in samples:
        if left < 2:
            break
        found.append(Sample(sample.ids[:left], sample.prompt))
        left -= len(found[-1].ids)
    return found


def lengths_and_ids(samples: Sequence[Sample]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the lengths of samples and their tokens one behind the other."""
    ids = [np.array(sample.ids, np.int64) for sample in samples]
    return [len(each) for each in ids], np.concatenate(ids)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise UsageError("calibration-file", path=path, reason=f"> {_LARGEST_FILE >> 20} MiB")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("calibration-file", path=path, reason=reason) from error


def _shipped() -> Iterator[str]:
    file = resources.files("pocketr1.compress").joinpath("calibration_prompts.txt")
    for line in file.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()
