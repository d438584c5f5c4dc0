"""Texts about a memory budget."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "budget-value": Text(
        "A memory budget cannot be {value!r}.",
        "内存预算不能是 {value!r}。",
        "Give bytes, a size such as 700MB, auto, or none.",
        "请给出字节数、700MB 这样的大小、auto 或 none。",
    ),
    "budget-auto": Text(
        "This system does not say how much memory is available.",
        "此系统没有给出可用内存的大小。",
        "Give the budget as a size, such as --memory-budget 700MB.",
        "请直接写出预算的大小，例如 --memory-budget 700MB。",
    ),
    "budget-too-small": Text(
        "The model cannot run within {budget}: the smallest budget that works is {smallest}.",
        "{budget} 的内存无法运行此模型：可行的最小预算是 {smallest}。",
        "Give at least --memory-budget {smallest}, or take a smaller model.",
        "请至少给出 --memory-budget {smallest}，或者改用更小的模型。",
    ),
    "budget-context": Text(
        "The model cannot run within {budget} at this context: the smallest budget that works is "
        "{smallest}.",
        "在此上下文长度下，{budget} 的内存无法运行此模型：可行的最小预算是 {smallest}。",
        "Give at least --memory-budget {smallest}, or a shorter context: --max-context {context} "
        "fits.",
        "请至少给出 --memory-budget {smallest}，或者缩短上下文：--max-context {context} 放得下。",
    ),
    "budget-context-int8": Text(
        "The model cannot run within {budget} at this context: the smallest budget that works is "
        "{smallest}.",
        "在此上下文长度下，{budget} 的内存无法运行此模型：可行的最小预算是 {smallest}。",
        "Give at least --memory-budget {smallest}, or a shorter context: {context} tokens fit, "
        "{int8} with --kv-format int8.",
        "请至少给出 --memory-budget {smallest}，或者缩短上下文：放得下 {context} 个词元，使用 "
        "--kv-format int8 时为 {int8} 个。",
    ),
    "budget-draft": Text(
        "A memory budget leaves no room for the draft model {model}.",
        "内存预算中没有草稿模型 {model} 的位置。",
        "Use --speculate lookup, which needs no second model, or --memory-budget none.",
        "请使用不需要第二个模型的 --speculate lookup，或者 --memory-budget none。",
    ),
    "resident-limit-value": Text(
        "At most {value!r} bytes of weights cannot be kept.",
        "常驻权重的上限不能是 {value!r} 字节。",
        "Give a whole number of at least 0, or None for no limit.",
        "请给出不小于 0 的整数；None 表示不设上限。",
    ),
    "cli-run-streamed": Text(
        "streamed {megabytes} MB a token at {speed} GB/s: at most {bound} tok/s; {reached} "
        "reached, {share}",
        "每个词元流式读取 {megabytes} MB，存储速度 {speed} GB/s：上限 {bound} 词元/秒；"
        "实际 {reached} 词元/秒，达到 {share}",
    ),
    "cli-run-resident": Text(
        "all weights resident: {megabytes} MB",
        "全部权重常驻内存：{megabytes} MB",
    ),
    "cli-plan-budget": Text("memory budget", "内存预算"),
    "cli-plan-process": Text("process, tokenizer", "进程与分词器"),
    "cli-plan-kv": Text("K/V", "K/V"),
    "cli-plan-kv-value": Text(
        "{size} ({tokens} tokens, {format})", "{size}（{tokens} 个词元，{format}）"
    ),
    "cli-plan-scratch": Text("activations, logits", "激活值与 logits"),
    "cli-plan-ring": Text("read buffers", "读取缓冲区"),
    "cli-plan-resident": Text("weights resident", "常驻权重"),
    "cli-plan-streamed": Text("weights streamed per token", "每个词元流式读取的权重"),
    "cli-plan-whole": Text("all weights would stay resident", "权重能够全部常驻"),
    "cli-plan-whole-bits": Text("at {bits} bits ({size})", "{bits} 位时（{size}）"),
    "cli-plan-whole-none": Text(
        "at no number of bits ({size} at {bits})", "任何位数都不能（{bits} 位时为 {size}）"
    ),
    "cli-plan-looked-up": Text("embedding, looked up on storage", "嵌入表（在存储中查找）"),
    "cli-plan-smallest": Text("smallest budget", "最小预算"),
    "cli-plan-storage": Text("storage reads", "存储读取速度"),
    "cli-plan-memory": Text("memory reads", "内存读取速度"),
    "cli-plan-speed": Text("speed, at most", "速度上限"),
    "cli-plan-speed-value": Text(
        "{speed} tok/s (storage {storage}, memory {memory})",
        "{speed} 词元/秒（存储 {storage}，内存 {memory}）",
    ),
    "cli-option-memory-budget": Text(
        "Memory the whole process may take (700MB, 2GB): weights that do not fit are streamed from "
        "storage, the answer is the same. auto: what is available, less 640 MB; the default on "
        "Android. none: no limit, the default elsewhere.",
        "整个进程可用的内存（700MB、2GB）：放不下的权重从存储流式读取，回答不变。auto：可用内存减去"
        " 640 MB，Android 上的默认值；none：不设上限，其他系统的默认值。",
    ),
    "cli-option-budget": Text(
        "Also print what such a memory budget would go to, and how fast the model would be "
        "(700MB, auto). Reads some of the weights to measure the storage.",
        "另外显示该内存预算（700MB、auto）的分配方式与预期速度。会读取部分权重以测量存储速度。",
    ),
    "cli-plan-option": Text(
        "{option} means nothing here without --budget.",
        "在此命令中，{option} 须与 --budget 一起使用。",
        "Add --budget 700MB, or leave it out.",
        "请加上 --budget 700MB，或去掉此选项。",
    ),
}
