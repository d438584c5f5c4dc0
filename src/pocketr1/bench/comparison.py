"""What comes out of measuring engines side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pocketr1.bench.machine import Machine
from pocketr1.bench.peers import OURS, PEERS
from pocketr1.bench.report import Spread, rounded
from pocketr1.bench.roofline import Roofline
from pocketr1.errors import UsageError

__all__ = ["FIGURES", "CompareOptions", "Comparison", "EngineResult", "MissingPeer"]

#: Every figure of an engine -> whether more is better. Seconds, tokens per second, 10^6 bytes.
FIGURES = {
    "load_cold_s": False,
    "load_warm_s": False,
    "ttft_s": False,
    "prefill_tok_s": True,
    "prefill_long_tok_s": True,
    "decode_tok_s": True,
    "decode_long_tok_s": True,
    "together_tok_s": True,
    "peak_rss_mb": False,
    "peak_rss_long_mb": False,
}


@dataclass(frozen=True)
class CompareOptions:
    """prompt_tokens, gen_tokens, threads, repeat, kv_format, isa: as BenchOptions.

    more_kv_formats: in which ours is measured once more, each as an engine of its own.

    long_tokens: of the long prompt, 0 for none; together: sequences decoded at once, below 2 none.
    against: names of peers. peer_models: directory with a folder for each; ``None`` is the model's
    own name with ``-peers`` behind it. peer_python: the interpreter in which peers are installed,
    ``None`` for this one. roofline: measure the machine's limits, too.

    Raises UsageError: ``bench-value``, ``bench-count``, ``bench-peer``, ``kv-format-value``.
    """

    prompt_tokens: int = 512
    gen_tokens: int = 64
    long_tokens: int = 4096
    together: int = 8
    threads: int | None = None
    repeat: int = 3
    kv_format: str = "f16"
    more_kv_formats: tuple[str, ...] = ()
    isa: str | None = None
    against: tuple[str, ...] = ()
    peer_models: str | None = None
    peer_python: str | None = None
    roofline: bool = False

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "gen_tokens", "repeat", "long_tokens", "together"):
            value = getattr(self, name)
            option = "--" + name.replace("_", "-")
            if name in ("long_tokens", "together"):
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise UsageError("bench-count", name=option, value=value)
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError("bench-value", name=option, value=value)
        # Not above: the interpreter of a peer reads this file, and has no core.
        from pocketr1.engine.loading import KV_FORMATS

        for kv_format in (self.kv_format, *self.more_kv_formats):
            if kv_format not in KV_FORMATS:
                allowed = ", ".join(KV_FORMATS)
                raise UsageError("kv-format-value", value=kv_format, allowed=allowed)
        for name in self.against:
            if name not in PEERS:
                raise UsageError("bench-peer", name=name, known=", ".join(PEERS))


@dataclass(frozen=True)
class MissingPeer:
    """A peer, or a model of it, that could not be measured. code: of the reason's text."""

    engine: str
    code: str
    params: dict[str, str]


@dataclass(frozen=True)
class EngineResult:
    """One engine with one model. values: figure -> one value per round; ``None`` if unmeasured.

    kv_format: of ours where it is measured in several, and this is not the first.

    weights_mb: tensor bytes, 10^6; bits_per_weight: 8 x tensor bytes / the model's parameters.
    """

    engine: str
    model: str
    versions: dict[str, str]
    settings: dict[str, str]
    weights_mb: float
    bits_per_weight: float
    values: dict[str, list[float | None]]
    kv_format: str | None = None

    def spread(self, figure: str) -> Spread | None:
        """Return the median and extremes of a figure, ``None`` where it was not measured."""
        values = [value for value in self.values.get(figure, []) if value is not None]
        return Spread.of(values) if values else None

    def gain_over(self, other: EngineResult, figure: str) -> Spread | None:
        """Return how many times better this engine was, over the rounds in which both were."""
        pairs = zip(self.values.get(figure, []), other.values.get(figure, []), strict=False)
        gains = [a / b if FIGURES[figure] else b / a for a, b in pairs if a and b]
        return Spread.of(gains) if gains else None


@dataclass(frozen=True)
class Comparison:
    """Engines measured by turns; the first is ours."""

    machine: Machine
    threads: int
    options: CompareOptions
    engines: list[EngineResult]
    missing: list[MissingPeer] = field(default_factory=list)
    roofline: Roofline | None = None

    @property
    def ours(self) -> EngineResult:
        """Our own result."""
        return next(result for result in self.engines if result.engine == OURS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, figures rounded to five digits.

        Each engine's ``figures`` hold ``median``, ``min``, ``max`` and ``values``; a peer's
        ``gain`` says how many times better ours is, round by round.
        """
        tree: dict[str, Any] = {
            "kind": "comparison",
            "machine": asdict(self.machine),
            "threads": self.threads,
            "options": {
                name: value
                for name, value in asdict(self.options).items()
                if name not in ("peer_models", "peer_python", "against")
            },
            "engines": [self._engine(result) for result in self.engines],
            "missing": [asdict(missing) for missing in self.missing],
            "roofline": None if self.roofline is None else self.roofline.to_dict(),
        }
        plain: dict[str, Any] = rounded(tree)
        return plain

    def _engine(self, result: EngineResult) -> dict[str, Any]:
        tree = asdict(result)
        values: Mapping[str, list[float | None]] = tree.pop("values")
        tree["figures"] = {}
        tree["gain"] = {}
        for name in FIGURES:
            spread = result.spread(name)
            if spread is None:
                continue
            tree["figures"][name] = {**asdict(spread), "values": values[name]}
            gain = self.ours.gain_over(result, name)
            if result.engine != OURS and gain is not None:
                tree["gain"][name] = asdict(gain)
        return tree
