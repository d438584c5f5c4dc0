"""Texts of ``pocketr1 doctor``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "doctor-started": Text(
        "Measuring memory and storage, a few seconds …", "正在测量内存和存储，需要几秒钟 ……"
    ),
    "doctor-separator": Text(", ", "，"),
    "doctor-unknown": Text("unknown", "未知"),
    "doctor-device": Text("device", "设备"),
    "doctor-system": Text("system", "系统"),
    "doctor-cores": Text("cores", "处理器核心"),
    "doctor-usable": Text(
        "{usable} of {logical} CPUs usable", "{logical} 个逻辑 CPU 中可用 {usable} 个"
    ),
    "doctor-quota": Text("quota {quota:g} CPUs", "配额 {quota:g} 个 CPU"),
    "doctor-isa": Text("instruction set", "指令集"),
    "doctor-isa-of": Text("{chosen} (of {runnable})", "{chosen}（可选 {runnable}）"),
    "doctor-isa-forced": Text(
        "POCKETR1_ISA={forced}, which this CPU cannot run", "POCKETR1_ISA={forced}，此 CPU 无法运行"
    ),
    "doctor-isa-unused": Text("not used yet: {names}", "尚未使用：{names}"),
    "doctor-memory": Text("memory", "内存"),
    "doctor-memory-of": Text("{available} available of {total}", "共 {total}，可用 {available}"),
    "doctor-memory-limit": Text("limit of the control group", "受控制组限制"),
    "doctor-swap": Text("swap {swap} (zram {zram})", "交换空间 {swap}（zram {zram}）"),
    "doctor-speed": Text("memory speed", "内存速度"),
    "doctor-speed-of": Text(
        "reading {read}, weights of 8 bits {w8}, of 4 bits {w4}; {threads} threads",
        "读取 {read}，8 位权重 {w8}，4 位权重 {w4}；{threads} 个线程",
    ),
    "doctor-storage": Text("storage", "存储"),
    "doctor-storage-of": Text(
        "{path} ({filesystem}): {free} free", "{path}（{filesystem}）：可用 {free}"
    ),
    "doctor-storage-speed": Text("writes {write}, reads {read}", "写入 {write}，读取 {read}"),
    "doctor-thermal": Text("temperature", "温度"),
    "doctor-thermal-hottest": Text(
        "{celsius:.0f} °C at most ({name}; {readable} of {zones} sensors readable)",
        "最高 {celsius:.0f} °C（{name}；{zones} 个传感器中可读 {readable} 个）",
    ),
    "doctor-thermal-unreadable": Text(
        "{zones} sensors, none readable: the system keeps them from programs",
        "{zones} 个传感器，均不可读：系统不允许程序读取",
    ),
    "doctor-thermal-none": Text("no sensor to be seen", "未发现传感器"),
    "doctor-watched": Text("--max-temp reads", "--max-temp 依据"),
    "doctor-battery": Text("battery", "电池"),
    "doctor-kind-prime": Text("prime", "超大核"),
    "doctor-kind-big": Text("big", "大核"),
    "doctor-kind-little": Text("little", "小核"),
    "doctor-kind-performance": Text("performance", "性能核"),
    "doctor-kind-efficiency": Text("efficiency", "能效核"),
    "doctor-container": Text("container ({name})", "容器（{name}）"),
    "doctor-column-model": Text("model", "模型"),
    "doctor-column-bits": Text("bits", "位数"),
    "doctor-column-size": Text("size", "大小"),
    "doctor-column-memory": Text("memory", "内存"),
    "doctor-column-storage": Text("to make it, at most", "制作最多需"),
    "doctor-column-fits": Text("fits", "放得下"),
    "doctor-column-speed": Text("tok/s", "词元/秒"),
    "doctor-block": Text(
        "{model}, {bits} bits, fits: {fits}", "{model}，{bits} 位，放得下：{fits}"
    ),
    "doctor-fits-yes": Text("yes", "是"),
    "doctor-fits-emptied": Text("after closing programs", "关闭其他程序后"),
    "doctor-fits-no-memory": Text("no: memory", "否：内存不足"),
    "doctor-fits-no-storage": Text("no: storage", "否：存储不足"),
    "doctor-fits-no-both": Text("no: memory, storage", "否：内存和存储不足"),
    "doctor-advice": Text(
        "Advice: {model} at {bits} bits, {size} on storage, {memory} of memory, {speed} tok/s to "
        "be expected.",
        "建议：{model}，{bits} 位，占用存储 {size}、内存 {memory}，预计 {speed} 词元/秒。",
    ),
    "doctor-advice-few-bits": Text(
        "More bits do not fit. Rounded to {bits} bits a model loses much; calibrated (`pocketr1 "
        "compress --calibrate`, on a machine with more memory) it loses less.",
        "更多位数放不下。直接取整到 {bits} 位损失很大；"
        "在内存更大的机器上校准（`pocketr1 compress --calibrate`）损失较小。",
    ),
    "doctor-advice-slow": Text(
        "That is slower than one reads; nothing that fits is faster.",
        "这比阅读速度慢；放得下的模型中没有更快的。",
    ),
    "doctor-advice-passed-over": Text(
        "{model} at {bits} bits fits too and is abler, but answers slower than one reads: {speed} "
        "tok/s, where {least:g} are wanted.",
        "{model}（{bits} 位）也放得下且能力更强，但回答比阅读慢：{speed} 词元/秒，"
        "而至少应为 {least:g}。",
    ),
    "doctor-advice-threads": Text(
        "Add --threads {threads} when you run it: the fast cores.",
        "运行时请加 --threads {threads}：只用高性能核心。",
    ),
    "doctor-advice-busy": Text(
        "The load average is {load:.1f} on {cpus} CPUs: other programs want them too; without "
        "those it answers faster.",
        "系统平均负载为 {load:.1f}（可用 CPU {cpus} 个）：其他程序也在争用 CPU；"
        "关闭它们后回答会更快。",
    ),
    "doctor-advice-none": Text("Advice: none of these models fits.", "建议：这些模型都放不下。"),
    "doctor-advice-memory": Text(
        "{missing} of memory is missing for the smallest: close other programs, or take a device "
        "with more.",
        "最小的模型还缺 {missing} 内存：请关闭其他程序，或换用内存更大的设备。",
    ),
    "doctor-advice-storage": Text(
        "{missing} of storage is missing for the smallest: make room, or name another place with "
        "--path.",
        "最小的模型还缺 {missing} 存储空间：请腾出空间，或用 --path 指定其他位置。",
    ),
    "doctor-advice-unknown": Text(
        "How much memory or storage there is could not be found out.",
        "无法得知内存或存储空间的大小。",
    ),
    "doctor-next": Text("Next:", "下一步："),
}
