"""Texts of measuring beside other engines, over time and on scenarios."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "bench-count": Text(
        "{name} cannot be {value}.",
        "{name} 不能是 {value}。",
        "Use a whole number; 0 leaves this part out.",
        "请使用非负整数；0 表示跳过这一部分。",
    ),
    "bench-peer": Text(
        "There is no engine {name!r} to measure against.",
        "没有可供对比的引擎 {name!r}。",
        "Separate names by commas; the engines are: {known}.",
        "名称之间用逗号分隔；可用的引擎：{known}。",
    ),
    "bench-peer-models": Text(
        "{path}, where the other engines' models should be, is no directory.",
        "{path} 应当存放其他引擎的模型，但它不是目录。",
        "Name another with --peer-models, or have `scripts/bench --against` make the models.",
        "请用 --peer-models 指定其他目录，或用 `scripts/bench --against` 生成这些模型。",
    ),
    "bench-peer-not-installed": Text(
        "{engine} is left out: it is not installed for {python} ({reason}).",
        "略去 {engine}：{python} 中没有安装它（{reason}）。",
        "Install it there, or name another interpreter with --peer-python.",
        "请在该环境中安装，或用 --peer-python 指定其他解释器。",
    ),
    "bench-peer-no-model": Text(
        "{engine} is left out: {path} holds no model of it.",
        "略去 {engine}：{path} 中没有它的模型。",
        "The guide's page on benchmarks says which files it looks for.",
        "指南的性能测试一页说明了它寻找哪些文件。",
    ),
    "bench-peer-failed": Text(
        "{engine} is left out: it cannot be started with {python} ({reason}).",
        "略去 {engine}：无法用 {python} 启动（{reason}）。",
        "Check --peer-python, and that the engine works there on its own.",
        "请检查 --peer-python，并确认该引擎在其中能单独运行。",
    ),
    "bench-peer-died": Text(
        "{engine} with {model} is left out: {reason}.",
        "略去 {engine} 的 {model}：{reason}。",
        "Its last words stand above.",
        "它最后的输出见上文。",
    ),
    "bench-peer-part": Text(
        "{engine} with {model} has no figure of {part}: {reason}.",
        "{engine} 的 {model} 没有 {part} 的数字：{reason}。",
        "Its other figures stand.",
        "它的其他数字有效。",
    ),
    "bench-modes": Text(
        "{one} and {other} are two measurements.",
        "{one} 和 {other} 是两种不同的测量。",
        "Run the command once for each.",
        "请分别运行命令。",
    ),
    "bench-needs": Text(
        "{option} means nothing without {needs}.",
        "没有 {needs} 时，{option} 不起作用。",
        "Add {needs}, or leave {option} out.",
        "请加上 {needs}，或去掉 {option}。",
    ),
    "bench-duration": Text(
        "{value!r} is no time to measure for.",
        "{value!r} 不是可用的测量时长。",
        "Write for example 10m, 90s or 1h: a second at least, a day at most.",
        "请写成 10m、90s 或 1h 这样的形式：至少一秒，至多一天。",
    ),
    "bench-text": Text(
        "The text {path} cannot be read: {reason}.",
        "无法读取文本 {path}：{reason}。",
        "Name a text file in UTF-8.",
        "请指定 UTF-8 编码的文本文件。",
    ),
    "bench-sustain-title": Text("Decoding over time", "持续解码"),
    "cli-bench-turns": Text(
        "Measuring by turns, every job in a process of its own; this takes minutes …",
        "轮流测量，每项任务在独立进程中进行，需要几分钟 ……",
    ),
    "cli-bench-job": Text("{job}", "{job}"),
    "cli-bench-sustain-started": Text(
        "Decoding with {model} for {seconds:.0f} s …", "用 {model} 连续解码 {seconds:.0f} 秒 ……"
    ),
    "cli-progress-sustain": Text("decoding", "解码"),
    "cli-bench-plot": Text("Plot written to {path}", "曲线图已写入 {path}"),
    "cli-bench-threads": Text("threads", "线程数"),
    "cli-bench-engine": Text("engine", "引擎"),
    "cli-bench-weights-mb": Text("weights, MB", "权重，MB"),
    "cli-bench-bits": Text("bits per weight", "每权重比特数"),
    "cli-bench-kv": Text("K/V cache", "K/V 缓存"),
    "cli-bench-figure-load-cold": Text("load to first logits, cold, s", "冷启动到首个 logits，秒"),
    "cli-bench-figure-load-warm": Text("load to first logits, warm, s", "热启动到首个 logits，秒"),
    "cli-bench-figure-ttft": Text("first token of {prompt}, s", "{prompt} 词元提示的首词元，秒"),
    "cli-bench-figure-prefill": Text("prefill {prompt}, tok/s", "预填充 {prompt}，tok/s"),
    "cli-bench-figure-prefill-long": Text("prefill {long}, tok/s", "预填充 {long}，tok/s"),
    "cli-bench-figure-decode": Text("decode, tok/s", "解码，tok/s"),
    "cli-bench-figure-decode-long": Text(
        "decode behind {long}, tok/s", "{long} 词元之后解码，tok/s"
    ),
    "cli-bench-figure-together": Text(
        "decode, {together} together, tok/s", "{together} 路同时解码，tok/s"
    ),
    "cli-bench-figure-rss": Text("peak memory, MB", "内存峰值，MB"),
    "cli-bench-figure-rss-long": Text("peak memory, {long}, MB", "内存峰值（{long} 词元），MB"),
    "cli-bench-gain-note": Text(
        "Medians of {repeat} rounds (least – most). ×: how many times better Pocket R1 was, median "
        "of the rounds.",
        "{repeat} 轮的中位数（最小 – 最大）。×：Pocket R1 好多少倍，取各轮的中位数。",
    ),
    "cli-bench-read": Text("memory, read by all threads", "内存读取带宽（全部线程）"),
    "cli-bench-peak": Text("int8 multiply-accumulates", "int8 乘加峰值"),
    "cli-bench-decode-bound": Text("decode reaches", "解码达到"),
    "cli-bench-decode-long-bound": Text("decode behind {long} reaches", "{long} 词元之后解码达到"),
    "cli-bench-prefill-bound": Text("prefill reaches", "预填充达到"),
    "cli-bench-no-peak": Text(
        "this instruction set has no int8 dot product", "该指令集没有 int8 点积指令"
    ),
    "cli-bench-share": Text(
        "{share:.0%} of {bound:.1f} tok/s ({each} a token)",
        "{bound:.1f} tok/s 的 {share:.0%}（每词元 {each}）",
    ),
    "cli-bench-time": Text("time", "时长"),
    "cli-bench-sustained": Text("all the time", "全程平均"),
    "cli-bench-kept": Text("last tenth to first tenth", "末段与首段之比"),
    "cli-bench-temperature": Text("hottest sensor, first – last", "最热传感器，开始 – 结束"),
    "cli-bench-frequency": Text("frequency, least – most", "频率，最低 – 最高"),
    "cli-bench-unreadable": Text("cannot be read here", "此处无法读取"),
    "cli-bench-scenario": Text("scenario", "场景"),
    "cli-bench-scenario-text": Text("text generation", "文本生成"),
    "cli-bench-scenario-code": Text("code completion", "代码补全"),
    "cli-bench-scenario-mathematics": Text("mathematical reasoning", "数学推理"),
    "cli-bench-first-load": Text("first load, s", "首次加载，秒"),
    "cli-bench-first-load-warm": Text(
        "The files could not be dropped from memory: these are no cold starts.",
        "无法把文件清出内存：以上不是冷启动。",
    ),
    "cli-bench-speed": Text("tok/s", "tok/s"),
    "cli-bench-memory-gb": Text("memory, GB", "内存，GB"),
    "cli-bench-claimed": Text("claimed", "声称"),
    "cli-bench-accepted": Text("drafts accepted", "接受的草稿"),
    "cli-bench-claim-note": Text(
        "claimed: by the brief, for a 7B model in INT8 on a Xiaomi 14. Compare only with a 7B.",
        "声称：项目说明中 7B INT8 模型在小米 14 上的数字。只应与 7B 模型比较。",
    ),
    "cli-bench-step": Text("model", "模型"),
    "cli-bench-step-format": Text("weights", "权重"),
    "cli-bench-step-bits": Text("bits", "比特"),
    "cli-bench-step-memory": Text("RSS, MB", "RSS，MB"),
    "cli-bench-step-prefill": Text("prefill", "预填充"),
    "cli-bench-step-decode": Text("decode", "解码"),
    "cli-bench-step-perplexity": Text("perplexity", "困惑度"),
    "cli-bench-step-kld": Text("KL divergence", "KL 散度"),
    "cli-bench-step-top1": Text("same token", "首选相同"),
    "cli-bench-step-accuracy": Text("accuracy (95%)", "准确率（95%）"),
}
