"""Texts about who may ask the server, how much, and what is kept of a person."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    # the body of a request
    "body-slow": Text(
        "The body of the request did not come within {seconds} s.",
        "请求体未在 {seconds} 秒内到达。",
        "Send it in one go.",
        "请一次发送完整的请求体。",
    ),
    "body-large": Text(
        "The body of the request is larger than {limit} bytes.",
        "请求体超过 {limit} 字节。",
        "Send less: shorter messages, or fewer of them.",
        "请减少内容：缩短消息或减少消息数量。",
    ),
    "body-empty": Text(
        "The request has no body.",
        "请求没有请求体。",
        "Send one JSON object, in UTF-8.",
        "请发送一个 UTF-8 编码的 JSON 对象。",
    ),
    "body-mark": Text(
        "The body begins with a byte order mark.",
        "请求体以字节顺序标记（BOM）开头。",
        "Send JSON in UTF-8 without one.",
        "请发送不带 BOM 的 UTF-8 编码 JSON。",
    ),
    "body-not-utf8": Text(
        "The body is not UTF-8 at byte {place}.",
        "请求体在第 {place} 字节处不是合法的 UTF-8。",
        "Send JSON in UTF-8.",
        "请发送 UTF-8 编码的 JSON。",
    ),
    "body-not-json": Text(
        "The body is not JSON at line {line}, column {column}.",
        "请求体在第 {line} 行第 {column} 列处不是合法的 JSON。",
        "Let a library write it instead of putting strings together.",
        "请用 JSON 库生成，不要手工拼接字符串。",
    ),
    "body-trailing": Text(
        "Something follows the JSON of the body at line {line}, column {column}.",
        "请求体的 JSON 之后在第 {line} 行第 {column} 列处还有多余内容。",
        "Send one JSON object and nothing behind it.",
        "请只发送一个 JSON 对象，其后不要有任何内容。",
    ),
    "body-deep": Text(
        "The JSON of the body is nested more than {limit} deep.",
        "请求体的 JSON 嵌套超过 {limit} 层。",
        "Send arrays and objects that are nested less.",
        "请减少数组与对象的嵌套层数。",
    ),
    "body-values": Text(
        "The JSON of the body holds more than {limit} values.",
        "请求体的 JSON 中的值超过 {limit} 个。",
        "Send it in several requests.",
        "请分多次请求发送。",
    ),
    "body-duplicate": Text(
        "{where} has the key {value!r} twice.",
        "{where} 中的键 {value!r} 出现了两次。",
        "Give each key once.",
        "每个键只能出现一次。",
    ),
    "body-number": Text(
        "{where} is the number {value}, which is out of all bounds.",
        "{where} 的数值 {value} 超出了一切范围。",
        "Give a number that 64 bits hold.",
        "请给出 64 位可表示的数。",
    ),
    "body-constant": Text(
        "{where} is {value}, which is no JSON.",
        "{where} 为 {value}，它不是 JSON。",
        "Give a finite number, or null.",
        "请给出有限的数，或 null。",
    ),
    "body-surrogate": Text(
        "{where} holds half of a surrogate pair, which is no character.",
        "{where} 含有不成对的代理项，它不是字符。",
        "Escape characters beyond U+FFFF as pairs, or send them as they are, in UTF-8.",
        "U+FFFF 以上的字符请以成对的转义书写，或直接以 UTF-8 发送。",
    ),
}
