"""Which model to take: a pure function of what was found."""

from __future__ import annotations

from dataclasses import dataclass

from pocketr1.doctor.candidates import USUAL_BITS, Candidate, candidates
from pocketr1.doctor.findings import Findings
from pocketr1.doctor.speed import MemorySpeed
from pocketr1.machine import Memory

__all__ = ["Advice", "Assessment", "advise", "decode_speed"]

#: Memory that stays with the system and other programs: so many bytes of what is available, and
#: this share of all there is.
SYSTEM_BYTES, SYSTEM_SHARE = 500 * 10**6, 0.2
STORAGE_BYTES = 500 * 10**6  # stay free
#: Tokens a second that a model should reach: reading speed. R1 thinks for hundreds of tokens before
#: it answers; below this, a smaller model is the better advice.
COMFORTABLE = 5.0
#: Decoded tokens a second over what the engine's matrix products alone would allow, least and most.
#: Measured by `pocketr1 bench` between two runs of `measure_memory`, medians of three, on 2 cores
#: of an AMD EPYC with AVX2 while other programs ran, 2026-11-24: the 1.5B shape 0.87 (INT4, group
#: 64; 12.8 tok/s) and 0.91 (INT8, group 128; 9.0 tok/s). Checked on the 7B shape, INT4: 2.85 tok/s
#: where the middle of this range foretold 2.69.
EFFICIENCY = (0.75, 1.0)


@dataclass(frozen=True)
class Assessment:
    """A candidate on this device; ``None`` is unknown."""

    candidate: Candidate
    fits_memory: bool | None  # in what is available now
    fits_memory_emptied: bool | None  # with nearly all other programs closed
    fits_storage: bool | None
    tok_s: tuple[float, float] | None  # least and most

    @property
    def fits(self) -> bool:
        """Whether it is known to fit."""
        return bool(self.fits_memory and self.fits_storage)

    @property
    def comfortable(self) -> bool:
        """Whether it answers at reading speed, as far as is known."""
        return self.tok_s is None or self.tok_s[0] >= COMFORTABLE


@dataclass(frozen=True)
class Advice:
    """The advice. Bytes; ``None`` is unknown, or nothing to advise."""

    memory_budget: int | None  # what a model may take now
    storage_budget: int | None
    assessments: tuple[Assessment, ...]
    best: Assessment | None
    command: str | None  # what to run next
    run_budget: int | None  # what the best one will take, rounded up
    passed_over: Assessment | None  # the ablest that fits, where it is slower than one reads
    threads: int | None  # the fast cores this process may use
    memory_missing: int | None  # for the smallest candidate; 0: enough
    storage_missing: int | None


def advise(findings: Findings) -> Advice:
    """Choose the ablest model that fits and answers at reading speed, and its precision.

    Models are taken in the order of their published ability. Of one model, 8 bits are taken where
    they fit and reach COMFORTABLE tokens a second, else 4. Where nothing that fits is that fast,
    the fastest is advised. 3 bits are advised where nothing fits in more.
    """
    memory = _budget(findings.memory)
    emptied = _emptied(findings.memory)
    free = findings.storage.free
    storage = None if free is None else max(0, free - STORAGE_BYTES)
    assessments = tuple(
        Assessment(
            candidate,
            _at_most(candidate.memory_bytes, memory),
            _at_most(candidate.memory_bytes, emptied),
            _at_most(candidate.storage_bytes, storage),
            decode_speed(candidate, findings.speed),
        )
        for candidate in candidates()
    )
    best = _best(assessments)
    ablest = next(iter(_fitting(assessments)), None)
    command = budget = None
    if best is not None:
        chosen = best.candidate
        command = f"pocketr1 pull {chosen.alias} --compress {chosen.bits}"
        budget = chosen.run_budget
    return Advice(
        memory_budget=memory,
        storage_budget=storage,
        assessments=assessments,
        best=best,
        command=command,
        run_budget=budget,
        passed_over=ablest if best is not None and best.comfortable and best != ablest else None,
        threads=findings.cpu.fast,
        memory_missing=_missing(min(c.memory_bytes for c in candidates()), memory),
        storage_missing=_missing(min(c.storage_bytes for c in candidates()), storage),
    )


def decode_speed(candidate: Candidate, speed: MemorySpeed | None) -> tuple[float, float] | None:
    """Return the least and most tokens a second to expect, decoding one answer.

    A decoded token reads every weight but the embedding, once. How fast is measured here, on this
    device, with the kernel that will run: ``speed.multiply``. Where memory is what it waits for,
    that comes close to the bandwidth of reading; a 4-bit kernel or plain C++ stays below it.
    What is left is EFFICIENCY: attention, norms, sampling and waiting for threads.
    """
    rate = None if speed is None else speed.multiply.get(candidate.format)
    if rate is None:
        return None
    tokens = rate / candidate.token_bytes
    return EFFICIENCY[0] * tokens, EFFICIENCY[1] * tokens


def _fitting(assessments: tuple[Assessment, ...]) -> list[Assessment]:
    """Return what fits in the usual bits or, where nothing does, in fewer."""
    fitting = [a for a in assessments if a.fits]
    return [a for a in fitting if a.candidate.bits >= USUAL_BITS] or fitting


def _best(assessments: tuple[Assessment, ...]) -> Assessment | None:
    fitting = _fitting(assessments)
    comfortable = [a for a in fitting if a.comfortable]
    if comfortable:
        return comfortable[0]
    return max(fitting, key=lambda a: a.tok_s or (0.0, 0.0), default=None)


def _budget(memory: Memory) -> int | None:
    """What may be taken now: the system keeps SYSTEM_BYTES free and SYSTEM_SHARE of all."""
    if memory.available is None:
        return _emptied(memory)
    budget = memory.available - SYSTEM_BYTES
    emptied = _emptied(memory)
    return max(0, budget if emptied is None else min(budget, emptied))


def _emptied(memory: Memory) -> int | None:
    total = memory.total
    return None if total is None else max(0, total - max(SYSTEM_BYTES, int(SYSTEM_SHARE * total)))


def _at_most(needed: int, budget: int | None) -> bool | None:
    return None if budget is None else needed <= budget


def _missing(needed: int, budget: int | None) -> int | None:
    return None if budget is None else max(0, needed - budget)
