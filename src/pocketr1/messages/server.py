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
    "server-closing": Text(
        what_en="The server is closing and takes no more requests.",
        what_zh="服务器正在关闭，不再接受请求。",
        mend_en="Ask again when it has been started anew.",
        mend_zh="请在服务器重新启动后再试。",
    ),
}
