"""Texts about GGUF files, in and out."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "checkpoint-gguf": Text(
        what_en="{where} is a GGUF file beside or in the place of safetensors.",
        what_zh="{where} 是 GGUF 文件，而此处应为 safetensors。",
        mend_en="Give the GGUF file itself as the model.",
        mend_zh="请直接把该 GGUF 文件作为模型。",
    ),
    "checkpoint-gguf-invalid": Text(
        what_en="The GGUF file {where} is damaged or malformed: {reason}.",
        what_zh="GGUF 文件 {where} 已损坏或格式不正确：{reason}。",
        mend_en="Download the file again, and compare its size and checksum with the publisher's.",
        mend_zh="请重新下载该文件，并与发布方公布的大小和校验值核对。",
    ),
    "checkpoint-gguf-key": Text(
        what_en='{where}: the metadata key "{key}" {reason}.',
        what_zh="{where}：元数据键“{key}”有误（{reason}）。",
        mend_en="Use another conversion of the model, made with a current version of llama.cpp's "
        "converter, or the original safetensors checkpoint.",
        mend_zh="请换用由新版 llama.cpp 转换的 GGUF 文件，或使用原始的 safetensors 检查点。",
    ),
    "checkpoint-gguf-split": Text(
        what_en="{where} is one of {count} parts of a split GGUF model.",
        what_zh="{where} 是拆分的 GGUF 模型的一部分（共 {count} 部分）。",
        mend_en="Join the parts with llama.cpp's `llama-gguf-split --merge FIRST-PART OUT.gguf`, "
        "and give the result.",
        mend_zh="请用 llama.cpp 的 `llama-gguf-split --merge 第一部分 OUT.gguf` 合并后使用。",
    ),
    "checkpoint-gguf-type": Text(
        what_en="{where}: the tensor {tensor} is stored as {type}; there, Pocket R1 reads {known}.",
        what_zh="{where}：张量 {tensor} 以 {type} 存储；此处 Pocket R1 可读取 {known}。",
        mend_en="Download the model in one of these types; Q8_0 loses least, Q4_0 is smallest.",
        mend_zh="请下载以上类型之一的模型；Q8_0 损失最小，Q4_0 体积最小。",
    ),
    "checkpoint-gguf-codes": Text(
        what_en="{where}: among rows {rows} of the tensor {tensor} ({type}) is a code or a scale "
        "that no quantizer writes.",
        what_zh="{where}：张量 {tensor}（{type}）的第 {rows} 行中有量化程序不会写出的编码"
        "或缩放值。",
        mend_en="Download the file again. If it is whole, quantize its values anew with "
        "`pocketr1 compress FILE -o OUT --bits 8`.",
        mend_zh="请重新下载该文件。若文件完整，可用 `pocketr1 compress FILE -o OUT --bits 8` "
        "重新量化其数值。",
    ),
    "checkpoint-changed": Text(
        what_en="{where} was changed while it was read.",
        what_zh="读取期间 {where} 被改动。",
        mend_en="Wait until the file is whole, then run the same command again.",
        mend_zh="请等文件完整后重新运行同一命令。",
    ),
    "model-gguf": Text(
        what_en="{path} is a GGUF file, from which a bundle has to be made first.",
        what_zh="{path} 是 GGUF 文件，需先由它生成模型包。",
        mend_en="`pocketr1 run`, `chat`, `bench` and `evaluate` do so by themselves. In Python: "
        "pocketr1.load(pocketr1.import_gguf(path)).",
        mend_zh="`pocketr1 run`、`chat`、`bench` 和 `evaluate` 会自动完成。在 Python 中："
        "pocketr1.load(pocketr1.import_gguf(path))。",
    ),
    "cli-kind-gguf": Text("GGUF file", "GGUF 文件"),
    "cli-gguf-imported": Text(
        "{kept} of {count} matrices taken over as they are; {rest}\n"
        "The bundle is kept in {path}; the next start is quick.",
        "{count} 个矩阵中有 {kept} 个原样保留；{rest}\n模型包保存在 {path}，下次启动会很快。",
    ),
    "cli-gguf-rest-none": Text("nothing was lost.", "没有任何损失。"),
    "cli-gguf-rest": Text(
        "the others got 8 bits, with errors of {error:.2%} of the weights at most (RMS).",
        "其余量化为 8 位，误差（均方根）最大为权重的 {error:.2%}。",
    ),
    "cli-option-cache": Text(
        "Directory for the bundles made of GGUF files. Without it, $POCKETR1_CACHE, "
        "$XDG_CACHE_HOME/pocketr1 or ~/.cache/pocketr1.",
        "存放由 GGUF 文件生成的模型包的目录；省略时依次使用 $POCKETR1_CACHE、"
        "$XDG_CACHE_HOME/pocketr1 或 ~/.cache/pocketr1。",
    ),
    # export
    "export-type": Text(
        "There is no type {value!r} to export.",
        "没有可导出的类型 {value!r}。",
        "Use one of: {allowed}.",
        "可用的类型：{allowed}。",
    ),
    "export-gguf-model": Text(
        "GGUF cannot describe this model: {reason}.",
        "GGUF 无法描述此模型：{reason}。",
        "Run it with Pocket R1.",
        "请用 Pocket R1 运行它。",
    ),
    "export-gguf-rope": Text(
        "GGUF has no rule that gives this model's rotary frequencies.",
        "GGUF 中没有能得到此模型旋转频率的规则。",
        "Run the model with Pocket R1.",
        "请用 Pocket R1 运行此模型。",
    ),
    "export-gguf-tokenizer": Text(
        "The model's tokenizer cannot be written as GGUF: {reason}.",
        "此模型的分词器无法写成 GGUF：{reason}。",
        "Use a model with the tokenizer of a distilled R1 (byte-level BPE).",
        "请使用带有 R1 蒸馏模型分词器（字节级 BPE）的模型。",
    ),
    "export-gguf-range": Text(
        "A weight of {tensor} is too large for F16.",
        "{tensor} 中有权重超出 F16 的范围。",
        "Export with --type closest, which keeps BF16, or with --type q8_0.",
        "请用 --type closest（保留 BF16）或 --type q8_0 导出。",
    ),
}
