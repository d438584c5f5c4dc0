"""Texts about compression."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "quantize-not-finite": Text(
        "Tensor {where} cannot be compressed: {reason} (NaN or infinity).",
        "张量 {where} 无法压缩：其中含有非有限值（NaN 或无穷大）（{reason}）。",
        "The checkpoint is damaged or was saved by a run that diverged; download it again, "
        "and compare its checksum.",
        "该检查点已损坏，或来自一次发散的训练；请重新下载并核对校验和。",
    ),
    "quantize-too-large": Text(
        "Tensor {where} cannot be compressed: {reason}.",
        "张量 {where} 无法压缩：数值超出目标格式的范围（{reason}）。",
        "Scales and 16-bit weights are stored as f16, whose largest value is 65504. "
        "Use a checkpoint in BF16, or compress with bits=8.",
        "缩放系数和 16 位权重以 f16 存储，最大值为 65504。请使用 BF16 检查点，或以 bits=8 压缩。",
    ),
    "quantize-unsupported": Text(
        "The quantizer cannot do this: {reason} ({where}).",
        "量化器不支持该操作（{where}）：{reason}。",
        "Choose one of the weight formats listed in docs/reference/bundle-format.md, and arrays "
        "of the shape it asks for.",
        "请选用 docs/reference/bundle-format.md 中列出的权重格式，并提供形状相符的数组。",
    ),
    "isa-unsupported": Text(
        "The instruction set asked for by {where} cannot be used: {reason}.",
        "{where} 指定的指令集无法使用：{reason}。",
        "Unset POCKETR1_ISA to let the best one be chosen, or name one this processor has: "
        "scalar, avx2 or avx512_vnni.",
        "取消设置 POCKETR1_ISA 以自动选择最合适的指令集，"
        "或指定本机处理器支持的一种：scalar、avx2 或 avx512_vnni。",
    ),
}
