"""Speed over minutes, beside temperature and frequency: what a device keeps up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pocketr1 import messages
from pocketr1.bench.machine import Machine, describe_machine
from pocketr1.bench.report import rounded
from pocketr1.bench.svg import Curve, curves_over_time
from pocketr1.errors import UsageError
from pocketr1.machine import Root, current_mhz, find_cpu, find_thermal

if TYPE_CHECKING:
    from pocketr1.engine import Governor

__all__ = ["Sample", "SustainReport", "duration", "run_sustain"]

_CONTEXT = 256  # tokens after which a new text begins: the work of a token stays the same
_SAMPLES = 300  # at most, and at least a second apart
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 24 * 3600.0


@dataclass(frozen=True)
class Sample:
    """seconds: since the start, at the end of the interval; tok_s: over the interval.

    celsius: of the hottest sensor; mhz: mean of the cores in use; ``None`` where unreadable.
    """

    seconds: float
    tok_s: float
    celsius: float | None
    mhz: float | None


@dataclass(frozen=True)
class SustainReport:
    """kept: tok/s of the last tenth over that of the first; events: what a governor did."""

    model: str
    isa: str
    threads: int
    seconds: float
    tokens: int
    samples: list[Sample]
    machine: Machine
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> float:
        """Share of its first speed that the model has at the end."""
        speeds = [sample.tok_s for sample in self.samples]
        tenth = max(1, len(speeds) // 10)
        return median(speeds[-tenth:]) / median(speeds[:tenth])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, figures rounded to five digits."""
        tree: dict[str, Any] = rounded(
            {"kind": "sustain", **asdict(self), "tok_s": self.tokens / self.seconds}
        )
        return {**tree, "kept": rounded(self.kept)}

    def plot(self) -> str:
        """Return an SVG with a panel for each of speed, temperature and frequency."""
        curves = [
            Curve("tok/s", [(s.seconds, s.tok_s) for s in self.samples]),
            Curve("°C", [(s.seconds, s.celsius) for s in self.samples if s.celsius is not None]),
            Curve("MHz", [(s.seconds, s.mhz) for s in self.samples if s.mhz is not None]),
        ]
        caption = f"{self.machine.cpu}, {self.isa}, {self.threads} threads"
        return curves_over_time(messages.text("bench-sustain-title"), caption, curves)


def duration(text: str) -> float:
    """Return the seconds that ``10m``, ``90s``, ``1h`` or ``600`` mean.

    Raises UsageError (``bench-duration``) for anything else, below a second or beyond a day.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= seconds <= _LONGEST:
        raise UsageError("bench-duration", value=text)
    return seconds


def run_sustain(
    model: str,
    seconds: float,
    *,
    threads: int | None = None,
    governor: Governor | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> SustainReport:
    """Decode for ``seconds`` and sample speed, temperature and frequency.

    ``governor`` minds the engine meanwhile; its pauses count.

    ``progress`` is called with seconds passed and seconds in all. Raises what loading raises.
    """
    from pocketr1.engine import Sampling, load

    root = Root()
    cpus = find_cpu(root).allowed or ()
    interval = max(1.0, seconds / _SAMPLES)
    samples: list[Sample] = []
    with load(model, threads=threads, max_context=_CONTEXT) as engine:
        engine.govern(governor)
        ids = [engine.spec.bos_token_id or 0]
        engine.logits(ids)
        began = last = perf_counter()
        tokens = before = 0
        while last - began < seconds:
            for _ in engine.generate(ids, Sampling(temperature=0.0), stop_token_ids=()):
                tokens += 1
                now = perf_counter()
                if now - last < interval:
                    continue
                celsius = hottest.celsius if (hottest := find_thermal(root).hottest) else None
                speed = (tokens - before) / (now - last)
                samples.append(Sample(now - began, speed, celsius, current_mhz(root, cpus)))
                last, before = now, tokens
                if progress is not None:
                    progress(min(now - began, seconds), seconds)
                if now - began >= seconds:
                    break
        return SustainReport(
            model=str(model),
            isa=engine.isa,
            threads=engine.threads,
            seconds=last - began,
            tokens=before,
            samples=samples,
            machine=describe_machine(),
            events=[] if governor is None else [event.to_dict() for event in governor.events],
        )
