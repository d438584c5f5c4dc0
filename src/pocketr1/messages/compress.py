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
        "scalar, avx2, avx512_vnni, neon_dotprod or neon_i8mm.",
        "取消设置 POCKETR1_ISA 以自动选择最合适的指令集，"
        "或指定本机处理器支持的一种：scalar、avx2、avx512_vnni、neon_dotprod 或 neon_i8mm。",
    ),
    "compress-option": Text(
        "The option {option} cannot be {value!r}.",
        "选项 {option} 不能取值 {value!r}。",
        "Choose one of: {allowed}.",
        "请从以下取值中选择：{allowed}。",
    ),
    "compress-asymmetric": Text(
        "Zero points exist at 4 bits and fewer, and nothing is compressed that far here "
        "(bits={bits}).",
        "只有 4 位及以下的量化才有零点，而当前没有任何张量压缩到这么低（bits={bits}）。",
        "Leave symmetric=True, or compress with bits=4, 3 or 2.",
        "请保持 symmetric=True，或使用 bits=4、3 或 2。",
    ),
    "compress-calibration-source": Text(
        "Calibration runs the source again and again, and the source is to be deleted or has not "
        "arrived.",
        "校准需要反复运行源模型，但源文件将被删除或尚未下载完。",
        "Leave out discard_source (--discard-source), and pull the checkpoint whole before.",
        "请去掉 discard_source（--discard-source），并先完整下载检查点。",
    ),
    "compress-calibration-bits": Text(
        "With bits={bits} nothing is rounded to integers, so there is nothing to calibrate.",
        "bits={bits} 时没有任何权重取整，因此无需校准。",
        "Compress to 8, 4, 3 or 2 bits, or leave calibration out.",
        "请压缩到 8、4、3 或 2 位，或去掉校准选项。",
    ),
    "compress-calibration-text": Text(
        "There is no calibration text to save: nothing is calibrated.",
        "没有校准文本可保存：当前未启用校准。",
        "Calibrate with --calibrate or --calibration-data FILE, or leave --calibration-text out.",
        "请使用 --calibrate 或 --calibration-data 文件 进行校准，或去掉 --calibration-text。",
    ),
    "compress-target-one": Text(
        "A target is one of size, bits per weight and divergence.",
        "目标只能是大小、每权重位数、散度三者之一。",
        "Give one of --target-size, --target-bpw and --target-kld.",
        "请只指定 --target-size、--target-bpw、--target-kld 中的一个。",
    ),
    "compress-target-value": Text(
        "A target of {value} cannot be met.",
        "目标 {value} 无法达到。",
        "Give a number above zero.",
        "请给出大于零的数。",
    ),
    "compress-target-bits": Text(
        "With a target the bits of each matrix are chosen, those of embedding and head too.",
        "指定目标后，每个矩阵的位数都会自动选择，嵌入层和输出头也不例外。",
        "Leave out embedding_bits and head_bits (--embedding-bits, --head-bits), or the target.",
        "请去掉 embedding_bits 和 head_bits（--embedding-bits、--head-bits），或去掉目标。",
    ),
    "compress-target-impossible": Text(
        "The target of {target} cannot be met: the least possible is {least}.",
        "目标 {target} 无法达到：最低可达 {least}。",
        "Ask for at least that, or take a smaller model.",
        "请提高目标，或选用更小的模型。",
    ),
    "calibration-file": Text(
        "The calibration file {path} cannot be read: {reason}.",
        "无法读取校准文件 {path}：{reason}。",
        "Give a text in UTF-8 of at most 64 MiB, or JSON lines (.jsonl).",
        "请提供不超过 64 MiB 的 UTF-8 文本，或 JSON Lines 文件（.jsonl）。",
    ),
    "calibration-empty": Text(
        "The calibration file {path} holds nothing.",
        "校准文件 {path} 是空的。",
        'Give text, or JSON lines such as {{"question": "…"}}.',
        '请提供文本，或形如 {{"question": "…"}} 的 JSON Lines。',
    ),
    "calibration-line": Text(
        "{path}, line {line}: there is no prompt and no text.",
        "{path} 第 {line} 行：既没有提示也没有文本。",
        "Each line needs one of the keys question, problem, input, prompt or text.",
        "每一行需要以下键之一：question、problem、input、prompt 或 text。",
    ),
    "calibration-short": Text(
        "The calibration text {path} is too short: nothing is left to measure with.",
        "校准文本 {path} 太短：没有剩余内容可用于度量。",
        "Give at least two samples; some hundred are better.",
        "请至少提供两个样本，最好有几百个。",
    ),
    "compress-output-missing": Text(
        "No output path was given.",
        "没有指定输出路径。",
        "Give output_path, the directory the bundle is to become.",
        "请指定 output_path，即模型包要写入的目录。",
    ),
    "compress-tiny-discard": Text(
        "Tiny R1 belongs to the program and is not discarded.",
        "Tiny R1 属于本程序，不会被删除。",
        "Leave --discard-source out, or compress a copy of it.",
        "请去掉 --discard-source，或压缩它的一份副本。",
    ),
    "compress-gate-option": Text(
        "{option} belongs to a gate, and there is none.",
        "{option} 属于评测关卡，但没有设置关卡。",
        "Give something to judge with: --gate-task FILE.jsonl or --gate-text FILE.",
        "请指定评测内容：--gate-task 文件.jsonl 或 --gate-text 文件。",
    ),
    "compress-gate-source": Text(
        "A gate compares the bundle with its source, and the source is to be deleted.",
        "评测需要把模型包与源模型作比较，但源文件将被删除。",
        "Leave out discard_source (--discard-source), or compress without a gate and measure "
        "elsewhere.",
        "请去掉 discard_source（--discard-source），或不设评测关卡，在别处测量。",
    ),
    "compress-gate-failed": Text(
        "The bundle did not pass and was not given its name: {reasons}",
        "模型包未通过评测，因此没有生成最终目录：{reasons}",
        "{advice} What was made is kept in {path}: the same command judges it again, one with "
        "other options replaces it, and --keep-failed gives it its name all the same.",
        "{advice}已完成的部分保存在 {path}：重新运行同一命令会再次评测；换用其他选项会重新压缩；"
        "加上 --keep-failed 则照样生成。",
    ),
    "compress-tied-head": Text(
        "The output head of this model is its embedding: head_bits={head_bits} and "
        "embedding_bits={embedding_bits} cannot differ.",
        "该模型的输出头与词嵌入共享权重：head_bits={head_bits} 与 "
        "embedding_bits={embedding_bits} 不能不同。",
        "Leave head_bits out, and set embedding_bits.",
        "请省略 head_bits，只设置 embedding_bits。",
    ),
    "compress-output-exists": Text(
        "There is a bundle at {path} already.",
        "{path} 处已经有一个模型包。",
        "Choose another output path, or allow it to be replaced (overwrite).",
        "请选择其他输出路径，或允许覆盖（overwrite）。",
    ),
    "compress-output-foreign": Text(
        "{path} exists and is no bundle; it is left as it is.",
        "{path} 已存在且不是模型包，不会改动它。",
        "Choose an output path that does not exist yet.",
        "请选择一个尚不存在的输出路径。",
    ),
    "compress-busy": Text(
        "Another process is working in {path}.",
        "另一个进程正在使用 {path}。",
        "Wait until it has finished, or choose another output path.",
        "请等待它完成，或选择其他输出路径。",
    ),
    "compress-job-unreadable": Text(
        "The unfinished job {path} cannot be taken up: {reason}.",
        "无法继续未完成的任务 {path}：{reason}。",
        "Delete the directory it lies in, and start again.",
        "请删除它所在的目录，然后重新开始。",
    ),
    "compress-job-differs": Text(
        "{path} holds an unfinished job that began with something else: {what} has changed.",
        "{path} 中有一个未完成的任务，但开始时的条件已不同：{what} 发生了变化。",
        "Run it again with the source, the options and the version it began with, or delete "
        "that directory to start anew.",
        "请使用任务开始时的源文件、选项和版本重新运行，或删除该目录后重新开始。",
    ),
    "compress-disk-full": Text(
        "The disk is full: {path} cannot be written ({free} MB are free).",
        "磁盘已满：无法写入 {path}（剩余 {free} MB）。",
        "Free some space and run the same command again; it goes on where it was.",
        "请释放一些空间后重新运行同一命令，任务会从中断处继续。",
    ),
    "compress-disk-space": Text(
        "{path} needs {needed} MB more, and {free} MB are free.",
        "{path} 还需要 {needed} MB，而剩余空间只有 {free} MB。",
        "Free some space, choose another disk or fewer bits, or let the source be deleted "
        "while it is read (discard_source).",
        "请释放空间、换用其他磁盘或更少的位数，或允许在读取的同时删除源文件（discard_source）。",
    ),
    "compress-write": Text(
        "{path} cannot be written: {reason}.",
        "无法写入 {path}：{reason}。",
        "Check the path and your permission to write there, then run the same command again; "
        "it goes on where it was.",
        "请检查路径和写入权限，然后重新运行同一命令，任务会从中断处继续。",
    ),
    "compress-job-arrivals": Text(
        "The unfinished job in {path} was begun by `pocketr1 pull --compress` and needs what it "
        "kept of weight files that are gone.",
        "{path} 中未完成的任务由 `pocketr1 pull --compress` 开始，"
        "并依赖它为已删除的权重文件保留的部分。",
        "Go on with the same `pocketr1 pull --compress` command, or delete that directory to begin "
        "anew.",
        "请用同一条 `pocketr1 pull --compress` 命令继续，或删除该目录重新开始。",
    ),
    "compress-discard": Text(
        "The source file {path} cannot be deleted: {reason}.",
        "无法删除源文件 {path}：{reason}。",
        "Check your permission to write in its directory, or run again without "
        "discard_source; the job goes on where it was.",
        "请检查对其所在目录的写入权限，或不使用 discard_source 重新运行，任务会从中断处继续。",
    ),
    "compress-encoded-discard": Text(
        "{path} is a quantized checkpoint, whose weights may lie in several files each; its files "
        "are not deleted while they are read.",
        "{path} 是已量化的检查点，一个权重可能分布在多个文件中；读取期间不会删除其文件。",
        "Leave out discard_source (--discard-source), and delete the source yourself afterwards.",
        "请去掉 discard_source（--discard-source），完成后再自行删除源文件。",
    ),
    "bundle-tensor-too-wide": Text(
        "Tensor {tensor} of shape {shape} is too wide: 16 rows of a matrix, or a whole vector, "
        "must fit in a segment of 32 MB.",
        "张量 {tensor}（形状 {shape}）过宽：矩阵的 16 行或整个向量必须能放入一个 32 MB 的段。",
        "Compress matrices to fewer bits; a vector that long belongs to no supported model.",
        "矩阵可压缩到更少的位数；这么长的向量不属于任何受支持的模型。",
    ),
    "bundle-no-tensor": Text(
        "The bundle has no tensor {tensor}.",
        "模型包中没有张量 {tensor}。",
        "`pocketr1 inspect` lists the tensors it has.",
        "`pocketr1 inspect` 会列出其中的张量。",
    ),
    "bundle-row-major": Text(
        "Tensor {tensor} is stored as {format}, without codes and scales.",
        "张量 {tensor} 以 {format} 存储，没有编码和缩放系数。",
        "Read its values with pocketr1.bundle.read_weights.",
        "请用 pocketr1.bundle.read_weights 读取其数值。",
    ),
}
