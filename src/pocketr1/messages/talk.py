"""Texts of ``pocketr1 chat``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "cli-chat-tiny": Text(
        "Tiny R1 is a teaching model that does arithmetic, in English and Chinese; ask it: What is "
        "17 times 23? A real one: pocketr1 pull r1-1.5b --compress 4",
        "Tiny R1 是教学用的小模型，只会用中文和英文做算术题，例如：17乘23等于多少？"
        "获取真正的模型：pocketr1 pull r1-1.5b --compress 4",
    ),
    "cli-chat-welcome": Text(
        "{model} listens. /help shows the commands, Ctrl-C stops an answer, Ctrl-D leaves.",
        "{model} 已就绪。/help 显示命令，Ctrl-C 停止回答，Ctrl-D 退出。",
    ),
    "cli-chat-help": Text(
        "Everything else is a question; a line that ends in \\ goes on, and so do lines between "
        'two """. Ctrl-C stops an answer.',
        '其他内容都作为提问；以 \\ 结尾的行会接到下一行，两个 """ 之间的各行合为一问。'
        "Ctrl-C 停止回答。",
    ),
    "cli-chat-system-usage": Text("/system TEXT", "/system 文本"),
    "cli-chat-system-help": Text(
        "begin anew with a system prompt (without TEXT: with none)",
        "以系统提示词重新开始（不带文本则不用系统提示词）",
    ),
    "cli-chat-new-usage": Text("/new", "/new"),
    "cli-chat-new-help": Text("begin another conversation", "开始新的对话"),
    "cli-chat-quit-usage": Text("/quit", "/quit"),
    "cli-chat-quit-help": Text("leave (Ctrl-D too)", "退出（也可按 Ctrl-D）"),
    "cli-chat-new": Text(
        "A new conversation; what was said before is not known to the model.",
        "新的对话；模型不再知道之前的内容。",
    ),
    "cli-chat-system": Text(
        "The conversation begins anew with this system prompt.", "已用此系统提示词重新开始对话。"
    ),
    "cli-chat-no-system": Text(
        "The conversation begins anew without a system prompt.", "已不用系统提示词重新开始对话。"
    ),
    "cli-chat-unknown": Text(
        "There is no command {command}; /help shows all.",
        "没有命令 {command}；/help 显示全部命令。",
    ),
    "cli-chat-full": Text(
        "The conversation fills the context; /new begins anew. With --full-context slide it "
        "would go on.",
        "对话已占满上下文；输入 /new 重新开始。使用 --full-context slide 则会继续。",
    ),
    "cli-chat-stopped": Text("Stopped.", "已停止。"),
    "cli-chat-leave": Text(
        "\nCtrl-C again, /quit or Ctrl-D leaves.", "\n再按 Ctrl-C、按 Ctrl-D 或输入 /quit 退出。"
    ),
    "cli-chat-resume-usage": Text("/resume [WORDS]", "/resume [词]"),
    "cli-chat-resume-help": Text(
        "go on with an earlier conversation: its number, its id, or words of it",
        "继续之前的对话：填序号、编号或其中的词",
    ),
    "cli-chat-save-usage": Text("/save [FILE]", "/save [文件]"),
    "cli-chat-save-help": Text(
        "write it as Markdown (.md) or JSON (.json)", "保存为 Markdown（.md）或 JSON（.json）"
    ),
    "cli-chat-think-usage": Text("/think on|off|N|show", "/think on|off|N|show"),
    "cli-chat-think-help": Text(
        "think, do not, or at most N tokens; show the last thought",
        "思考、不思考，或最多思考 N 个词元；show 显示上一次的思考",
    ),
    "cli-chat-regenerate-usage": Text("/regenerate", "/regenerate"),
    "cli-chat-regenerate-help": Text("another answer to the last question", "重新回答上一个问题"),
    "cli-chat-edit-usage": Text("/edit TEXT", "/edit 文本"),
    "cli-chat-edit-help": Text("ask the last question in other words", "改写上一个问题再问"),
    "cli-chat-stats-usage": Text("/stats", "/stats"),
    "cli-chat-stats-help": Text("context, speed, memory", "上下文、速度、内存"),
    "cli-chat-model-usage": Text("/model", "/model"),
    "cli-chat-model-help": Text("what the model is", "模型信息"),
    "cli-chat-help-usage": Text("/help", "/help"),
    "cli-chat-help-help": Text("these lines", "显示本说明"),
    "cli-chat-bye": Text("\nLeaving.", "\n已退出。"),
    "cli-chat-not-kept": Text(
        "The conversation goes on, and is not kept.", "对话继续进行，但不会保存。"
    ),
    "cli-chat-thinking": Text(
        "Thinking… {seconds} s, {tokens} tokens", "思考中…… {seconds} 秒，{tokens} 个词元"
    ),
    "cli-chat-thinking-begun": Text("Thinking…", "思考中……"),
    "cli-chat-thought": Text(
        "Thought for {seconds} s ({tokens} tokens); /think show unfolds",
        "思考了 {seconds} 秒（{tokens} 个词元）；/think show 展开",
    ),
    "cli-chat-no-thought": Text("There is no thought to show.", "没有可显示的思考内容。"),
    "cli-chat-think-on": Text("Answers begin with a thought.", "回答前先思考。"),
    "cli-chat-think-off": Text("Answers come without a thought.", "不思考，直接回答。"),
    "cli-chat-think-budget": Text(
        "Answers begin with a thought of at most {tokens} tokens.",
        "回答前先思考，最多 {tokens} 个词元。",
    ),
    "cli-chat-think-value": Text(
        what_en="/think does not know {value!r}.",
        what_zh="/think 不认识 {value!r}。",
        mend_en="It takes on, off, show, or a number of tokens.",
        mend_zh="可用 on、off、show，或词元数。",
    ),
    "cli-chat-none-found": Text("No conversation was found.", "没有找到对话。"),
    "cli-chat-resume-how": Text(
        "/resume and the number goes on with one.", "用 /resume 加序号继续其中一个。"
    ),
    "cli-chat-resumed": Text(
        "{title} ({count} messages) goes on.", "继续对话：{title}（{count} 条消息）。"
    ),
    "cli-chat-nothing-said": Text("Nothing has been said yet.", "还没有任何对话。"),
    "cli-chat-edit-how": Text("/edit takes the new question.", "请在 /edit 后写新的问题。"),
    "cli-chat-overwrite": Text(
        "{path} is there already. Write over it? (y/n)", "{path} 已存在。要覆盖吗？（y/n）"
    ),
    "cli-chat-not-saved": Text("{path} is left as it is.", "{path} 保持不变。"),
    "cli-chat-saved": Text("Saved as {path}.", "已保存为 {path}。"),
    "cli-chat-save-suffix": Text(
        what_en="{path} says neither Markdown nor JSON.",
        what_zh="{path} 的后缀既非 Markdown 也非 JSON。",
        mend_en="Give a name that ends in .md or .json.",
        mend_zh="请使用以 .md 或 .json 结尾的文件名。",
    ),
    "cli-chat-save-failed": Text(
        what_en="{path} cannot be written: {reason}.",
        what_zh="无法写入 {path}：{reason}。",
        mend_en="Give another file.",
        mend_zh="请更换文件。",
    ),
    "cli-chat-stats-context": Text("context", "上下文"),
    "cli-chat-stats-speed": Text("tok/s", "词元/秒"),
    "cli-chat-stats-reused": Text("reused tokens", "复用的词元"),
    "cli-chat-stats-memory": Text("memory", "内存"),
    "cli-chat-stats-messages": Text("messages", "消息数"),
    "cli-chat-stats-kept": Text("kept in", "保存于"),
    "cli-chat-stats-nowhere": Text("nothing is kept", "不保存"),
    "cli-chat-model-name": Text("model", "模型"),
    "cli-chat-model-architecture": Text("architecture", "架构"),
    "cli-chat-model-weights": Text("weights", "权重"),
    "cli-chat-model-context": Text("context", "上下文"),
    "cli-chat-model-kernels": Text("kernels, threads", "内核，线程数"),
    # options
    "cli-option-history": Text(
        "Keep the conversation, for /resume and the page, or keep nothing, typed lines included. "
        "Kept by default where a person types.",
        "保存对话，供 /resume 与网页使用；或什么都不保存，包括输入的内容。由人输入时默认保存。",
    ),
    "cli-option-resume": Text(
        "Go on with a conversation: `last`, an id (or its beginning), or words of it.",
        "继续之前的对话：`last`、编号（或其开头），或其中的词。",
    ),
    "cli-option-show-thinking": Text(
        "Show the thought as it comes, instead of one line.",
        "逐字显示思考内容，而不是折叠成一行。",
    ),
}
