"""Texts about what is kept of a person, and of ``pocketr1 privacy``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "privacy-running": Text(
        "A reply is being written into {path}; nothing was erased there.",
        "正在向 {path} 写入回答；其中的内容未被清除。",
        "Stop the reply, or the server or chat that writes it, and erase again.",
        "请停止该回答，或停止正在写入的服务器或对话，然后重新清除。",
    ),
    "privacy-remove": Text(
        "{path} cannot be deleted: {reason}.",
        "无法删除 {path}：{reason}。",
        "Delete it yourself, or as the user it belongs to.",
        "请自行删除，或以其所属用户的身份删除。",
    ),
    "privacy-read": Text(
        "{path} cannot be read: {reason}.",
        "无法读取 {path}：{reason}。",
        "Look at it as the user it belongs to.",
        "请以其所属用户的身份查看。",
    ),
    "cli-privacy": Text(
        "What is kept of you on this device: show it, erase it",
        "本机保存了您的哪些内容：查看、清除",
        "ACTION is show (what is kept, where, how much, from when) or erase (all of it, or what "
        "--conversations, --kv-store and --history name; it asks first).",
        "ACTION 可为 show（保存了什么、在哪里、多大、何时）或 erase（清除全部，或由 "
        "--conversations、--kv-store、--history 指定的部分；清除前会询问）。",
    ),
    "cli-argument-privacy-action": Text("show or erase", "show 或 erase"),
    "cli-option-privacy-conversations": Text("Erase the conversations", "清除对话"),
    "cli-option-privacy-kv-store": Text(
        "Erase the store of keys and values, which holds prompts in computed form",
        "清除键值存储（其中以计算后的形式保存提示）",
    ),
    "cli-option-privacy-history": Text(
        "Erase the lines typed into pocketr1 chat", "清除在 pocketr1 chat 中输入过的行"
    ),
    "cli-option-privacy-yes": Text("Erase without asking", "不询问，直接清除"),
    "cli-privacy-action": Text(
        "There is no privacy {action!r}.",
        "没有 privacy {action!r} 这一操作。",
        "Use show or erase.",
        "请使用 show 或 erase。",
    ),
    "cli-privacy-option": Text(
        "{option} belongs to privacy erase.",
        "{option} 用于 privacy erase。",
        "Leave it out, or erase.",
        "请去掉该选项，或使用 erase。",
    ),
    "cli-privacy-yes": Text(
        "Nobody can be asked whether to erase.",
        "无法询问是否清除。",
        "Give --yes; pocketr1 privacy show says what would go.",
        "请加上 --yes；pocketr1 privacy show 会列出将被清除的内容。",
    ),
    "cli-privacy-left": Text(
        "Nothing was erased.",
        "未清除任何内容。",
        "Answer y to erase it.",
        "回答 y 才会清除。",
    ),
    "cli-privacy-conversations": Text("Conversations", "对话"),
    "cli-privacy-kv-store": Text(
        "Keys and values of prompts (the prompts in computed form)",
        "提示的键和值（计算后的提示）",
    ),
    "cli-privacy-history": Text("Lines typed into pocketr1 chat", "在 pocketr1 chat 中输入过的行"),
    "cli-privacy-none": Text("nothing", "无"),
    "cli-privacy-conversations-count": Text(
        "conversations {count}, {size:.2f} MB", "对话 {count} 个，{size:.2f} MB"
    ),
    "cli-privacy-kv-store-count": Text(
        "prompts {count}, {size:.2f} MB", "提示 {count} 条，{size:.2f} MB"
    ),
    "cli-privacy-history-count": Text("lines {count}, {size:.2f} MB", "{count} 行，{size:.2f} MB"),
    "cli-privacy-newest": Text(", last used {day}", "，最近使用 {day}"),
    "cli-privacy-oldest": Text(", since {day}", "，始于 {day}"),
    "cli-privacy-rest": Text(
        "Nothing of this leaves the device, there is no telemetry, and no log holds a prompt "
        "unless serve was given --log-prompts. Bundles of GGUF files in {cache} hold models, "
        "nothing of you. Not listed: stores and conversations in places you named yourself "
        "(--kv-store, POCKETR1_DATA_DIR), what you exported, and your shell's own history of "
        "commands.",
        "这些内容不会离开本机，没有遥测，日志中也不含提示（除非 serve 使用了 --log-prompts）。"
        "{cache} 中由 GGUF 文件生成的模型包只含模型，不含您的内容。未列出的有："
        "您自行指定位置的存储与对话（--kv-store、POCKETR1_DATA_DIR）、您导出的文件，"
        "以及 shell 自身的命令历史。",
    ),
    "cli-privacy-going": Text("{path}: {what}", "{path}：{what}"),
    "cli-privacy-ask": Text("Erase this for good? [y/N]", "确定永久清除吗？[y/N]"),
    "cli-privacy-erased": Text(
        "{path}: erased, {size:.2f} MB freed.", "{path}：已清除，释放 {size:.2f} MB。"
    ),
    "cli-privacy-nothing": Text("{path}: there was nothing.", "{path}：没有内容。"),
    "cli-privacy-flash": Text(
        "Conversations and typed lines were overwritten in their files, the K/V store was deleted. "
        "Flash storage writes elsewhere than it is told, and file systems and backups keep copies: "
        "that nothing can be recovered from the device is promised by its encryption alone. A "
        "chat that still runs writes its lines again when it ends.",
        "对话与输入的行已在文件中被覆写，K/V 存储已删除。闪存实际写入的位置与指定的不同，"
        "文件系统与备份也可能留有副本：只有设备加密才能保证内容无法恢复。"
        "仍在运行的 chat 会在结束时重新写入其输入行。",
    ),
    "cli-privacy-off": Text("off", "关闭"),
    "cli-privacy-notice": Text(
        "What is kept, on this device alone (this is said once): conversations in {conversations}; "
        "keys and values of prompts in {kv_store}. No telemetry; no log holds a prompt unless "
        "serve is given --log-prompts. `pocketr1 privacy show` lists it, "
        "`pocketr1 privacy erase` deletes it.",
        "以下内容只保存在本机（此提示只出现一次）：对话保存在 {conversations}；提示的键和值保存在 "
        "{kv_store}。没有遥测；除非 serve 使用 --log-prompts，日志中不含提示。"
        "`pocketr1 privacy show` 可查看，`pocketr1 privacy erase` 可清除。",
    ),
}
