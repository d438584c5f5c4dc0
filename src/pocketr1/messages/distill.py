"""Texts about distilling a bundle from its original."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "distill-torch": Text(
        "Distilling needs PyTorch, which is not installed.",
        "蒸馏需要 PyTorch，但尚未安装。",
        "Install it: pip install 'pocketr1[distill]' (PyTorch's build for CPUs is enough). Or use "
        "`pocketr1 compress --calibrate`, which does without.",
        "请安装：pip install 'pocketr1[distill]'（没有显卡的电脑只需 CPU 版本）。"
        "也可以改用不依赖 PyTorch 的 `pocketr1 compress --calibrate`。",
    ),
    "distill-nothing": Text(
        "{path} has no quantized matrix, so there are no scales to train.",
        "{path} 中没有量化的矩阵，因此没有可训练的缩放系数。",
        "Give a bundle made with --bits 8, 4, 3, 2 or f8.",
        "请提供用 --bits 8、4、3、2 或 f8 生成的模型包。",
    ),
    "distill-encoded": Text(
        "{path} is quantized already, and distilling needs the weights as they were.",
        "{path} 已经过量化，而蒸馏需要原始权重。",
        "Compress the original checkpoint, and give that as --source.",
        "请压缩原始检查点，并将其作为 --source。",
    ),
    "distill-model-differs": Text(
        "{source} describes another model than {bundle}: {key} differs.",
        "{source} 描述的模型与 {bundle} 不同：{key} 不一致。",
        "Give the checkpoint the bundle was made of as --source; `pocketr1 inspect` names its "
        "files.",
        "请将生成该模型包的检查点作为 --source；`pocketr1 inspect` 会列出其文件。",
    ),
    "distill-source-differs": Text(
        "The weight file {file} is not one that {bundle} was made of.",
        "权重文件 {file} 不是生成 {bundle} 所用的文件。",
        "Give the very checkpoint the bundle was made of as --source; `pocketr1 inspect --json` "
        "lists its files with their hashes.",
        "请将生成该模型包的同一检查点作为 --source；`pocketr1 inspect --json` 会列出其文件及哈希。",
    ),
    "distill-no-gain": Text(
        "Distilling {path} brought nothing: the divergence from the original was {before} nats a "
        "token, and would be {after}. No bundle was written.",
        "对 {path} 的蒸馏没有收益：与原模型的散度原为每词元 {before} 纳特，蒸馏后为 {after}。"
        "未写入模型包。",
        "Give more text of the kind the model will get (--calibration-data, "
        "--calibration-samples), or keep the bundle as it is.",
        "请提供更多与实际用途相近的文本（--calibration-data、--calibration-samples），"
        "或保留原来的模型包。",
    ),
    "cli-distill": Text(
        "Bring a bundle nearer to its original; its codes stay as they are.",
        "让模型包更接近原模型，编码保持不变。",
        "Trains scales, biases and norms towards what the original says, on text the model writes "
        "itself (see `compress --calibration-data`), and measures on text kept apart whether that "
        "helped: otherwise no bundle is written. Size and speed stay the same. Needs PyTorch "
        "(pip install 'pocketr1[distill]'), the checkpoint, and memory for about sixteen bytes "
        "a weight of its largest matrix and one a weight of the rest.\n\n"
        "  pocketr1 distill r1-int4 --source DeepSeek-R1-Distill-Qwen-1.5B -o r1-int4-distilled",
        "以模型自己写的文本（见 `compress --calibration-data`）训练缩放系数、偏置和归一化增益，"
        "使其接近原模型的输出，并用另外的文本衡量效果：没有改善就不写入模型包。大小和速度不变。"
        "需要 PyTorch（pip install 'pocketr1[distill]'）、原检查点，"
        "以及最大矩阵每权重约十六字节、其余每权重一字节的内存。\n\n"
        "  pocketr1 distill r1-int4 --source DeepSeek-R1-Distill-Qwen-1.5B -o r1-int4-distilled",
    ),
    "cli-argument-bundle": Text(
        "A bundle that `pocketr1 compress` made.", "由 `pocketr1 compress` 生成的模型包。"
    ),
    "cli-option-source": Text("The checkpoint the bundle was made of.", "生成该模型包的检查点。"),
    "cli-option-epochs": Text(
        "Passes over the text (1 to 1,000).", "遍历文本的次数（1 至 1,000）。"
    ),
    "cli-option-distill-data": Text(
        "Train on this: JSON lines with a question each, which the model continues, or any text. "
        "Without it, on its reasoning about the prompts that come along.",
        "用此文件训练：每行一个问题的 JSON Lines（由模型续写），或任意文本；"
        "省略时使用随附提示的推理。",
    ),
    "cli-option-distill-samples": Text(
        "Sequences of text, those to measure with included (2 to 4,096).",
        "文本序列数，包括用于衡量的（2 至 4,096）。",
    ),
    "cli-option-distill-text": Text(
        "Write the text it was trained on here; `evaluate --calibration-text` then proves that "
        "what measures the model is not in it.",
        "将训练所用的文本写到此处；之后可用 `evaluate --calibration-text` 证明评测内容不在其中。",
    ),
    "cli-progress-original": Text("Running the original", "运行原模型"),
    "cli-progress-distill": Text("Distilling", "蒸馏"),
    "cli-distill-kld": Text(
        "divergence from the original, before and after", "与原模型的散度（前、后）"
    ),
    "cli-distill-steps": Text("steps", "步数"),
}
