"""Compress a checkpoint into a bundle, a few megabytes at a time."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketr1 import __version__, arch, checkpoint
from pocketr1.bundle import (
    BundleReport,
    BundleWriter,
    Job,
    TensorPlan,
    inspect,
    plan_layout,
)
from pocketr1.bundle.files import existing_parent, explain_write_errors, write_file
from pocketr1.compress.calibrated_work import (
    CalibratedWork,
    calibration_text,
    missing_scratch,
)
from pocketr1.compress.calibration import CalibrationText, read_prompts
from pocketr1.compress.defaults import DEFAULTS
from pocketr1.compress.discard import Discarder, clear_leftovers, rests_of
from pocketr1.compress.disk import peak_disk_bytes
from pocketr1.compress.effort import measure_effort
from pocketr1.compress.estimate import Estimate, TargetEstimate, estimate, estimate_target
from pocketr1.compress.gate import Gate, Judgement, SeparatingGate
from pocketr1.compress.original import original_places
from pocketr1.compress.partial_model import Place
from pocketr1.compress.progress import Progress
from pocketr1.compress.reasoner import reasoner
from pocketr1.compress.recipe import Recipe
from pocketr1.compress.rounded_work import RoundedWork
from pocketr1.compress.source import (
    Arrivals,
    all_files,
    check_sources,
    hash_file,
    source_files,
)
from pocketr1.compress.target import PROBES, Target, allocate, check_target
from pocketr1.compress.tokenizer import tokenizer_record
from pocketr1.engine import ModelSource
from pocketr1.errors import CompressionError, UsageError
from pocketr1.machine import default_threads, peak_rss_bytes

__all__ = ["CompressionReport", "Progress", "Quantizer"]

_MAX_THREADS = 256
_MAX_SAMPLES = 4096


@dataclass(frozen=True)
class CompressionReport:
    """What a job did."""

    bundle: BundleReport
    seconds: float  # of this run
    resumed_segments: int  # that an earlier run had finished
    peak_rss_bytes: int  # of this process, since it began
    evaluation: Mapping[str, Any] | None = None  # what the gate measured
    carried_tensors: int = 0  # of a quantized source, whose codes were taken as they are
    requantized_tensors: int = 0  # of one, that were decoded and quantized anew
    carrying_format: str | None = None  # that would have carried most of those as they are

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "bundle": self.bundle.to_dict(),
            "seconds": self.seconds,
            "resumed_segments": self.resumed_segments,
            "peak_rss_bytes": self.peak_rss_bytes,
            "evaluation": None if self.evaluation is None else dict(self.evaluation),
            "carried_tensors": self.carried_tensors,
            "requantized_tensors": self.requantized_tensors,
            "carrying_format": self.carrying_format,
        }


@dataclass(frozen=True)
class _Carriage:
    """What becomes of the matrices of a source that was quantized already."""

    carried: int = 0
    requantized: int = 0
    missed: str | None = None  # the format that would have carried most of those


class Quantizer:
    """Compress a checkpoint: rounding to nearest with a searched scale per row and group.

    A job that is killed goes on where it was when it is run again with the same options; until it
    is whole, the bundle lies in ``output_path + ".partial"``. With a gate it stays there, marked as
    failed, where the gate does not let it pass; run again, the job is judged anew.
    """

    def __init__(
        self,
        model_path: str | Path,
        config_path: str | Path | None = None,
        output_path: str | Path | None = None,
        bits: int | str = DEFAULTS.bits,
        group_size: int = DEFAULTS.group_size,
        symmetric: bool = DEFAULTS.symmetric,
        embedding_bits: int | str | None = DEFAULTS.embedding_bits,
        head_bits: int | str | None = DEFAULTS.head_bits,
        threads: int | None = DEFAULTS.threads,
        calibration_data: str | Path | None = None,
        calibration_samples: int | None = None,
        calibration_text: str | Path | None = None,
        target: Target | None = None,
        discard_source: bool = DEFAULTS.discard_source,
        overwrite: bool = DEFAULTS.overwrite,
        progress: Callable[[Progress], None] | None = None,
        arrivals: Arrivals | None = None,
        gate: Gate | None = None,
        keep_failed: bool = False,
    ) -> None:
        """Check the options; nothing is read yet.

        Args:
            model_path: a Hugging Face directory, one safetensors file, or a safetensors index, or a
                GGUF file;
                quantized checkpoints (FP8, GPTQ, AWQ, compressed-tensors) too. A matrix whose own
                encoding is the one asked for is carried as it is, any other is quantized anew.
            config_path: a ``config.json`` that does not lie beside the weights.
            output_path: the bundle's directory; its parent is created.
            bits: 16 (kept as they are; f32 becomes f16), 8, 4, 3, 2 or ``"f8"`` (FP8: E4M3 with a
                scale per row and 128 inputs), of the decoder's matrices; or "keep": every tensor as
                its file holds it, where a weight format can.
            group_size: inputs that share a scale: 32, 64 or 128. The default suits 8 bits; for 4
                and 3 bits 64 is the advice: much closer to the original for 0.125 bits a weight
                more; for 2 bits, 32.
            symmetric: False stores a zero point per group (4 bits and fewer).
            embedding_bits: of the embedding, where it differs from ``bits``.
            head_bits: of the output head, where it differs and is not tied to the embedding.
            threads: None takes as many as there are fast cores, of those this process may use.
            calibration_data: what to calibrate with: a file of prompts, which the model continues
                with its own reasoning, or of texts (:func:`read_prompts` says how it may look);
                None with ``calibration_samples`` takes the prompts that come along.
            calibration_samples: sequences to calibrate with; without both, weights are rounded to
                nearest. Calibration needs the source, so that neither ``discard_source`` nor
                ``arrivals`` goes with it.
            calibration_text: a file that gets the text the model was calibrated with, whose hash
                bundle.json keeps: with it, ``pocketr1 evaluate --calibration`` proves that what
                measures the model is not in it.
            target: what the bundle is to come to; each matrix then gets the format that serves the
                whole best, ``bits`` and ``group_size`` do not count, and it is calibrated.
            discard_source: delete each weight file once all that is made of it is on disk.
            overwrite: replace a bundle at ``output_path``, once the new one is whole.
            progress: called often with how far the job is; what it raises stops the job.
            arrivals: brings weight files that are not there yet, each when the first segment
                needs it.
            gate: judges the whole bundle before it gets its name; it needs the source, so that
                neither ``discard_source`` nor ``arrivals`` goes with it. A ``SeparatingGate`` is
                shown the calibration text.
            keep_failed: give the bundle its name although the gate did not let it pass; that it
                failed stands in bundle.json.

        Raises:
            UsageError: ``compress-option``, ``compress-asymmetric``, ``compress-output-missing``,
                ``compress-gate-source``, ``compress-calibration-source``,
                ``compress-calibration-text``, ``-bits``, ``compress-target-bits``,
                ``threads-value``, and as :func:`read_prompts`.
        """
        if gate is not None and (discard_source or arrivals is not None):
            raise UsageError("compress-gate-source")
        if target is not None and (embedding_bits is not None or head_bits is not None):
            raise UsageError("compress-target-bits")
        calibrated = (calibration_data, calibration_samples, target) != (None, None, None)
        if calibrated and (discard_source or arrivals is not None):
            raise UsageError("compress-calibration-source")
        if calibration_text is not None and not calibrated:
            raise UsageError("compress-calibration-text")
        if calibration_samples is None:
            calibration_samples = DEFAULTS.calibration_samples
        if not (
            isinstance(calibration_samples, int)
            and not isinstance(calibration_samples, bool)
            and 2 <= calibration_samples <= _MAX_SAMPLES
        ):
            raise UsageError(
                "compress-option",
                option="calibration_samples",
                value=calibration_samples,
                allowed=f"2 … {_MAX_SAMPLES}",
            )
        if output_path is None:
            raise UsageError("compress-output-missing")
        if threads is not None and not (
            isinstance(threads, int)
            and not isinstance(threads, bool)
            and 1 <= threads <= _MAX_THREADS
        ):
            raise UsageError("threads-value", value=threads, limit=_MAX_THREADS)
        self.model_path = Path(model_path)
        self.config_path = None if config_path is None else Path(config_path)
        self.output_path = Path(output_path)
        self.recipe = Recipe(bits, group_size, symmetric, embedding_bits, head_bits)
        if calibrated and target is None and not self.recipe.rounds:
            raise UsageError("compress-calibration-bits", bits=bits)
        self.target = target
        self.prompts = read_prompts(calibration_data) if calibrated else None
        self.calibration_samples = calibration_samples
        self._calibration_text = None if calibration_text is None else Path(calibration_text)
        self.threads = threads or min(default_threads(), _MAX_THREADS)
        self.discard_source = discard_source
        self.overwrite = overwrite
        self._progress = progress
        self._arrivals = arrivals
        self._gate = gate
        self._keep_failed = keep_failed

    def run(self) -> CompressionReport:
        """Compress; go on where a killed run was.

        Raises:
            CheckpointError: the source is missing, incomplete or damaged.
            CompressionError: a weight that is not finite or too large; the output exists, is in
                use, is full, or belongs to another job; the gate did not let the bundle pass
                (``compress-gate-failed``).
            UsageError: ``compress-tied-head``, ``compress-encoded-discard``; what the gate
                measures with is in the calibration text (``evaluate-gate-calibration``).
        """
        started = time.monotonic()
        carriage = _Carriage()
        with BundleWriter(self.output_path, overwrite=self.overwrite) as writer:
            source = self._open(writer)
            resumed = writer.finished
            if source is not None:
                self._check_space(writer, source)
                self._hash(writer, source)
                carriage = self._carriage(writer, source)
                self._segments(writer, source)
                for path in source.missing_shards:  # of which nothing was needed
                    if path.name not in writer.source_hashes:
                        self._bring(writer, path)
            judgement = self._judge(writer)
            writer.publish(None if judgement is None else judgement.record)
        try:
            bundle = inspect(self.output_path)
        except KeyboardInterrupt:  # too late to stop anything
            bundle = inspect(self.output_path)
        return CompressionReport(
            bundle=bundle,
            seconds=time.monotonic() - started,
            resumed_segments=resumed,
            peak_rss_bytes=peak_rss_bytes(),
            evaluation=None if judgement is None else judgement.report,
            carried_tensors=carriage.carried,
            requantized_tensors=carriage.requantized,
            carrying_format=carriage.missed,
        )

    def estimate(self) -> Estimate | TargetEstimate:
        """Say what ``run`` would make and need; nothing is written but a short-lived test file.

        The time comes from quantizing a sample in the formats asked for, hashing and reading the
        source's first megabytes (which may lie in the page cache) and writing a file that is
        deleted again; how other work on the machine slows the job down is not foreseen. What
        calibrating takes comes from running one layer; what a gate takes is not counted.

        Raises:
            CheckpointError: the source cannot be read.
            CompressionError: ``compress-target-impossible``.
            UsageError: ``compress-tied-head``.
        """
        source = checkpoint.open(self.model_path, self.config_path)
        if self.prompts is None:
            return estimate(
                source, self.plan(source), self.output_path, self.threads, self.discard_source
            )
        if self.target is not None:
            check_target(source, self.target)  # before anything is timed
        effort = measure_effort(
            source,
            self.prompts,
            self.calibration_samples,
            self.threads,
            probes=0 if self.target is None else PROBES,
        )
        if self.target is not None:
            return estimate_target(source, self.target, self.output_path, self.threads, effort)
        return estimate(source, self.plan(source), self.output_path, self.threads, False, effort)

    def disk_needed(self) -> tuple[int, int]:
        """Return what the whole job takes at its fullest moment while files arrive, and is free.

        Both are bytes. Weight files and bundle are counted together; of what lies on the disk
        already, nothing is taken off.

        Raises:
            CheckpointError: the source cannot be read.
            UsageError: ``compress-tied-head``.
        """
        headers = None if self._arrivals is None else self._arrivals.headers
        source = checkpoint.open(self.model_path, self.config_path, headers=headers)
        sizes = {file.file: file.size for file in source_files(all_files(source), headers)}
        layout = plan_layout(self.plan(source))
        needed = peak_disk_bytes(layout, source, sizes, discard=self.discard_source)
        return needed, shutil.disk_usage(existing_parent(self.output_path)).free

    def plan(self, source: checkpoint.Checkpoint) -> tuple[TensorPlan, ...]:
        """Return the tensors of the bundle, in decode order."""
        shapes = arch.expected_tensors(source.spec)
        dtypes = {name: tensor.dtype for name, tensor in source.tensors.items()}
        exact = {
            name: tensor.decoder.exact_format
            for name, tensor in source.tensors.items()
            if tensor.decoder is not None
        }
        return self.recipe.tensors(shapes, dtypes, source.spec.tied_embeddings, exact)

    def _plan(self, tied_embeddings: bool) -> dict[str, Any]:
        """The ``plan`` of bundle.json: all that decides what becomes of the weights."""
        plan = self.recipe.plan(tied_embeddings)
        if self.target is not None:
            plan = {"method": "gptq", "target": self.target.to_dict()}
        if self.prompts is not None and plan["method"] != "none":
            plan["method"] = "gptq"
            plan["calibration"] = {
                "prompts_sha256": self.prompts.sha256,
                "samples": self.calibration_samples,
            }
        return plan

    def _carriage(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> _Carriage:
        """Count the tensors whose codes are taken as they are, and those decoded to be quantized.

        Raises:
            UsageError: ``compress-encoded-discard``.
        """
        formats = {tensor.name: tensor.format for tensor in writer.layout.tensors}
        encoded = {n: t.decoder for n, t in source.tensors.items() if t.decoder is not None}
        if encoded and self.discard_source:
            raise UsageError("compress-encoded-discard", path=source.path)
        exact = {name: decoder.exact_format for name, decoder in encoded.items()}
        missed = Counter(own for n, own in exact.items() if own is not None and own != formats[n])
        carried = sum(own == formats[name] for name, own in exact.items())
        best = missed.most_common(1)
        return _Carriage(carried, len(encoded) - carried, best[0][0] if best else None)

    def _open(self, writer: BundleWriter) -> checkpoint.Checkpoint | None:
        """Open the source and begin or take up the job; None where no weight is needed any more."""
        if writer.job is None:
            return self._begin(writer)
        try:
            return self._take_up(writer, writer.job)
        except CompressionError as error:
            lost = (writer.finished and not writer.failed) or writer.discarded
            if error.code != "compress-job-differs" or lost:
                raise
            # Nothing was finished, or what was is not good enough: nothing is lost.
            return self._begin(writer)

    def _begin(self, writer: BundleWriter) -> checkpoint.Checkpoint:
        headers = None if self._arrivals is None else self._arrivals.headers
        source = checkpoint.open(self.model_path, self.config_path, headers=headers)
        job = Job(
            created_by=f"pocketr1 {__version__}",
            model=source.spec.to_dict(),
            plan=self._plan(source.spec.tied_embeddings),
            tensors=self._allocated(writer, source) or self.plan(source),
            sources=source_files(all_files(source), headers),
            tokenizer=tokenizer_record(source.tokenizer_files),
        )
        writer.begin(job, source.tokenizer_files)
        return source

    def _take_up(self, writer: BundleWriter, job: Job) -> checkpoint.Checkpoint | None:
        if job.created_by != f"pocketr1 {__version__}":
            self._refuse(writer, job.created_by)
        if job.plan != self._plan(bool(job.model["tied_embeddings"])):
            what = "bits, group_size, symmetric, embedding_bits, head_bits, calibration_…"
            self._refuse(writer, what)
        if writer.finished == len(writer.layout.segments) and writer.discarded:
            directory = self.model_path if self.model_path.is_dir() else self.model_path.parent
            if not any((directory / source.file).exists() for source in job.sources):
                return None
        headers = None if self._arrivals is None else self._arrivals.headers
        clear_leftovers(writer)
        if headers is None and rests_of(writer):
            raise CompressionError("compress-job-arrivals", path=writer.partial)
        source = checkpoint.open(
            self.model_path,
            self.config_path,
            allow_missing=bool(writer.discarded),
            headers=headers,
        )
        if headers is None and any(
            path.name not in writer.discarded for path in source.missing_shards
        ):
            source = checkpoint.open(self.model_path, self.config_path)  # says which is missing
        check_sources(writer, source.files)
        model = source.spec.to_dict()
        if source.awaited:  # whether the head is tied is seen in the weights
            model["tied_embeddings"] = job.model["tied_embeddings"]
        if model != job.model:
            self._refuse(writer, str(source.config_path))
        return source

    def _refuse(self, writer: BundleWriter, what: str) -> None:
        raise CompressionError("compress-job-differs", path=writer.partial, what=what)

    def _check_space(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> None:
        """Refuse a job that the disk has no room for, before the long work."""
        layout = writer.layout
        if self._arrivals is not None:
            assert writer.job is not None
            rests = rests_of(writer) if self.discard_source else {}
            here = {
                path.name: path.stat().st_size if path.exists() else self._arrivals.here(path)
                for path in all_files(source)
            }
            needed = peak_disk_bytes(
                layout,
                source,
                {file.file: file.size for file in writer.job.sources},
                finished=writer.finished,
                here={**here, **rests},
                rests=rests,
                discard=self.discard_source,
            )
        elif self.discard_source:
            return  # room appears while the job runs
        else:
            done = sum(segment.size for segment in layout.segments[: writer.finished])
            needed = layout.file_bytes - done
            if self.prompts is not None:
                needed += missing_scratch(writer, source, layout)
        self._check_free(writer, needed)

    def _check_free(self, writer: BundleWriter, needed: int) -> None:
        free = shutil.disk_usage(writer.partial).free
        if needed > free:
            raise CompressionError(
                "compress-disk-space",
                path=writer.partial,
                needed=-(-needed // 10**6),
                free=free // 10**6,
            )

    def _hash(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> None:
        total = sum(path.stat().st_size for path in source.files)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._tell(Progress("hash", done, total, ""))

        for path in source.files:
            if path.name not in writer.source_hashes:
                writer.add_source_hash(path.name, hash_file(path, advance))

    def _bring(self, writer: BundleWriter, path: Path) -> None:
        """Wait for a weight file that has not come, and hash it."""
        if self._arrivals is None or path.exists():
            return
        self._arrivals.fetch(path)
        if path.name not in writer.source_hashes:
            writer.add_source_hash(path.name, hash_file(path))

    def _segments(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> None:
        discarder = Discarder(writer, source) if self.discard_source else None
        if discarder is not None:
            source = discarder.take_up(source)
        work: RoundedWork | CalibratedWork = RoundedWork(self, writer, source, discarder)
        if writer.job is not None and writer.job.plan["method"] == "gptq":
            work = self._calibrated(writer, source)
        for index in range(writer.finished, len(writer.layout.segments)):
            writer.write_segment(index, work.parts(writer.layout.segments[index]))
            if discarder is not None:
                discarder.after_segment(index + 1)
        if isinstance(work, CalibratedWork):
            writer.calibration = work.record()
            shutil.rmtree(writer.work / "original", ignore_errors=True)

    def _allocated(
        self, writer: BundleWriter, source: checkpoint.Checkpoint
    ) -> tuple[TensorPlan, ...] | None:
        """The tensors that suit the target, where there is one."""
        if self.target is None:
            return None
        least = plan_layout(check_target(source, self.target).smallest)
        self._check_free(writer, least.file_bytes + missing_scratch(writer, source, least))
        text = self._text(writer, source)
        with explain_write_errors(writer.work):
            return allocate(
                source,
                self._original(writer, source),
                self.target,
                text,
                writer.work,
                self.threads,
                lambda done, total, at: self._tell(Progress("allocate", done, total, at)),
            )

    def _calibrated(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> CalibratedWork:
        text = self._text(writer, source)
        if self._calibration_text is not None:
            with explain_write_errors(self._calibration_text):
                write_file(self._calibration_text, text.text.encode("utf-8", "surrogatepass"))
        unfinished = writer.finished < len(writer.layout.segments)
        with explain_write_errors(writer.work):
            original = self._original(writer, source) if unfinished else {}
        return CalibratedWork(source, original, writer, text, self.threads, self._tell_stage)

    def _original(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> dict[str, Place]:
        """Where the source's tensors lie; those that are encoded are decoded first."""
        return original_places(
            source,
            writer.work / "original",
            lambda done, total, at: self._tell(Progress("decode", done, total, at)),
        )

    def _text(self, writer: BundleWriter, source: checkpoint.Checkpoint) -> CalibrationText:
        assert self.prompts is not None
        text = calibration_text(
            source,
            writer.work,
            self.prompts,
            self.calibration_samples,
            lambda: reasoner(
                self.model_path, self.config_path, writer.work / "own-int8", self.threads
            ),
            self._tell_stage,
        )
        if isinstance(self._gate, SeparatingGate):
            self._gate.calibrated_with(text.text)
        return text

    def _tell_stage(self, stage: str, done: int, total: int, at: str) -> None:
        self._tell(Progress(stage, done, total, at))

    def _judge(self, writer: BundleWriter) -> Judgement | None:
        if self._gate is None:
            return None
        try:
            judgement = self._gate(ModelSource("bundle", writer.complete()))
        except BaseException:
            writer.withdraw()
            raise
        if not judgement.passed and not self._keep_failed:
            writer.fail(judgement.record)
            raise CompressionError(
                "compress-gate-failed",
                path=writer.partial,
                reasons=judgement.reasons,
                advice=judgement.advice,
                evaluation=judgement.report,
            )
        return judgement

    def _tell(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress)
