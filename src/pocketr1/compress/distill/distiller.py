"""The job: a bundle and its original become a bundle that is nearer to the original."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketr1 import __version__, checkpoint
from pocketr1.bundle import BundleReport, BundleWriter, Job, SourceFile, inspect
from pocketr1.bundle.files import explain_write_errors, write_file
from pocketr1.compress.calibrated_work import calibration_text
from pocketr1.compress.calibration import CalibrationText, read_prompts
from pocketr1.compress.defaults import DEFAULTS
from pocketr1.compress.distance import Distance, Sequences, embedded
from pocketr1.compress.distill.original import MadeBundle, check_source
from pocketr1.compress.partial_model import PartialModel, checkpoint_places
from pocketr1.compress.progress import Progress
from pocketr1.compress.reasoner import reasoner
from pocketr1.compress.units import new_array
from pocketr1.errors import CompressionError, UsageError
from pocketr1.machine import default_threads

if TYPE_CHECKING:
    from pocketr1.compress.distill.training import Teacher

__all__ = ["DistillReport", "Distiller", "require_torch"]

_MAX_THREADS = 256
_MAX_SAMPLES = 4096
_MAX_EPOCHS = 1000
_RATE = 0.001
_STEP_TOKENS = 512


@dataclass(frozen=True)
class DistillReport:
    """What a job did. Divergences are nats a token, by the engine, on text not trained on."""

    bundle: BundleReport
    kld_before: float
    kld_after: float
    steps: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "bundle": self.bundle.to_dict(),
            "kld_before": self.kld_before,
            "kld_after": self.kld_after,
            "steps": self.steps,
            "seconds": self.seconds,
        }


class Distiller:
    """Train the scales, biases and RMS norms' gains of a bundle towards its original.

    Codes and zero points stay bit for bit what they are, and with them the bundle's size and speed.
    The result gets its name only where the engine measures less divergence from the original than
    before, on text that was not trained on; otherwise nothing is left. A job that is killed keeps
    its text and the original's states in ``output_path + ".partial"``, and trains anew.
    """

    def __init__(
        self,
        bundle_path: str | Path,
        source_path: str | Path,
        output_path: str | Path,
        config_path: str | Path | None = None,
        epochs: int = DEFAULTS.distill_epochs,
        calibration_data: str | Path | None = None,
        calibration_samples: int = DEFAULTS.calibration_samples,
        calibration_text: str | Path | None = None,
        threads: int | None = DEFAULTS.threads,
        overwrite: bool = DEFAULTS.overwrite,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Check the options; nothing is read yet.

        Args:
            bundle_path: what ``compress`` made, calibrated or not.
            source_path: the checkpoint it was made of.
            output_path: the new bundle's directory.
            config_path: a ``config.json`` that does not lie beside the weights.
            epochs: passes over the text.
            calibration_data: what to train on, as for :class:`pocketr1.compress.Quantizer`.
            calibration_samples: sequences of it; every ninth is kept for measuring.
            calibration_text: a file that gets the text that was trained on.
            threads: None takes as many as there are fast cores. The same number gives the same
                bytes on the same machine.
            overwrite: replace a bundle at ``output_path``, once the new one is whole.
            progress: called often with how far the job is; what it raises stops the job.

        Raises:
            UsageError: ``distill-torch`` where PyTorch is missing, ``compress-option``,
                ``threads-value``, and as :func:`pocketr1.compress.calibration.read_prompts`.
        """
        require_torch()
        for option, value, least, most in (
            ("epochs", epochs, 1, _MAX_EPOCHS),
            ("calibration_samples", calibration_samples, 2, _MAX_SAMPLES),
        ):
            if not _whole(value, least, most):
                raise UsageError(
                    "compress-option", option=option, value=value, allowed=f"{least} … {most}"
                )
        if threads is not None and not _whole(threads, 1, _MAX_THREADS):
            raise UsageError("threads-value", value=threads, limit=_MAX_THREADS)
        self.bundle_path = Path(bundle_path)
        self.source_path = Path(source_path)
        self.output_path = Path(output_path)
        self.config_path = None if config_path is None else Path(config_path)
        self.epochs = epochs
        self.prompts = read_prompts(calibration_data)
        self.calibration_samples = calibration_samples
        self.threads = threads or min(default_threads(), _MAX_THREADS)
        self.overwrite = overwrite
        self._calibration_text = None if calibration_text is None else Path(calibration_text)
        self._progress = progress

    def run(self) -> DistillReport:
        """Do the whole job.

        Raises:
            UsageError: ``distill-nothing``, ``distill-encoded``, ``distill-model-differs``,
                ``distill-source-differs``.
            BundleError, CheckpointError: bundle or source cannot be read.
            CompressionError: ``distill-no-gain`` where the divergence did not fall; the output
                exists, is in use, is full, or belongs to another job.
        """
        started = time.monotonic()
        bundle = MadeBundle.open(self.bundle_path)
        source = checkpoint.open(self.source_path, self.config_path)
        check_source(bundle, source, lambda done, total: self._tell("hash", done, total))
        with BundleWriter(self.output_path, overwrite=self.overwrite) as writer:
            self._begin(writer, bundle)
            text = self._text(writer, source)
            gate = Sequences.of(text.gate)
            with explain_write_errors(writer.work):
                distance = self._distance(source, gate, writer.work)
                before = self._measure(distance, bundle.path, gate)
                steps = self._train(writer, bundle, source, Sequences.of(text.samples))
            after = math.inf
            if steps is not None:
                after = self._measure(distance, writer.complete(), gate)
            if not after < before:
                writer.abandon()
                raise CompressionError(
                    "distill-no-gain",
                    path=self.bundle_path,
                    before=f"{before:.6f}",
                    after=f"{after:.6f}",
                )
            writer.calibration = bundle.metadata.get("calibration")
            writer.distilled = {
                **text.record(),
                "epochs": self.epochs,
                "steps": steps,
                "kld": {"before": before, "after": after},
            }
            writer.publish()
        report = inspect(self.output_path)
        return DistillReport(report, before, after, steps or 0, time.monotonic() - started)

    def _begin(self, writer: BundleWriter, bundle: MadeBundle) -> None:
        """Begin the job; the text and states of an earlier run of the same are kept."""
        rows = bundle.metadata["source"]
        distill = {
            "bundle_sha256": bundle.sha256,
            "epochs": self.epochs,
            "prompts_sha256": self.prompts.sha256,
            "samples": self.calibration_samples,
        }
        job = Job(
            created_by=f"pocketr1 {__version__}",
            model=bundle.metadata["model"],
            plan={**bundle.metadata["plan"], "distill": distill},
            tensors=bundle.tensors,
            sources=tuple(SourceFile(row["file"], row["size"], 0) for row in rows),
            tokenizer=bundle.metadata["tokenizer"],
        )
        if writer.job is not None and writer.job.to_json() != job.to_json():
            raise CompressionError(
                "compress-job-differs",
                path=writer.partial,
                what=f"{bundle.path}, epochs, calibration_…",
            )
        writer.begin(job, bundle.companions)
        for row in rows:
            writer.add_source_hash(row["file"], row["sha256"])

    def _text(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> CalibrationText:
        text = calibration_text(
            source,
            writer.work,
            self.prompts,
            self.calibration_samples,
            lambda: reasoner(
                self.source_path, self.config_path, writer.work / "own-int8", self.threads
            ),
            lambda stage, done, total, _: self._tell(stage, done, total),
        )
        if self._calibration_text is not None:
            with explain_write_errors(self._calibration_text):
                write_file(self._calibration_text, text.text.encode("utf-8", "surrogatepass"))
        return text

    def _distance(
        self, source: checkpoint.Checkpoint, gate: Sequences, directory: Path
    ) -> Distance:
        zeros = directory / "zeros"
        zeros.write_bytes(bytes(4 * source.spec.hidden_size))
        total = len(gate.ids) * len(source.spec.layers)
        count = _Count(lambda done: self._tell("original", done, total))
        return Distance(
            source.spec,
            checkpoint_places(source),
            lambda: embedded(source, gate.ids),
            gate,
            directory / "reference.npy",
            zeros,
            self.threads,
            count.more,
        )

    def _measure(self, distance: Distance, bundle: Path, gate: Sequences) -> float:
        count = _Count(lambda done: self._tell("measure", done, len(gate.ids)))
        return distance.of_bundle(bundle, count.more)

    def _train(
        self,
        writer: BundleWriter,
        bundle: MadeBundle,
        source: checkpoint.Checkpoint,
        text: Sequences,
    ) -> int | None:
        """Train and write the segments; return the steps, None where training diverged."""
        import torch

        from pocketr1.compress.distill.student import Student
        from pocketr1.compress.distill.tensors import Rewriter, read_student
        from pocketr1.compress.distill.training import Training, train

        torch.set_num_threads(self.threads)
        student = Student(bundle.spec, read_student(bundle))
        steps = train(
            student,
            self._teacher(source, text, writer.work),
            text,
            Training(self.epochs, _RATE, _STEP_TOKENS),
            lambda done, total: self._tell("distill", done, total),
        )
        if steps is not None:
            trained = {name: values.stored() for name, values in student.trained()}
            work = Rewriter(bundle, writer.layout.tensors, trained)
            for index, segment in enumerate(writer.layout.segments):
                writer.write_segment(index, work.parts(segment))
        return steps

    def _teacher(self, source: checkpoint.Checkpoint, text: Sequences, directory: Path) -> Teacher:
        """Have the engine run the original over the text, once."""
        from pocketr1.compress.distill.tensors import frozen
        from pocketr1.compress.distill.training import Teacher

        spec = source.spec
        path = directory / "states.npy"
        if not path.exists():
            model = PartialModel(
                spec,
                checkpoint_places(source),
                range(len(spec.layers)),
                zeros=directory / "zeros",
                threads=self.threads,
                longest=max(text.lengths),
            )
            count = _Count(lambda done: self._tell("original", done, len(text.ids)))
            with new_array(path, (len(text.ids), spec.hidden_size), np.float32) as out:
                states = embedded(source, text.ids)
                model.forward(states, text.lengths, out=out, advance=count.more)
        head = "embed.weight" if spec.tied_embeddings else "head.weight"
        gain, matrix = (
            frozen(source.read_rows(name), source.tensors[name].dtype)
            for name in ("final_norm.weight", head)
        )
        return Teacher(np.load(path, mmap_mode="r"), gain.value(), matrix, spec.rms_norm_eps)

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(Progress(stage, done, total, ""))


@dataclass
class _Count:
    """Adds up what is told it."""

    tell: Callable[[int], None]
    done: int = 0

    def more(self, count: int) -> None:
        self.done += count
        self.tell(self.done)


def require_torch() -> None:
    """Raise UsageError ``distill-torch`` where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UsageError("distill-torch")


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
