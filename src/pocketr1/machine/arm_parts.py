"""Names of Arm cores, by the implementer and part number of their MIDR register.

From Arm's Technical Reference Manuals and Linux' ``arch/arm64/include/asm/cputype.h``; other
makers' numbers as their own kernels name them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["CoreClass", "arm_part"]

#: What a core is built for: the fastest of a phone, its other fast ones, the frugal ones.
CoreClass: TypeAlias = Literal["prime", "big", "little"]

_ARM, _FUJITSU, _HISILICON, _NVIDIA = 0x41, 0x46, 0x48, 0x4E
_QUALCOMM, _SAMSUNG, _APPLE, _AMPERE = 0x51, 0x53, 0x61, 0xC0

_CORES: dict[CoreClass, dict[tuple[int, int], str]] = {
    "little": {
        (_ARM, 0xD03): "Cortex-A53",
        (_ARM, 0xD04): "Cortex-A35",
        (_ARM, 0xD05): "Cortex-A55",
        (_ARM, 0xD46): "Cortex-A510",
        (_ARM, 0xD80): "Cortex-A520",
        (_ARM, 0xD8F): "Cortex-A320",
        (_QUALCOMM, 0x801): "Kryo 2xx Silver",
        (_QUALCOMM, 0x803): "Kryo 3xx Silver",
        (_QUALCOMM, 0x805): "Kryo 4xx Silver",
        (_APPLE, 0x022): "Icestorm (M1)",
        (_APPLE, 0x024): "Icestorm (M1 Pro)",
        (_APPLE, 0x028): "Icestorm (M1 Max)",
        (_APPLE, 0x032): "Blizzard (M2)",
        (_APPLE, 0x034): "Blizzard (M2 Pro)",
        (_APPLE, 0x038): "Blizzard (M2 Max)",
    },
    "big": {
        (_ARM, 0xD07): "Cortex-A57",
        (_ARM, 0xD08): "Cortex-A72",
        (_ARM, 0xD09): "Cortex-A73",
        (_ARM, 0xD0A): "Cortex-A75",
        (_ARM, 0xD0B): "Cortex-A76",
        (_ARM, 0xD0D): "Cortex-A77",
        (_ARM, 0xD0E): "Cortex-A76AE",
        (_ARM, 0xD41): "Cortex-A78",
        (_ARM, 0xD42): "Cortex-A78AE",
        (_ARM, 0xD4B): "Cortex-A78C",
        (_ARM, 0xD47): "Cortex-A710",
        (_ARM, 0xD4D): "Cortex-A715",
        (_ARM, 0xD81): "Cortex-A720",
        (_ARM, 0xD87): "Cortex-A725",
        (_ARM, 0xD0C): "Neoverse-N1",
        (_ARM, 0xD49): "Neoverse-N2",
        (_ARM, 0xD8E): "Neoverse-N3",
        (_ARM, 0xD40): "Neoverse-V1",
        (_ARM, 0xD4F): "Neoverse-V2",
        (_ARM, 0xD84): "Neoverse-V3",
        (_FUJITSU, 0x001): "A64FX",
        (_HISILICON, 0xD01): "TaiShan v110",
        (_HISILICON, 0xD02): "TaiShan v120",
        (_HISILICON, 0xD40): "Cortex-A76",
        (_NVIDIA, 0x004): "Carmel",
        (_QUALCOMM, 0x201): "Kryo",
        (_QUALCOMM, 0x205): "Kryo",
        (_QUALCOMM, 0x211): "Kryo",
        (_QUALCOMM, 0x800): "Kryo 2xx Gold",
        (_QUALCOMM, 0x802): "Kryo 3xx Gold",
        (_QUALCOMM, 0x804): "Kryo 4xx Gold",
        (_QUALCOMM, 0x001): "Oryon",
        (_SAMSUNG, 0x001): "Exynos M1",
        (_SAMSUNG, 0x002): "Exynos M3",
        (_SAMSUNG, 0x003): "Exynos M4",
        (_SAMSUNG, 0x004): "Exynos M5",
        (_APPLE, 0x023): "Firestorm (M1)",
        (_APPLE, 0x025): "Firestorm (M1 Pro)",
        (_APPLE, 0x029): "Firestorm (M1 Max)",
        (_APPLE, 0x033): "Avalanche (M2)",
        (_APPLE, 0x035): "Avalanche (M2 Pro)",
        (_APPLE, 0x039): "Avalanche (M2 Max)",
        (_AMPERE, 0xAC3): "Ampere-1",
        (_AMPERE, 0xAC4): "Ampere-1a",
    },
    "prime": {
        (_ARM, 0xD44): "Cortex-X1",
        (_ARM, 0xD4C): "Cortex-X1C",
        (_ARM, 0xD48): "Cortex-X2",
        (_ARM, 0xD4E): "Cortex-X3",
        (_ARM, 0xD82): "Cortex-X4",
        (_ARM, 0xD85): "Cortex-X925",
    },
}
_BY_NUMBER = {
    number: (name, kind) for kind, cores in _CORES.items() for number, name in cores.items()
}


def arm_part(implementer: int | None, part: int | None) -> tuple[str | None, CoreClass | None]:
    """Return a core's name and class; of one that is not known, its numbers and ``None``."""
    if implementer is None or part is None:
        return None, None
    return _BY_NUMBER.get((implementer, part), (f"0x{implementer:02x}:0x{part:03x}", None))
