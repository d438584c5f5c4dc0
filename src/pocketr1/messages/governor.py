"""Texts of the governor: memory that others need, heat, battery."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "max-temp-value": Text(
        "The highest temperature cannot be {value}.",
        "最高温度不能是 {value}。",
        "Give degrees Celsius from {low:.0f} to {high:.0f}; 45 keeps a phone comfortable to hold.",
        "请给出 {low:.0f} 到 {high:.0f} 之间的摄氏度；45 时手机握持仍舒适。",
    ),
    "on-battery-value": Text(
        "There is no battery profile {value!r}.",
        "没有名为 {value!r} 的电池方案。",
        "Use full, save, stop, or stop:30 to stop below 30%.",
        "请使用 full、save、stop，或用 stop:30 表示低于 30% 时停止。",
    ),
    "memory-threshold-value": Text(
        "The memory threshold cannot be {value}.",
        "内存阈值不能是 {value}。",
        "Give a whole number of bytes; 0 does not look at the memory of others.",
        "请给出以字节为单位的整数；0 表示不理会其他程序的内存。",
    ),
    "trim-level": Text(
        "{value} is no trim level.",
        "{value} 不是内存回收级别。",
        "Pass on what onTrimMemory was given: a whole number from 5 (RUNNING_MODERATE) to 80 "
        "(COMPLETE).",
        "请原样传入 onTrimMemory 收到的数值：5（RUNNING_MODERATE）到 80（COMPLETE）的整数。",
    ),
    "battery-stop": Text(
        "The battery is at {percent}%, below {limit}%: not computing any further.",
        "电池电量为 {percent}%，低于 {limit}%：不再继续计算。",
        "Plug the device in, or choose --on-battery save or full.",
        "请接上电源，或改用 --on-battery save 或 full。",
    ),
    "governor-hot": Text(
        "{zone} {celsius:.1f} °C: {threads} instead of {before} threads.",
        "{zone} {celsius:.1f} °C：线程数由 {before} 减为 {threads}。",
    ),
    "governor-cooler": Text(
        "{zone} {celsius:.1f} °C: {threads} instead of {before} threads.",
        "{zone} {celsius:.1f} °C：线程数由 {before} 恢复为 {threads}。",
    ),
    "governor-paused": Text(
        "{zone} {celsius:.1f} °C: paused until it cools to {until:.0f} °C; Ctrl-C ends the answer.",
        "{zone} {celsius:.1f} °C：暂停，降到 {until:.0f} °C 后继续；Ctrl-C 结束回答。",
    ),
    "governor-resumed": Text(
        "{zone} {celsius:.1f} °C: goes on, threads: {threads}.",
        "{zone} {celsius:.1f} °C：继续，线程数 {threads}。",
    ),
    "governor-resumed-blind": Text(
        "The temperature cannot be read any more: goes on, threads: {threads}.",
        "已读不到温度：继续，线程数 {threads}。",
    ),
    "governor-no-temperature": Text(
        "No temperature can be read on this device: --max-temp does nothing. `pocketr1 doctor` "
        "shows which sensors there are.",
        "本设备读不到温度：--max-temp 不起作用。`pocketr1 doctor` 列出可见的传感器。",
    ),
    "governor-on-battery": Text(
        "On battery ({percent}%): {threads} instead of {before} threads.",
        "使用电池（{percent}%）：线程数由 {before} 减为 {threads}。",
    ),
    "governor-on-mains": Text(
        "Power is back ({percent}%): {threads} instead of {before} threads.",
        "电源已恢复（{percent}%）：线程数由 {before} 恢复为 {threads}。",
    ),
    "governor-battery-low": Text(
        "The battery is at {percent}%.",
        "电池电量仅剩 {percent}%。",
    ),
    "governor-no-battery": Text(
        "It cannot be read here whether the device runs on a battery: --on-battery does nothing.",
        "本设备读不到是否在使用电池：--on-battery 不起作用。",
    ),
    "governor-gave-back": Text(
        "Only {available_mb} MB of memory available: {megabytes} MB given back ({names}).",
        "可用内存仅 {available_mb} MB：已归还 {megabytes} MB（{names}）。",
    ),
    "governor-gave-back-stalled": Text(
        "Programs wait for memory: {megabytes} MB given back ({names}).",
        "有程序在等待内存：已归还 {megabytes} MB（{names}）。",
    ),
    "governor-took-again": Text(
        "There is memory again: {megabytes} MB taken.",
        "内存已宽裕：重新占用 {megabytes} MB。",
    ),
    "governor-trimmed": Text(
        "The system asked for memory (level {level}): {megabytes} MB given back ({names}).",
        "系统要求回收内存（级别 {level}）：已归还 {megabytes} MB（{names}）。",
    ),
    "governor-no-memory": Text(
        "It cannot be read here how much memory is available: --memory-threshold does nothing.",
        "本设备读不到可用内存：--memory-threshold 不起作用。",
    ),
    "governor-relief-kv-pages": Text("unused K/V pages", "未使用的 K/V 页"),
    "governor-relief-weights": Text("pinned weights", "常驻的权重"),
    "governor-comma": Text(", ", "、"),
    "cli-option-max-temp": Text(
        "Keep the device below so many degrees Celsius, for example 45: above it, compute with "
        "fewer threads, then pause until it has cooled. Without it, the system alone decides.",
        "让设备温度不超过该摄氏度，例如 45：超过时逐步减少线程，再暂停至降温。"
        "省略时完全由系统决定。",
    ),
    "cli-option-on-battery": Text(
        "While the device runs on its battery: `full` computes as always and says when it is low, "
        "`save` takes half the threads, `stop` also stops below 15%, `stop:30` below 30%.",
        "使用电池时：`full` 照常计算，电量低时提示；`save` 只用一半线程；`stop` 还会在低于 15% 时"
        "停止，`stop:30` 则为低于 30%。",
    ),
    "cli-option-memory-threshold": Text(
        "When less memory than this is available on the device, give back what is kept only for "
        "speed, and take it again later; 0 does not look.",
        "设备可用内存低于该值时，归还仅为提速而占用的内存，宽裕后再重新占用；0 表示不检查。",
    ),
}
