"""The work of a calibrated job, as the writer of a bundle asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketr1 import arch, checkpoint
from pocketr1.bundle import BundleLayout, BundleWriter, PartError, Segment
from pocketr1.bundle.files import explain_write_errors, write_file
from pocketr1.chat import ChatTemplate, load_tokenizer
from pocketr1.compress.calibrate import Calibrator, Step
from pocketr1.compress.calibration import (
    CALIBRATION_TOKENS,
    GATE_TOKENS,
    CalibrationText,
    Prompts,
    gather,
)
from pocketr1.engine import Engine, ModelSource, load

__all__ = ["CalibratedWork", "scratch_bytes"]

_CONTEXT = 4096  # of the model while it makes its own text

#: Stage, done, total, what is at work.
Tell = Callable[[str, int, int, str], None]


class CalibratedWork:
    """Makes the calibration text, or takes up an earlier run's, and then the parts."""

    def __init__(
        self,
        source: checkpoint.Checkpoint,
        writer: BundleWriter,
        prompts: Prompts,
        samples: int,
        threads: int,
        tell: Tell,
    ) -> None:
        """Make the text; see :func:`pocketr1.compress.calibration.gather`.

        Raises ChatError where the model has no usable tokenizer or template, EngineError where the
        checkpoint cannot be run as it lies, UsageError ``calibration-short``.
        """
        self._writer = writer
        directory = writer.work
        directory.mkdir(parents=True, exist_ok=True)
        kept = directory / "text.json"
        if kept.exists():
            self.text = CalibrationText.from_json(kept.read_text("utf-8"))
        else:
            tokenizer = load_tokenizer(source.path)

            def engine() -> Engine:
                context = min(_CONTEXT, source.spec.max_positions)
                found = ModelSource("checkpoint", source.path)
                return load(found, threads=threads, max_context=context)

            self.text = gather(
                prompts,
                samples,
                engine,
                tokenizer,
                ChatTemplate.load(source.path, tokenizer),
                lambda done, total: tell("reason", done, total, ""),
            )
            with explain_write_errors(kept):
                write_file(kept, self.text.to_json().encode("utf-8", "surrogatepass"))

        def step(step: Step) -> None:
            tell("calibrate", step.done, step.total, step.at)

        self._calibrator = Calibrator(
            source, writer.layout.tensors, self.text, directory, threads, step
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
        return {**self.text.record(), "steps": self._calibrator.notes()}


def scratch_bytes(spec: arch.ModelSpec, layout: BundleLayout) -> int:
    """Return what a calibrated job needs on the disk beside the bundle, at most."""
    states = 2 * 4 * spec.hidden_size * (CALIBRATION_TOKENS + GATE_TOKENS)
    probabilities = 2 * spec.vocab_size * GATE_TOKENS
    sizes: dict[str, int] = {}
    for tensor, size in zip(layout.tensors, layout.tensor_bytes(), strict=True):
        unit = ".".join(tensor.name.split(".")[:2])
        sizes[unit] = sizes.get(unit, 0) + size
    return states + probabilities + 4 * max(sizes.values())
