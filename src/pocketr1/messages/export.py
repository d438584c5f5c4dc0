"""Texts about models in other engines' formats."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "export-format": Text(
        "There is no format {value!r} to export.",
        "没有可导出的格式 {value!r}。",
        "Choose one of: {allowed}.",
        "请从以下格式中选择：{allowed}。",
    ),
    "export-exists": Text(
        "{path} exists already.",
        "{path} 已经存在。",
        "Choose another output path, or allow it to be replaced (overwrite).",
        "请选择其他输出路径，或允许覆盖（overwrite）。",
    ),
    "export-not-bundle": Text(
        "{path} is no bundle; compressed-tensors holds what a bundle has quantized.",
        "{path} 不是模型包；compressed-tensors 保存的是模型包中量化后的权重。",
        "Make one first: pocketr1 compress SRC -o BUNDLE --bits 4 --group-size 128",
        "请先生成模型包：pocketr1 compress SRC -o BUNDLE --bits 4 --group-size 128",
    ),
    "export-layers-differ": Text(
        "The layers of {path} have different sizes, which a config.json cannot say.",
        "{path} 各层的大小不同，config.json 无法表达。",
        "Export a model whose layers are alike.",
        "请导出各层大小相同的模型。",
    ),
    "export-config-needed": Text(
        "{path} holds rotary frequencies, and which rule they come from is not known.",
        "{path} 只保存了旋转位置编码的频率，无法得知其生成规则。",
        "Give the config.json of the model the bundle was made from (config, --config).",
        "请提供生成该模型包的原模型的 config.json（config，--config）。",
    ),
    "export-config-differs": Text(
        "{path} describes another model than the bundle: {keys}.",
        "{path} 描述的模型与模型包不同：{keys}。",
        "Give the config.json of the model the bundle was made from.",
        "请提供生成该模型包的原模型的 config.json。",
    ),
    "export-group-tail": Text(
        "Tensor {tensor} has {inputs} inputs, no multiple of its group of {group}, which "
        "compressed-tensors cannot hold.",
        "张量 {tensor} 有 {inputs} 个输入，不是组大小 {group} 的倍数，"
        "compressed-tensors 无法保存。",
        "Compress the model with a smaller --group-size (32 or 64).",
        "请用更小的 --group-size（32 或 64）重新压缩模型。",
    ),
    "export-range": Text(
        "Tensor {tensor} holds weights beyond the range of f16, in which it would be stored.",
        "张量 {tensor} 中有超出 f16 范围的权重，而导出时以 f16 存储。",
        "Compress the model with --embedding-bits 16, from a BF16 checkpoint.",
        "请从 BF16 检查点以 --embedding-bits 16 重新压缩模型。",
    ),
    "export-disk-space": Text(
        "{path} needs {needed} MB, and {free} MB are free.",
        "{path} 需要 {needed} MB，而剩余空间只有 {free} MB。",
        "Free some space, or choose another disk.",
        "请释放一些空间，或换用其他磁盘。",
    ),
    "cli-export": Text(
        "Write a model in another engine's format.",
        "把模型导出为其他引擎的格式。",
        "gguf: a file that runs in llama.cpp and what is built on it. The default type, closest, "
        "takes codes and scales over where GGUF has a type for them.\n\n"
        "  pocketr1 export r1-int4 --format gguf -o r1-int4.gguf\n\n"
        "compressed-tensors: a directory that transformers loads, of a bundle whose "
        "matrices have 8 or 4 bits or FP8; codes and scales stay as they are.\n\n"
        "  pocketr1 export r1-int4 --format compressed-tensors -o r1-int4-ct",
        "gguf：可在 llama.cpp 及基于它的软件中运行的文件。默认类型 closest 会原样保留 GGUF 能容纳的"
        "编码和缩放值。\n\n"
        "  pocketr1 export r1-int4 --format gguf -o r1-int4.gguf\n\n"
        "compressed-tensors：transformers 可加载的目录，由矩阵为 8 位、4 位或 FP8 "
        "的模型包导出；编码和缩放系数保持不变。\n\n"
        "  pocketr1 export r1-int4 --format compressed-tensors -o r1-int4-ct",
    ),
    "cli-option-export-output": Text("Where to write.", "输出路径。"),
    "cli-option-export-format": Text("Format to write.", "要写入的格式。"),
    "cli-option-export-type": Text(
        "Type of the matrices; closest chooses for each the one that holds what the model has.",
        "矩阵的类型；closest 为每个矩阵选择能容纳其原有内容的类型。",
    ),
    "cli-option-export-config": Text(
        "The source's config.json; needed where the bundle alone does not tell how its rotary "
        "frequencies came about.",
        "原模型的 config.json；当模型包本身无法说明旋转频率的来历时需要。",
    ),
    "cli-option-export-overwrite": Text(
        "Replace what is there, once the new one is whole.", "新的导出完成后替换已有的。"
    ),
    "cli-progress-export": Text("Writing", "写入"),
    "cli-export-size": Text("size", "大小"),
    "cli-export-types": Text("types (matrices)", "类型（矩阵数）"),
    "cli-export-exact": Text("matrices without any loss", "无损的矩阵"),
}
