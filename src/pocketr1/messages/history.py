"""Texts about conversations that are kept."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "history-damaged": Text(
        what_en="The conversations in {path} cannot be read: the file is damaged ({reason}). It is "
        "left as it is.",
        what_zh="无法读取 {path} 中的对话：文件已损坏（{reason}）。文件未作任何改动。",
        mend_en="Move the file aside together with its -wal file, and import your last export; "
        "sqlite3 FILE .recover may bring back the rest.",
        mend_zh="请把该文件连同其 -wal 文件移到别处，再导入最近一次的导出；sqlite3 FILE .recover "
        "或许能找回其余内容。",
    ),
    "history-foreign": Text(
        what_en="{path} is not a store of Pocket R1's conversations, and is left alone.",
        what_zh="{path} 不是 Pocket R1 的对话存储，未作任何改动。",
        mend_en="Move it aside, or set POCKETR1_DATA_DIR to another directory.",
        mend_zh="请把它移到别处，或用 POCKETR1_DATA_DIR 指定其他目录。",
    ),
    "history-newer": Text(
        what_en="The conversations in {path} were kept by a newer Pocket R1 (version {version}; "
        "this one knows {known}); they are left alone.",
        what_zh="{path} 中的对话由更新的 Pocket R1 保存（版本 {version}，本程序只认识 {known}）；"
        "未作任何改动。",
        mend_en="Update Pocket R1, or set POCKETR1_DATA_DIR to another directory.",
        mend_zh="请更新 Pocket R1，或用 POCKETR1_DATA_DIR 指定其他目录。",
    ),
    "history-unusable": Text(
        what_en="Conversations cannot be kept in {path}: {reason}.",
        what_zh="无法在 {path} 中保存对话：{reason}。",
        mend_en="Set POCKETR1_DATA_DIR to a directory you may write to.",
        mend_zh="请用 POCKETR1_DATA_DIR 指定一个可写的目录。",
    ),
    "history-busy": Text(
        what_en="Another process keeps the conversations in {path} locked.",
        what_zh="另一个进程一直锁定 {path} 中的对话。",
        mend_en="Try again in a moment, or end the other process.",
        mend_zh="请稍后再试，或结束另一进程。",
    ),
    "history-full": Text(
        what_en="The disk is full: {path} could not be written, and the newest text is not kept.",
        what_zh="磁盘已满：无法写入 {path}，最新的内容没有保存。",
        mend_en="Free some room, then try again.",
        mend_zh="请腾出空间后重试。",
    ),
    "history-no-conversation": Text(
        what_en="There is no conversation {id!r}.",
        what_zh="没有对话 {id!r}。",
        mend_en="It may have been deleted; look at the list of conversations.",
        mend_zh="它可能已被删除；请查看对话列表。",
    ),
    "history-no-message": Text(
        what_en="There is no message {id!r} in this conversation.",
        what_zh="此对话中没有消息 {id!r}。",
        mend_en="It may have been deleted; load the conversation anew.",
        mend_zh="它可能已被删除；请重新载入该对话。",
    ),
    "history-parent": Text(
        what_en="A message cannot follow {id!r}: a question follows a reply, and a reply a "
        "question.",
        what_zh="消息不能接在 {id!r} 之后：问题接在回答之后，回答接在问题之后。",
        mend_en="Give the id of a message of the other kind, or none for a first question.",
        mend_zh="请给出另一种消息的编号；若是第一个问题，则不要给出。",
    ),
    "history-parent-running": Text(
        what_en="The reply {id!r} is still being written.",
        what_zh="回答 {id!r} 仍在生成。",
        mend_en="Wait for its end, or stop it first.",
        mend_zh="请等它结束，或先将其停止。",
    ),
    "history-elsewhere": Text(
        what_en="The reply {id!r} is written by another program.",
        what_zh="回答 {id!r} 由另一个程序生成。",
        mend_en="Stop it where it was asked for: in its terminal, or on the page of its server.",
        mend_zh="请在提问处将其停止：相应的终端，或相应服务器的网页。",
    ),
    "history-cursor": Text(
        what_en="{cursor!r} is no place in the list of conversations.",
        what_zh="{cursor!r} 不是对话列表中的位置。",
        mend_en="Give what the list gave as next, or nothing for its beginning.",
        mend_zh="请使用列表给出的 next；从头开始则不要给出。",
    ),
    "history-import": Text(
        what_en="These are no conversations that can be imported: {where}: {reason}. Nothing was "
        "imported.",
        what_zh="无法导入这些对话：{where}：{reason}。没有导入任何内容。",
        mend_en="Give a file that Pocket R1 exported as JSON, unchanged.",
        mend_zh="请使用 Pocket R1 导出的、未经改动的 JSON 文件。",
    ),
    "history-import-newer": Text(
        what_en="These conversations were exported by a newer Pocket R1 (format {version}; this "
        "one knows {known}). Nothing was imported.",
        what_zh="这些对话由更新的 Pocket R1 导出（格式 {version}，本程序只认识 {known}）。"
        "没有导入任何内容。",
        mend_en="Update Pocket R1.",
        mend_zh="请更新 Pocket R1。",
    ),
    "history-you": Text("You", "我"),
    "history-untitled": Text("Untitled", "未命名"),
    "history-system": Text("System prompt", "系统提示词"),
    "history-thought": Text("Thought", "思考"),
    "history-stopped": Text("Stopped here.", "在此停止。"),
}
