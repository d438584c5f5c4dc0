"""Texts of the command line: mistakes, and what the commands say. Help is in ``cli_help``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "cli-not-whole": Text(
        "{option} takes a whole number, not {value!r}.",
        "{option} 需要一个整数，而不是 {value!r}。",
        "Write it in digits, for example {option} 4.",
        "请用数字书写，例如 {option} 4。",
    ),
    "cli-not-number": Text(
        "{option} takes a number, not {value!r}.",
        "{option} 需要一个数，而不是 {value!r}。",
        "Write it in digits with a point, for example {option} 0.6.",
        "请用带小数点的数字书写，例如 {option} 0.6。",
    ),
    "cli-not-size": Text(
        "{option} takes a size, not {value!r}.",
        "{option} 需要一个大小，而不是 {value!r}。",
        "Write a number with MB or GB, for example {option} 0.95GB.",
        "请写成带 MB 或 GB 的数字，例如 {option} 0.95GB。",
    ),
    "cli-extra-argument": Text(
        "{command} does not know what to do with {value!r}.",
        "{command} 不知道如何处理 {value!r}。",
        "Put a text of several words in quotes; `{command} --help` shows what is taken.",
        "含有空格的文本请加引号；`{command} --help` 列出可用的参数。",
    ),
    "cli-no-such-command": Text(
        "There is no command {name!r}.",
        "没有名为 {name!r} 的命令。",
        "The commands are: {known}.",
        "可用的命令：{known}。",
    ),
    "cli-no-such-command-near": Text(
        "There is no command {name!r}.",
        "没有名为 {name!r} 的命令。",
        "Did you mean `pocketr1 {near}`? `pocketr1 --help` lists all commands.",
        "您是否想用 `pocketr1 {near}`？`pocketr1 --help` 列出全部命令。",
    ),
    "cli-no-such-option": Text(
        "There is no option {option}.",
        "没有选项 {option}。",
        "`{command} --help` lists all options; a text that starts with a dash goes behind `--`.",
        "`{command} --help` 列出全部选项；以短横线开头的文本请放在 `--` 之后。",
    ),
    "cli-no-such-option-near": Text(
        "There is no option {option}.",
        "没有选项 {option}。",
        "Did you mean {near}?",
        "您是否想用 {near}？",
    ),
    "cli-missing": Text(
        "{name} is missing.",
        "缺少 {name}。",
        "`{command} --help` shows what goes where.",
        "`{command} --help` 说明各参数的位置。",
    ),
    "cli-option-value": Text(
        "{option} needs a value, and none follows.",
        "{option} 需要一个值，但后面没有给出。",
        "`{command} --help` shows what it takes.",
        "`{command} --help` 说明它的取值。",
    ),
    "cli-usage": Text(
        "The command line cannot be understood: {reason}",
        "无法理解这条命令：{reason}",
        "`{command} --help` shows what is taken.",
        "`{command} --help` 列出可用的参数。",
    ),
    "cli-language": Text(
        "There is no language {value!r}.",
        "没有语言 {value!r}。",
        "Use one of: {known}.",
        "可选的语言：{known}。",
    ),
    "cli-interrupted": Text(
        "Interrupted.",
        "已中断。",
        "Nothing is left half done; start the command again when you want it.",
        "没有留下未完成的内容；需要时可重新运行命令。",
    ),
    "cli-memory": Text(
        "There is not enough memory.",
        "内存不足。",
        "Close other programs, or use a smaller model, fewer bits or a shorter context.",
        "请关闭其他程序，或者使用更小的模型、更低的位数或更短的上下文。",
    ),
    "cli-system": Text(
        "The system refused a file ({path}): {reason}.",
        "系统拒绝了对文件的操作（{path}）：{reason}。",
        "Check that it exists, that you may use it, and that the disk has room.",
        "请检查文件是否存在、您是否有权限，以及磁盘是否有空间。",
    ),
    "cli-unexpected": Text(
        "This is a fault of Pocket R1 ({kind}): {text}",
        "这是 Pocket R1 自身的故障（{kind}）：{text}",
        "Please report it with the command you ran; POCKETR1_DEBUG=1 shows where it happened.",
        "请附上所运行的命令报告此问题；设置 POCKETR1_DEBUG=1 可显示出错的位置。",
    ),
    "bench-value": Text(
        "{name} cannot be {value}.",
        "{name} 不能是 {value}。",
        "Use a whole number of at least 1.",
        "请使用不小于 1 的整数。",
    ),
    "bench-died": Text(
        "The process that measured {model} ended without a result ({status}).",
        "测量 {model} 的进程没有给出结果就结束了（{status}）。",
        "Its last words stand above. `signal 9` mostly means that memory ran out: try a smaller "
        "model or fewer prompt tokens.",
        "它最后的输出见上文。`signal 9` 通常表示内存耗尽：请换用更小的模型或更少的提示词元。",
    ),
    "cli-bench-started": Text(
        "Measuring {model} in a process of its own …", "正在独立进程中测量 {model} ……"
    ),
    "cli-bench-model": Text("model", "模型"),
    "cli-bench-machine": Text("machine", "机器"),
    "cli-bench-system": Text("system", "系统"),
    "cli-bench-versions": Text("versions", "版本"),
    "cli-bench-kernels": Text("instruction set, threads, K/V", "指令集、线程数、K/V"),
    "cli-bench-prefill": Text("prefill, median (min – max)", "预填充，中位数（最小 – 最大）"),
    "cli-bench-decode": Text("decode, median (min – max)", "解码，中位数（最小 – 最大）"),
    "cli-bench-load": Text("load, load and first logits", "加载、加载并得到首个 logits"),
    "cli-bench-ttft": Text("time to first token", "首个词元的时间"),
    "cli-bench-weights": Text("weights", "权重"),
    "cli-bench-memory": Text("peak memory (RSS)", "内存峰值（RSS）"),
    "verify-checkpoint": Text(
        "{path} is no bundle, and only a bundle carries hashes to verify.",
        "{path} 不是模型包，只有模型包才带有可供校验的哈希。",
        "Leave --verify out, or verify the bundle made from it.",
        "请去掉 --verify，或校验由它生成的模型包。",
    ),
    "cli-raw-option": Text(
        "{option} means nothing together with --raw.",
        "{option} 与 --raw 同用没有意义。",
        "Leave one of the two out: --raw continues the text as it stands.",
        "请去掉其中之一：--raw 按原文续写。",
    ),
    "cli-prompt-empty": Text(
        "The prompt is empty.",
        "提示是空的。",
        "Write what to answer in quotes, or `-` and give it on stdin.",
        "请在引号中写出要回答的内容，或用 `-` 并从标准输入提供。",
    ),
    "cli-compress-interrupted": Text(
        "Interrupted. What is finished is kept in {partial}.",
        "已中断。已完成的部分保存在 {partial}。",
        "Run the same command again to go on where it stopped, or delete that directory.",
        "再次运行同一条命令即可从中断处继续；也可以删除该目录。",
    ),
    "cli-pull-asking": Text(
        "Asking {host} for {repository} …", "正在向 {host} 查询 {repository} ……"
    ),
    "cli-pull-disk": Text(
        "At its fullest moment the job takes {needed} MB of disk; {free} MB are free now.",
        "任务最多占用 {needed} MB 磁盘空间；目前可用 {free} MB。",
    ),
    "cli-pull-interrupted": Text(
        "Interrupted. What has come is kept in {path}.",
        "已中断。已下载的部分保存在 {path}。",
        "Run the same command again to go on where it stopped, or delete that directory.",
        "再次运行同一条命令即可从中断处继续；也可以删除该目录。",
    ),
    "cli-pull-bits": Text(
        "A pull cannot compress to {value} bits.",
        "下载时不能压缩为 {value} 位。",
        "Use --compress 8, 4, 3 or 2; pull without it and run `pocketr1 compress` for more "
        "choices.",
        "请使用 --compress 8、4、3 或 2；如需更多选项，请先下载，再运行 `pocketr1 compress`。",
    ),
    "cli-hint-pull": Text(
        "Pull it first, compressed on the way: pocketr1 pull {alias} --compress {bits}",
        "请先下载，并边下载边压缩：pocketr1 pull {alias} --compress {bits}",
    ),
    "cli-progress-pull": Text("Pulling", "下载"),
    "cli-progress-check": Text("Checking hashes", "校验哈希"),
    "cli-pull-from": Text("pulled from", "来源"),
    "cli-pull-bytes": Text("size of the checkpoint", "检查点大小"),
    "cli-pull-checked": Text("files whose hash was checked, of all", "已校验哈希的文件 / 全部文件"),
    "cli-pull-next-compress": Text(
        "Next: pocketr1 compress {path} -o {path}-int4 --bits 4 --group-size 64",
        "下一步：pocketr1 compress {path} -o {path}-int4 --bits 4 --group-size 64",
    ),
    "cli-pull-next-chat": Text("Next: pocketr1 chat {path}", "下一步：pocketr1 chat {path}"),
    "cli-progress-hash": Text("Reading the source", "读取源文件"),
    "cli-progress-decode": Text("Decoding the source", "解码源文件"),
    "cli-progress-reason": Text("Reasoning", "推理（校准文本）"),
    "cli-progress-allocate": Text("Measuring each matrix", "逐个测量矩阵"),
    "cli-progress-calibrate": Text("Calibrating", "校准"),
    "cli-progress-compress": Text("Compressing", "压缩"),
    "cli-progress-measure": Text("Measuring", "测量"),
    "cli-progress-verify": Text("Verifying", "校验"),
    "cli-compress-source": Text("source", "源文件"),
    "cli-compress-size": Text("size of the bundle", "模型包大小"),
    "cli-compress-target": Text("the target", "目标"),
    "cli-compress-target-met": Text("can be met", "可以达到"),
    "cli-compress-target-unknown": Text(
        "whether it can be met is known when the matrices are measured",
        "测量各矩阵之后才知道能否达到",
    ),
    "cli-compress-possible-size": Text("possible sizes", "可能的大小"),
    "cli-compress-possible-bits": Text("possible bits per weight", "可能的每权重位数"),
    "cli-compress-size-most": Text("size of the bundle, at most", "模型包大小（上限）"),
    "cli-compress-sensitivities": Text(
        "matrices whose worth will be measured (time)", "将要测量价值的矩阵数（时间）"
    ),
    "cli-compress-time": Text("time", "时间"),
    "cli-compress-memory": Text("peak memory while compressing", "压缩时的内存峰值"),
    "cli-compress-disk": Text("disk needed (free)", "所需磁盘空间（可用）"),
    "cli-compress-run-memory": Text(
        "weights and 4,096 tokens of context", "权重与 4096 个词元的上下文"
    ),
    "cli-compress-carried": Text(
        "quantized weights carried as they were, of all", "原样保留的已量化权重 / 全部已量化权重"
    ),
    "cli-compress-carrying": Text("what would carry the others", "可原样保留其余权重的选项"),
    "cli-compress-resumed": Text(
        "segments an earlier run had finished, of all", "先前运行已完成的分段 / 全部分段"
    ),
    "cli-kind-bundle": Text("bundle", "模型包"),
    "cli-kind-checkpoint": Text("checkpoint", "检查点"),
    "cli-inspect-path": Text("model", "模型"),
    "cli-inspect-model": Text(
        "layers x hidden, heads / K/V heads x size", "层数 x 隐藏维度，头数 / K/V 头数 x 大小"
    ),
    "cli-inspect-vocabulary": Text("vocabulary", "词表大小"),
    "cli-inspect-positions": Text("positions", "最大位置数"),
    "cli-inspect-parameters": Text("parameters (decoder)", "参数量（解码层）"),
    "cli-inspect-parameters-whole": Text("parameters", "参数量"),
    "cli-inspect-bits": Text("bits per weight (decoder)", "每权重位数（解码层）"),
    "cli-inspect-formats": Text("formats (tensors)", "格式（张量数）"),
    "cli-inspect-size": Text("size of all files", "全部文件大小"),
    "cli-inspect-kv": Text("K/V per token, F16", "每个词元的 K/V（F16）"),
    "cli-inspect-made": Text("made by", "生成方式"),
    "cli-inspect-source": Text("made from", "来源"),
    "cli-inspect-error": Text("largest relative error", "最大相对误差"),
    "cli-inspect-gate": Text("judged by compress", "compress 的评测结论"),
    "cli-inspect-verified": Text("hashes and values", "哈希与数值"),
    "cli-verified": Text("verified, every byte", "已逐字节校验"),
    "cli-not-verified": Text("not verified (--verify)", "未校验（--verify）"),
    "cli-run-thought-budget": Text(
        "The reasoning was closed: it had used up its --think-budget.",
        "推理已结束：已用完 --think-budget 给定的词元数。",
    ),
    "cli-run-thought-loop": Text(
        "The reasoning was closed: it repeated itself over and over (--no-loop-check lets it).",
        "推理已结束：它在不断自我重复（可用 --no-loop-check 不作检查）。",
    ),
    "cli-run-answer-loop": Text(
        "The answer was ended: it repeated itself over and over (--no-loop-check lets it).",
        "回答已结束：它在不断自我重复（可用 --no-loop-check 不作检查）。",
    ),
    "cli-run-summary": Text(
        "{prompt} + {completion} tokens, {speed} tok/s, first after {first} s, ended by: {reason}",
        "{prompt} + {completion} 个词元，{speed} 词元/秒，首个 {first} 秒，结束原因：{reason}",
    ),
    "cli-run-speculated": Text(
        "{prompt} + {completion} tokens, {speed} tok/s, first after {first} s, {accepted} of "
        "{drafted} drafted tokens accepted, ended by: {reason}",
        "{prompt} + {completion} 个词元，{speed} 词元/秒，首个 {first} 秒，起草 {drafted} 个词元、"
        "采纳 {accepted} 个，结束原因：{reason}",
    ),
    "cli-run-full": Text(
        "The context is full; --max-context makes it larger, --full-context slide goes on.",
        "上下文已写满；用 --max-context 加大，或用 --full-context slide 继续。",
    ),
}
