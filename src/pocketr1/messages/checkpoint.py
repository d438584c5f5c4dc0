"""Texts about source checkpoints."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

_PUBLISHED_EN = "DeepSeek publishes R1's distilled models in BF16 safetensors"
_PUBLISHED_ZH = "DeepSeek 以 BF16 safetensors 格式发布 R1 蒸馏模型"

TEXTS: dict[str, Text] = {
    "checkpoint-not-found": Text(
        what_en="There is no checkpoint at {where}.",
        what_zh="{where} 处没有模型检查点。",
        mend_en="Give the directory that holds config.json and the safetensors files, or a GGUF "
        "file.",
        mend_zh="请给出包含 config.json 和 safetensors 文件的目录，或一个 GGUF 文件。",
    ),
    "checkpoint-pickle": Text(
        what_en="{where} is a pickled PyTorch file; opening one can run any code hidden in it, so "
        "Pocket R1 never does.",
        what_zh="{where} 是 PyTorch 的 pickle 文件；打开它可能会运行其中隐藏的代码，"
        "因此 Pocket R1 从不打开。",
        mend_en=f"Download the safetensors version of the model ({_PUBLISHED_EN}), or convert it "
        "on a machine you can afford to lose, with save_pretrained(..., safe_serialization=True).",
        mend_zh=f"请下载该模型的 safetensors 版本（{_PUBLISHED_ZH}），或在可以承担风险的机器上用 "
        "save_pretrained(..., safe_serialization=True) 转换。",
    ),
    "checkpoint-no-weights": Text(
        what_en="{where} holds neither model.safetensors nor model.safetensors.index.json.",
        what_zh="{where} 中既没有 model.safetensors，也没有 model.safetensors.index.json。",
        mend_en="Finish the download, or give the directory that holds them.",
        mend_zh="请下载完整，或给出包含它们的目录。",
    ),
    "checkpoint-config-missing": Text(
        what_en="{where} is missing, so the model's shape is unknown.",
        what_zh="缺少 {where}，无法得知模型的结构。",
        mend_en="Put the model's config.json beside its weights, or name it with config_path.",
        mend_zh="请把模型的 config.json 放在权重旁边，或用 config_path 指定它。",
    ),
    "checkpoint-json-invalid": Text(
        what_en="{where} is not the JSON object it should be: {reason}.",
        what_zh="{where} 不是有效的 JSON 对象：{reason}。",
        mend_en="Download the file again.",
        mend_zh="请重新下载该文件。",
    ),
    "checkpoint-config-invalid": Text(
        what_en='{where}: "{key}" {reason}.',
        what_zh="{where}：“{key}”有误（{reason}）。",
        mend_en="Download the model's config.json again, or correct the entry.",
        mend_zh="请重新下载模型的 config.json，或改正这一项。",
    ),
    "checkpoint-config-unsupported": Text(
        what_en='{where}: "{key}" is {value}; Pocket R1 runs {supported} only.',
        what_zh="{where}：“{key}”为 {value}；Pocket R1 只支持：{supported}。",
        mend_en="Use one of DeepSeek-R1's distilled models, or a model derived from them that "
        "keeps their structure.",
        mend_zh="请使用 DeepSeek-R1 的蒸馏模型，或由其派生且结构不变的模型。",
    ),
    "checkpoint-architecture": Text(
        what_en='{where}: the model\'s type is "{value}"; Pocket R1 knows {supported}.',
        what_zh="{where}：模型类型为“{value}”；Pocket R1 支持 {supported}。",
        mend_en="Use one of DeepSeek-R1's distilled models: R1-Distill-Qwen, R1-Distill-Llama-8B "
        "or R1-0528-Qwen3-8B.",
        mend_zh="请使用 DeepSeek-R1 的蒸馏模型：R1-Distill-Qwen、R1-Distill-Llama-8B "
        "或 R1-0528-Qwen3-8B。",
    ),
    "checkpoint-experts": Text(
        what_en='{where}: "{key}" is {value}: a mixture of experts, which does not fit a phone and '
        "which Pocket R1 does not run.",
        what_zh="{where}：“{key}”为 {value}，这是混合专家模型，手机放不下，Pocket R1 不支持。",
        mend_en="Use one of DeepSeek-R1's distilled models instead, for example "
        "DeepSeek-R1-Distill-Qwen-1.5B.",
        mend_zh="请改用 DeepSeek-R1 的蒸馏模型，例如 DeepSeek-R1-Distill-Qwen-1.5B。",
    ),
    "checkpoint-quantized": Text(
        what_en="{where}: the checkpoint is quantized by {method} in a way Pocket R1 does not read "
        '("{key}" is {value}, and may be: {supported}).',
        what_zh="{where}：该检查点由 {method} 量化，其方式 Pocket R1 无法读取"
        "（“{key}”为 {value}，可以是：{supported}）。",
        mend_en="Use another version of the model: one quantized by GPTQ, AWQ (GEMM), "
        f"compressed-tensors or FP8, or better the unquantized one ({_PUBLISHED_EN}).",
        mend_zh="请使用该模型的其他版本：由 GPTQ、AWQ（GEMM）、compressed-tensors 或 FP8 量化的，"
        f"或者更好，未量化的（{_PUBLISHED_ZH}）。",
    ),
    "checkpoint-encoded-type": Text(
        what_en="{where}: the tensor {tensor} is stored as {dtype}; {method} stores it as "
        "{expected}.",
        what_zh="{where}：张量 {tensor} 以 {dtype} 存储，而 {method} 应以 {expected} 存储。",
        mend_en="Check that config.json belongs to these weights, and that its "
        "quantization_config is the one they were made with.",
        mend_zh="请确认 config.json 与这些权重匹配，"
        "且其中的 quantization_config 就是生成它们时的设置。",
    ),
    "checkpoint-encoded-value": Text(
        what_en="{where}: the tensor {tensor} {reason}.",
        what_zh="{where}：张量 {tensor} 有误（{reason}）。",
        mend_en="Download the file again, and compare its checksum with the publisher's.",
        mend_zh="请重新下载该文件，并与发布方公布的校验值核对。",
    ),
    "checkpoint-encoded-missing-file": Text(
        what_en="{where} is not here yet, and a quantized checkpoint is read only when all its "
        "weight files are.",
        what_zh="{where} 尚未就位；已量化的检查点须在所有权重文件齐全后才能读取。",
        mend_en="Finish the download (`pocketr1 pull` without --compress), then compress it.",
        mend_zh="请先下载完整（`pocketr1 pull`，不加 --compress），然后再压缩。",
    ),
    "checkpoint-encoded-run": Text(
        what_en="{where}: the tensor {tensor} is stored quantized, and a checkpoint runs as it "
        "lies from full weights only.",
        what_zh="{where}：张量 {tensor} 以量化形式存储；只有完整权重的检查点才能直接运行。",
        mend_en="Make a bundle of it first: pocketr1 compress SRC -o OUT --bits 4 --group-size 128 "
        "(or --bits 8); run the bundle.",
        mend_zh="请先把它做成模型包：pocketr1 compress SRC -o OUT --bits 4 --group-size 128"
        "（或 --bits 8），然后运行该模型包。",
    ),
    "checkpoint-index-invalid": Text(
        what_en="{where}: {reason}.",
        what_zh="{where} 有误：{reason}。",
        mend_en="Download the index file again from the model's page.",
        mend_zh="请从模型主页重新下载该索引文件。",
    ),
    "checkpoint-shard-missing": Text(
        what_en="{where} is missing ({count} of {total} weight files are).",
        what_zh="缺少 {where}（共 {total} 个权重文件，缺 {count} 个）。",
        mend_en="Finish the download, then run the same command again.",
        mend_zh="请下载完整后重新运行同一命令。",
    ),
    "checkpoint-tensor-missing": Text(
        what_en="{where} lacks the tensor {tensor} ({count} missing in all).",
        what_zh="{where} 缺少张量 {tensor}（共缺 {count} 个）。",
        mend_en="Check that config.json belongs to these weights and that the download is "
        "complete.",
        mend_zh="请确认 config.json 与这些权重匹配，且下载完整。",
    ),
    "checkpoint-tensor-unknown": Text(
        what_en="{where} holds the tensor {tensor}, which a {architecture} model does not have.",
        what_zh="{where} 中的张量 {tensor} 不属于 {architecture} 模型。",
        mend_en="Check that config.json belongs to these weights. Adapters (LoRA) must be merged "
        "into the model first.",
        mend_zh="请确认 config.json 与这些权重匹配。适配器（LoRA）须先合并到模型中。",
    ),
    "checkpoint-tensor-shape": Text(
        what_en="{where}: the tensor {tensor} has shape {actual}, but the model's configuration "
        "asks for {expected}.",
        what_zh="{where}：张量 {tensor} 的形状为 {actual}，而模型配置要求 {expected}。",
        mend_en="Check that config.json belongs to these weights; a GGUF file's metadata must be "
        "that of its model.",
        mend_zh="请确认 config.json 与这些权重匹配；GGUF 文件的元数据须与其模型一致。",
    ),
    "checkpoint-tensor-type": Text(
        what_en="{where}: the tensor {tensor} is stored as {dtype}; Pocket R1 reads BF16, F16 and "
        "F32.",
        what_zh="{where}：张量 {tensor} 以 {dtype} 存储；Pocket R1 可读取 BF16、F16 和 F32。",
        mend_en=f"Use the BF16 version of the model: {_PUBLISHED_EN}.",
        mend_zh=f"请使用该模型的 BF16 版本：{_PUBLISHED_ZH}。",
    ),
    "checkpoint-tensor-twice": Text(
        what_en="{where} and {other} both hold the tensor {tensor}.",
        what_zh="{where} 和 {other} 中都有张量 {tensor}。",
        mend_en="Remove the weight files that do not belong to this model, or download it again.",
        mend_zh="请删除不属于该模型的权重文件，或重新下载。",
    ),
    "checkpoint-read": Text(
        what_en="{where} cannot be read: {reason}.",
        what_zh="无法读取 {where}：{reason}。",
        mend_en="Check the file, its permissions and the disk; if it is cut short, download it "
        "again.",
        mend_zh="请检查该文件、其权限和磁盘；若文件不完整，请重新下载。",
    ),
    "safetensors-invalid": Text(
        what_en="The safetensors file {where} is damaged or malformed: {reason}.",
        what_zh="safetensors 文件 {where} 已损坏或格式不正确：{reason}。",
        mend_en="Download the file again, and compare its size and checksum with the publisher's.",
        mend_zh="请重新下载该文件，并与发布方公布的大小和校验值核对。",
    ),
    "safetensors-unreadable": Text(
        what_en="The safetensors file {where} cannot be read: {reason}.",
        what_zh="无法读取 safetensors 文件 {where}：{reason}。",
        mend_en="Check that the path is right, that the download is complete and that you may read "
        "it.",
        mend_zh="请检查路径是否正确、下载是否完整，以及您是否有读取权限。",
    ),
    "bundle-model-spec": Text(
        what_en='The bundle\'s model description is wrong: "{field}" {reason}.',
        what_zh="模型包中的模型描述有误：“{field}”（{reason}）。",
        mend_en="Compress the model again, or update Pocket R1 if a newer version wrote the "
        "bundle.",
        mend_zh="请重新压缩模型；若该包由更新的版本写成，请升级 Pocket R1。",
    ),
}
