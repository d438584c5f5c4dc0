"""Texts of the server: requests it cannot answer, and ``pocketr1 serve``."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "request-json": Text(
        what_en="The body is not the JSON this route takes ({reason}).",
        what_zh="请求体不是此接口所需的 JSON（{reason}）。",
        mend_en="Send one JSON object, in UTF-8.",
        mend_zh="请发送一个 UTF-8 编码的 JSON 对象。",
    ),
    "request-route": Text(
        what_en="There is no {path} here.",
        what_zh="这里没有 {path}。",
        mend_en="/openapi.json lists what there is.",
        mend_zh="/openapi.json 列出了所有接口。",
    ),
    "request-method": Text(
        what_en="{path} does not take {method}.",
        what_zh="{path} 不支持 {method}。",
        mend_en="The Allow header says what it takes.",
        mend_zh="Allow 响应头列出了它支持的方法。",
    ),
    "request-refused": Text(
        what_en="The request {method} {path} cannot be answered.",
        what_zh="无法处理请求 {method} {path}。",
        mend_en="/openapi.json says what a request looks like.",
        mend_zh="请参阅 /openapi.json 中的请求格式。",
    ),
    "server-fault": Text(
        what_en="The server met a fault of its own ({kind}).",
        what_zh="服务器内部出错（{kind}）。",
        mend_en="Its log says more; please report it.",
        mend_zh="详情见服务器日志；请反馈此问题。",
    ),
    "grammar-extra": Text(
        what_en="JSON and forced tool calls need llguidance, which is not installed here.",
        what_zh="JSON 输出与强制的工具调用需要 llguidance，但此处未安装。",
        mend_en="Install it with pip install 'pocketr1[grammar]', and start the server again.",
        mend_zh="请运行 pip install 'pocketr1[grammar]' 安装它，然后重新启动服务器。",
    ),
    "grammar-schema": Text(
        what_en="No answer can be held to this JSON Schema: {reason}.",
        what_zh="无法按此 JSON Schema 约束回答：{reason}。",
        mend_en="Leave out what it names; docs/guide/serve.md lists what a schema may use.",
        mend_zh="请去掉其中提到的内容；docs/zh/serve.md 列出了模式可用的关键字。",
    ),
    "grammar-failed": Text(
        what_en="The answer's JSON Schema became too complex on the way ({reason}).",
        what_zh="生成途中，回答的 JSON Schema 变得过于复杂（{reason}）。",
        mend_en="Use a simpler schema: shorter patterns, fewer alternatives.",
        mend_zh="请使用更简单的模式：更短的正则表达式，更少的可选分支。",
    ),
    "server-closing": Text(
        what_en="The server is closing and takes no more requests.",
        what_zh="服务器正在关闭，不再接受请求。",
        mend_en="Ask again when it has been started anew.",
        mend_zh="请在服务器重新启动后再试。",
    ),
}
