"""Which format each tensor gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pocketr1.bundle import TensorPlan
from pocketr1.bundle.layout import FLOAT8
from pocketr1.compress.defaults import BITS, DEFAULTS, GROUP_SIZES
from pocketr1.errors import UsageError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How a model is quantized. ``None`` for embedding and head means: as ``bits``."""

    bits: int | str = DEFAULTS.bits
    group_size: int = DEFAULTS.group_size
    symmetric: bool = DEFAULTS.symmetric
    embedding_bits: int | str | None = DEFAULTS.embedding_bits
    head_bits: int | str | None = DEFAULTS.head_bits

    def __post_init__(self) -> None:
        """Check the options; raises UsageError."""
        allowed = ", ".join(map(str, BITS))
        for option in ("bits", "embedding_bits", "head_bits"):
            value = getattr(self, option)
            if (value is None and option != "bits") or _one_of(value, BITS):
                continue
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
        if not self.symmetric and not any(bits is not None and bits <= 4 for bits in widths):
            raise UsageError("compress-asymmetric", bits=self.bits)

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
        return {
            "method": "none" if {self.bits, embedding, head} == {16} else "rtn-search",
            "bits": self.bits,
            "group_size": self.group_size,
            "symmetric": self.symmetric,
            "embedding_bits": embedding,
            "head_bits": head,
        }

    def tensors(
        self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str], tied: bool
    ) -> tuple[TensorPlan, ...]:
        """Return each tensor with its format; ``dtypes`` are those of the source."""
        plan = self.plan(tied)
        bits = {"embed.weight": plan["embedding_bits"], "head.weight": plan["head_bits"]}
        return tuple(
            TensorPlan(name, self._format(shape, bits.get(name, self.bits), dtypes[name]), shape)
            for name, shape in shapes.items()
        )

    def _format(self, shape: tuple[int, ...], bits: int | str, dtype: str) -> str:
        if len(shape) == 1:
            return "f32"
        if bits == 16:
            return "f16" if dtype == "f32" else dtype
        if bits == "f8":
            return FLOAT8
        z = "z" if isinstance(bits, int) and bits <= 4 and not self.symmetric else ""
        return f"w{bits}g{self.group_size}{z}"


def _one_of(value: object, choices: tuple[int | str, ...]) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value in choices
