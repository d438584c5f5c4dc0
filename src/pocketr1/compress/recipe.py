"""Which format each tensor gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pocketr1.bundle import TensorPlan
from pocketr1.bundle.layout import FLOAT8
from pocketr1.compress.defaults import BITS, DEFAULTS, GROUP_SIZES, KEEP
from pocketr1.errors import UsageError

__all__ = ["Recipe"]

# Of what is quantized already in a way that no weight format has.
_CLOSEST = "w8g32"


@dataclass(frozen=True)
class Recipe:
    """How a model is quantized. ``None`` for embedding and head means: as ``bits``.

    Bits "keep" leave every tensor as its file holds it, where a weight format can; what none holds
    exactly gets 8 bits in groups of 32, the closest there is.
    """

    bits: int | str = DEFAULTS.bits
    group_size: int = DEFAULTS.group_size
    symmetric: bool = DEFAULTS.symmetric
    embedding_bits: int | str | None = DEFAULTS.embedding_bits
    head_bits: int | str | None = DEFAULTS.head_bits

    def __post_init__(self) -> None:
        """Check the options; raises UsageError."""
        for option in ("bits", "embedding_bits", "head_bits"):
            value = getattr(self, option)
            if (value is None and option != "bits") or _one_of(value, BITS):
                continue
            if option == "bits" and value == KEEP:
                continue
            allowed = ", ".join(map(str, BITS)) + (f", {KEEP}" if option == "bits" else "")
            raise UsageError("compress-option", option=option, value=value, allowed=allowed)
        if not _one_of(self.group_size, GROUP_SIZES):
            sizes = ", ".join(map(str, GROUP_SIZES))
            raise UsageError(
                "compress-option", option="group_size", value=self.group_size, allowed=sizes
            )
        if not isinstance(self.symmetric, bool):
            raise UsageError(
                "compress-option", option="symmetric", value=self.symmetric, allowed="True, False"
            )
        widths = (self.bits, self.embedding_bits, self.head_bits)
        if not self.symmetric and not any(isinstance(bits, int) and bits <= 4 for bits in widths):
            raise UsageError("compress-asymmetric", bits=self.bits)

    @property
    def rounds(self) -> bool:
        """Whether any matrix is rounded to integer codes, which is what can be calibrated."""
        return any(
            isinstance(bits, int) and bits <= 8
            for bits in (self.bits, self.embedding_bits, self.head_bits)
        )

    def plan(self, tied_embeddings: bool) -> dict[str, Any]:
        """The ``plan`` of bundle.json.

        Raises UsageError ``compress-tied-head`` where a tied head is given bits of its own.
        """
        embedding = self.bits if self.embedding_bits is None else self.embedding_bits
        head = self.bits if self.head_bits is None else self.head_bits
        if tied_embeddings:
            if self.head_bits is not None and head != embedding:
                raise UsageError("compress-tied-head", head_bits=head, embedding_bits=embedding)
            head = embedding
        if self.bits == KEEP:
            ends = {"embedding_bits": self.embedding_bits, "head_bits": self.head_bits}
            given = {name: value for name, value in ends.items() if value is not None}
            return {"method": KEEP, **given, **({"group_size": self.group_size} if given else {})}
        return {
            "method": "none" if {self.bits, embedding, head} == {16} else "rtn-search",
            "bits": self.bits,
            "group_size": self.group_size,
            "symmetric": self.symmetric,
            "embedding_bits": embedding,
            "head_bits": head,
        }

    def tensors(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, str],
        tied: bool,
        exact: Mapping[str, str | None] | None = None,
    ) -> tuple[TensorPlan, ...]:
        """Return each tensor with its format.

        dtypes: those of the source. exact: of the tensors that the source holds encoded, the format
        that keeps them as they are, or None.
        """
        plan = self.plan(tied)
        bits = {
            "embed.weight": plan.get("embedding_bits", self.bits),
            "head.weight": plan.get("head_bits", self.bits),
        }
        kept = {name: dtypes[name] for name in shapes} | {
            name: weight_format or _CLOSEST for name, weight_format in (exact or {}).items()
        }
        return tuple(
            TensorPlan(
                name,
                self._format(shape, bits.get(name, self.bits), dtypes[name], kept[name]),
                shape,
            )
            for name, shape in shapes.items()
        )

    def _format(self, shape: tuple[int, ...], bits: int | str, dtype: str, kept: str) -> str:
        if len(shape) == 1:
            return "f32"
        if bits == KEEP:
            return kept
        if bits == 16:
            return "f16" if dtype == "f32" else dtype
        if bits == "f8":
            return FLOAT8
        z = "z" if isinstance(bits, int) and bits <= 4 and not self.symmetric else ""
        return f"w{bits}g{self.group_size}{z}"


def _one_of(value: object, choices: tuple[int | str, ...]) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value in choices
