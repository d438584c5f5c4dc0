"""Texts about many answers at once, and about the local server's model."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "scheduler-value": Text(
        what_en="{name} = {value!r} is no whole number of at least {least}.",
        what_zh="{name} = {value!r} 不是不小于 {least} 的整数。",
        mend_en="Pass such a number, or leave it out.",
        mend_zh="请传入这样的整数，或者省略它。",
    ),
    "scheduler-pages": Text(
        what_en="{value} K/V pages are fewer than one answer of a full context takes: {context} "
        "tokens, {least} pages.",
        what_zh="{value} 个 K/V 页少于占满上下文的一个回答所需：{context} 个词元，{least} 页。",
        mend_en="Allow more pages, or load the model with a smaller max_context (--max-context).",
        mend_zh="请允许更多页，或者用更小的 max_context（--max-context）加载模型。",
    ),
    "scheduler-too-many": Text(
        what_en="{value} replies to one request are more than run and wait at once ({limit}).",
        what_zh="一次请求 {value} 个回答，超过了可同时运行和等待的数量（{limit}）。",
        mend_en="Ask for fewer (n), several times.",
        mend_zh="请减少数量（n），分几次请求。",
    ),
    "server-busy": Text(
        what_en="The model is busy: {waiting} replies wait already, and no more may.",
        what_zh="模型正忙：已有 {waiting} 个回答在等待，不能再增加。",
        mend_en="Ask again in {retry_after} s.",
        mend_zh="请在 {retry_after} 秒后重试。",
    ),
    "server-worker": Text(
        what_en="The thread that computes has ended: {reason}.",
        what_zh="负责计算的线程已终止：{reason}。",
        mend_en="Start the server again; if it happens again, report it with this text.",
        mend_zh="请重新启动服务器；如果再次发生，请附上这段文字报告问题。",
    ),
    "constraint-nothing": Text(
        what_en="No token is allowed next: the answer's format and the model's vocabulary leave "
        "none.",
        what_zh="没有可用的下一个词元：回答的格式与模型的词表没有交集。",
        mend_en="Simplify the JSON Schema.",
        mend_zh="请简化 JSON Schema。",
    ),
    "governor-relief-kept-prefixes": Text(
        what_en="prompts kept for others that begin alike",
        what_zh="为相同开头的提示保留的内容",
    ),
}
