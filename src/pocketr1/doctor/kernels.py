"""Which of our kernels this CPU runs, and what it could do that none of them uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketr1.machine import Cpu

__all__ = ["Kernels", "choose_kernels"]

#: What multiplies small integers faster, and is no part of a kernel folder yet: the kernel's name
#: for it -> ours.
_UNUSED = {
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
    "sme2": "sme2",
    "avx_vnni": "avx-vnni",
    "avx_vnni_int8": "avx-vnni-int8",
    "amx_int8": "amx-int8",
}


@dataclass(frozen=True)
class Kernels:
    """Instruction sets by the names of ``pocketr1.isas()``."""

    runnable: tuple[str, ...]  # best last
    forced: str | None  # by POCKETR1_ISA
    chosen: str | None  # what the engine would take; None: the forced one cannot run
    unused: tuple[str, ...]  # what the CPU has and no kernel uses


def choose_kernels(cpu: Cpu, runnable: Sequence[str], environment: Mapping[str, str]) -> Kernels:
    """Say what the engine would choose among ``runnable`` (``pocketr1.isas()``)."""
    forced = environment.get("POCKETR1_ISA") or None
    best = runnable[-1] if runnable else None
    chosen = best if forced is None else forced if forced in runnable else None
    unused = tuple(ours for name, ours in _UNUSED.items() if name in cpu.features)
    return Kernels(tuple(runnable), forced, chosen, unused)
