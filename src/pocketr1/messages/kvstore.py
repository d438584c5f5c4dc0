"""Texts about the store of keys and values, and about ``pocketr1 cache``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "kv-store-missing": Text(
        what_en="There is no K/V store at {path}.",
        what_zh="{path} 处没有 K/V 存储。",
        mend_en="Give the file as --kv-store; run and chat make it when a long prompt comes.",
        mend_zh="请用 --kv-store 指定文件；run 与 chat 遇到较长的提示时会自动创建它。",
    ),
    "kv-store-unusable": Text(
        what_en="The K/V store {path} cannot be opened ({reason}); it goes on without it.",
        what_zh="无法打开 K/V 存储 {path}（{reason}）；将不使用它继续运行。",
        mend_en="Give --kv-store a path in a directory you may write to, or --kv-store off.",
        mend_zh="请用 --kv-store 指定一个可写目录中的路径，或使用 --kv-store off。",
    ),
    "kv-store-read-only": Text(
        what_en="The K/V store {path} may not be written: it is read, and nothing is added.",
        what_zh="K/V 存储 {path} 不可写：只读取，不会新增内容。",
        mend_en="Make the file and its directory writable, or give another path as --kv-store.",
        mend_zh="请使该文件及其目录可写，或用 --kv-store 指定其他路径。",
    ),
    "kv-store-foreign": Text(
        what_en="{path} is not a K/V store of Pocket R1, and is left alone.",
        what_zh="{path} 不是 Pocket R1 的 K/V 存储，未作任何改动。",
        mend_en="Give another path as --kv-store.",
        mend_zh="请用 --kv-store 指定其他路径。",
    ),
    "kv-store-newer": Text(
        what_en="The K/V store {path} was made by a newer Pocket R1 (version {version}; this one "
        "knows {known}); it is left alone, and prompts are computed.",
        what_zh="K/V 存储 {path} 由更新的 Pocket R1 创建（版本 {version}，本程序只认识 {known}）；"
        "未作改动，提示将重新计算。",
        mend_en="Update Pocket R1, give another path as --kv-store, or delete the store with "
        "pocketr1 cache prune --all.",
        mend_zh="请更新 Pocket R1，或用 --kv-store 指定其他路径，或用 pocketr1 cache prune --all "
        "删除该存储。",
    ),
    "kv-store-full": Text(
        what_en="The disk is full: the K/V store {path} was made smaller, and nothing more is "
        "stored in this run.",
        what_zh="磁盘已满：已缩小 K/V 存储 {path}，本次运行不再存入内容。",
        mend_en="Free some room, or limit the store with pocketr1 cache prune --max-size.",
        mend_zh="请腾出空间，或用 pocketr1 cache prune --max-size 限制存储的大小。",
    ),
    "kv-store-busy": Text(
        what_en="Another process keeps the K/V store {path} locked; it goes on without it for now.",
        what_zh="另一个进程一直锁定 K/V 存储 {path}；暂时不使用它继续运行。",
        mend_en="Wait for the other process, or give another path as --kv-store.",
        mend_zh="请等待另一进程结束，或用 --kv-store 指定其他路径。",
    ),
    "kv-store-damaged": Text(
        what_en="The K/V store {path} is damaged ({reason}); prompts are computed without it.",
        what_zh="K/V 存储 {path} 已损坏（{reason}）；提示将不借助它重新计算。",
        mend_en="Delete it with pocketr1 cache prune --all; it is made anew.",
        mend_zh="请用 pocketr1 cache prune --all 删除它，之后会自动重建。",
    ),
    "kv-store-page": Text(
        what_en="Pages of the K/V store {path} were damaged; they were deleted and computed again.",
        what_zh="K/V 存储 {path} 中有页损坏；已将其删除并重新计算。",
        mend_en="Check the others with pocketr1 cache verify; the storage may be failing.",
        mend_zh="请用 pocketr1 cache verify 检查其余的页；存储设备可能有故障。",
    ),
    "kv-store-limit-value": Text(
        what_en="A K/V store cannot be limited to {value} bytes.",
        what_zh="K/V 存储的大小不能限制为 {value} 字节。",
        mend_en="Give a whole number of at least 1 MiB, as in --max-size 500MB.",
        mend_zh="请给出不小于 1 MiB 的整数，例如 --max-size 500MB。",
    ),
    "kv-store-model": Text(
        what_en="The K/V store holds nothing of a model {name!r}.",
        what_zh="K/V 存储中没有模型 {name!r} 的内容。",
        mend_en="It holds: {known}. pocketr1 cache list shows them with their ids.",
        mend_zh="其中有：{known}。pocketr1 cache list 会列出它们及其编号。",
    ),
    # cache
    "cli-cache": Text(
        "The store of keys and values: look at it, make it smaller, check it",
        "管理键值存储：查看、缩小、检查",
        "ACTION is list (what it holds, by model), show (its size, its limit and what it wrote), "
        "prune (delete; give at least one of --max-size, --older-than, --model, --all) or verify "
        "(check every page; exit code 1 if one is bad).",
        "ACTION 可为 list（按模型列出内容）、show（大小、上限与写入量）、prune（删除；须给出 "
        "--max-size、--older-than、--model、--all 中至少一项）或 verify（检查每一页；"
        "有损坏时退出码为 1）。",
    ),
    "cli-argument-cache-action": Text("list, show, prune or verify", "list、show、prune 或 verify"),
    "cli-option-kv-store": Text(
        "File that keeps the keys and values of prompts, so that the next run need not compute "
        "them again; off: nothing of the conversation is kept. Without it, kv.sqlite3 in the "
        "directory that --cache names.",
        "保存提示的键和值的文件，下次运行时无需重新计算；off 表示不保存对话的任何内容。"
        "省略时为 --cache 所指目录中的 kv.sqlite3。",
    ),
    "cli-option-kv-stats": Text(
        "Say what the K/V store gave and what was written to it",
        "说明从 K/V 存储恢复了多少、写入了多少",
    ),
    "cli-option-cache-store": Text(
        "The store; without it, that of run and chat", "存储文件；省略时为 run 与 chat 所用的存储"
    ),
    "cli-option-cache-max-size": Text(
        "Keep the store at most this large, now and from now on; what was used least recently goes",
        "从现在起将存储限制在此大小以内；最久未使用的内容先删除",
    ),
    "cli-option-cache-older-than": Text(
        "Delete what was not used for this long", "删除超过此时长未使用的内容"
    ),
    "cli-option-cache-model": Text(
        "Delete what belongs to this model (name, or beginning of the id)",
        "删除属于该模型的内容（名称或编号开头）",
    ),
    "cli-option-cache-all": Text(
        "Delete the store, also a damaged one", "删除整个存储，即使它已损坏"
    ),
    "cli-cache-action": Text(
        what_en="There is no cache {action!r}.",
        what_zh="没有 cache {action!r} 这一操作。",
        mend_en="Use list, show, prune or verify.",
        mend_zh="请使用 list、show、prune 或 verify。",
    ),
    "cli-cache-what": Text(
        what_en="cache prune was not told what to delete.",
        what_zh="未告知 cache prune 要删除什么。",
        mend_en="Give --max-size, --older-than, --model or --all.",
        mend_zh="请给出 --max-size、--older-than、--model 或 --all。",
    ),
    "cli-cache-option": Text(
        what_en="{option} belongs to cache prune, not to cache {action}.",
        what_zh="{option} 属于 cache prune，不用于 cache {action}。",
        mend_en="Leave it out.",
        mend_zh="请去掉该选项。",
    ),
    "cli-not-duration": Text(
        what_en="{option} needs a time such as 30d, 12h or 90m, not {value!r}.",
        what_zh="{option} 需要形如 30d、12h、90m 的时长，而不是 {value!r}。",
        mend_en="Give a number followed by d, h, m or s.",
        mend_zh="请给出数字，后跟 d、h、m 或 s。",
    ),
    "cli-cache-empty": Text("The store {path} holds nothing.", "存储 {path} 是空的。"),
    "cli-cache-row": Text(
        "{id}  {name}, {kv}: tokens {tokens}, prompts {prompts}, {size:.1f} MB, used {used}",
        "{id}  {name}，{kv}：词元 {tokens}，提示 {prompts}，{size:.1f} MB，最近使用 {used}",
    ),
    "cli-cache-speeds": Text(
        "restored at {restore:.0f} tokens a second, computed at {prefill:.0f}",
        "恢复速度每秒 {restore:.0f} 个词元，计算速度每秒 {prefill:.0f} 个词元",
    ),
    "cli-cache-path": Text("store", "存储"),
    "cli-cache-size": Text("size", "大小"),
    "cli-cache-limit": Text("limit", "上限"),
    "cli-cache-pages": Text("tokens", "词元"),
    "cli-cache-written": Text("written so far", "累计写入"),
    "cli-cache-freed": Text(
        "{pages} pages deleted; {freed:.1f} MB freed, {left:.1f} MB left.",
        "已删除 {pages} 页；释放 {freed:.1f} MB，剩余 {left:.1f} MB。",
    ),
    "cli-cache-clean": Text("{pages} pages, all as they were written.", "共 {pages} 页，均完好。"),
    "cli-cache-bad": Text(
        "{count} problems in {pages} pages; pocketr1 cache prune --all deletes the store.",
        "{pages} 页中有 {count} 处问题；可用 pocketr1 cache prune --all 删除该存储。",
    ),
    "cli-kv-stats": Text(
        "K/V store: {restored} tokens restored in {seconds:.3f} s; {pages} pages stored, "
        "{written:.1f} MB written.",
        "K/V 存储：在 {seconds:.3f} 秒内恢复 {restored} 个词元；存入 {pages} 页，"
        "写入 {written:.1f} MB。",
    ),
    "cli-kv-notice": Text("note[{slug}]: {text}\n→ {mend}", "提示[{slug}]：{text}\n→ {mend}"),
}
