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
}
