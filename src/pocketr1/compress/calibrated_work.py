"""The work of a calibrated job, as the writer of a bundle asks for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import arch, checkpoint
from pocketr1.bundle import BundleLayout, BundleWriter, PartError, Segment
from pocketr1.bundle.files import explain_write_errors, write_file
from pocketr1.compress.calibrate import Calibrator
from pocketr1.compress.calibration import (
    CALIBRATION_TOKENS,
    GATE_TOKENS,
    CalibrationText,
    Prompts,
    gather,
)
from pocketr1.compress.original import decoded_bytes
from pocketr1.compress.partial_model import Place
from pocketr1.engine import Engine

__all__ = ["CalibratedWork", "calibration_text", "missing_scratch", "scratch_bytes"]

#: Stage, done, total, what is at work.
Tell = Callable[[str, int, int, str], None]


class CalibratedWork:
    """Makes the parts of a bundle, in order."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        original: Mapping[str, Place],
        writer: BundleWriter,
        text: CalibrationText,
        threads: int,
        tell: Tell,
    ) -> None:
        """Prepare, or take up an earlier run's work."""
        self._writer = writer
        self._text = text
        self._calibrator = Calibrator(
            source,
            original,
            writer.layout.tensors,
            text,
            writer.work / "units",
            threads,
            lambda step: tell("calibrate", step.done, step.total, step.at),
        )

    def parts(self, segment: Segment) -> Iterator[tuple[NDArray[np.uint8], PartError]]:
        """Yield bytes and error of each part of a segment."""
        for part in segment.parts:
            name = self._writer.layout.tensors[part.tensor].name
            with explain_write_errors(self._writer.work):
                made = self._calibrator.part(name, part)
            yield made

    def record(self) -> dict[str, Any]:
        """The ``calibration`` of bundle.json."""
        return {**self._text.record(), "steps": self._calibrator.notes()}


def calibration_text(
    source: checkpoint.Checkpoint,
    directory: Path,
    prompts: Prompts,
    samples: int,
    model: Callable[[], AbstractContextManager[Engine]],
    tell: Tell,
) -> CalibrationText:
    """Make the text a model is calibrated with, or take the one that an earlier run made of these.

    directory: of the job; the text is kept there. For the rest see
    :func:`pocketr1.compress.calibration.gather`.

    Raises ChatError where the model has no usable tokenizer or template, UsageError
    ``calibration-short``.
    """
    kept = directory / "text.json"
    key = {
        "prompts": prompts.sha256,
        "samples": samples,
        "source": [[path.name, path.stat().st_size] for path in source.files],
    }
    if kept.exists():
        document = json.loads(kept.read_text("utf-8"))
        if document["key"] == key:
            return CalibrationText.from_dict(document["text"])
    from pocketr1.chat import ChatTemplate, load_tokenizer

    model_files = _model_files(source, directory)
    tokenizer = load_tokenizer(model_files)
    text = gather(
        prompts,
        samples,
        model,
        tokenizer,
        ChatTemplate.load(model_files, tokenizer),
        lambda done, total: tell("reason", done, total, ""),
    )
    with explain_write_errors(kept):
        directory.mkdir(parents=True, exist_ok=True)
        write_file(kept, json.dumps({"key": key, "text": text.to_dict()}).encode())
    return text


def _model_files(source: checkpoint.Checkpoint, directory: Path) -> Path:
    """Return a directory with the tokenizer: of a GGUF file, that is made."""
    if source.path.is_dir():
        return source.path
    files = directory / "tokenizer"
    files.mkdir(parents=True, exist_ok=True)
    for file in source.tokenizer_files:
        write_file(files / file.name, file.read_bytes())
    return files


def scratch_bytes(source: checkpoint.Checkpoint, layout: BundleLayout) -> int:
    """Return what a calibrated job needs on the disk beside the bundle, at most."""
    spec = source.spec
    parameters = sum(math.prod(shape) for shape in arch.expected_tensors(spec).values())
    whole = parameters + parameters // 50  # in 8 bits: it makes its own text, and is measured with
    states = 2 * 4 * spec.hidden_size * (CALIBRATION_TOKENS + GATE_TOKENS)
    probabilities = 2 * spec.vocab_size * GATE_TOKENS
    sizes: dict[str, int] = {}
    for tensor, size in zip(layout.tensors, layout.tensor_bytes(), strict=True):
        unit = ".".join(tensor.name.split(".")[:2])
        sizes[unit] = sizes.get(unit, 0) + size
    decoded = decoded_bytes(source)
    return whole + decoded + states + probabilities + 4 * max(sizes.values())


def missing_scratch(
    writer: BundleWriter, source: checkpoint.Checkpoint, layout: BundleLayout
) -> int:
    """Return what of that is still to come: what an earlier run left lies on the disk already."""
    files = [path for path in writer.work.rglob("*") if path.is_file()]
    return max(0, scratch_bytes(source, layout) - sum(path.stat().st_size for path in files))
