"""Texts about compression."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "isa-unsupported": Text(
        "The instruction set asked for by {where} cannot be used: {reason}.",
        "{where} 指定的指令集无法使用：{reason}。",
        "Unset POCKETR1_ISA to let the best one be chosen, or name one this processor has: "
        "scalar, avx2 or avx512_vnni.",
        "取消设置 POCKETR1_ISA 以自动选择最合适的指令集，"
        "或指定本机处理器支持的一种：scalar、avx2 或 avx512_vnni。",
    ),
}
