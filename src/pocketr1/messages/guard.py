"""Texts about who may ask the server, how much, and what is kept of a person."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    # where the server listens
    "server-open": Text(
        "Others could reach the server at {host} ({address}), and it has no key.",
        "他人可以通过 {host}（{address}）访问服务器，而它没有密钥。",
        "Give --api-key (or POCKETR1_API_KEY), or listen on 127.0.0.1.",
        "请用 --api-key（或 POCKETR1_API_KEY）设置密钥，或只监听 127.0.0.1。",
    ),
    "server-key-characters": Text(
        "The API key holds characters that a header cannot carry.",
        "API 密钥含有请求头无法携带的字符。",
        "Use ASCII letters, digits and signs without spaces.",
        "请只用 ASCII 字母、数字和符号，不含空格。",
    ),
    "server-key-short": Text(
        "The API key has fewer than {least} characters.",
        "API 密钥少于 {least} 个字符。",
        "Take a long random one: python -c 'import secrets; print(secrets.token_urlsafe(24))'.",
        "请使用较长的随机密钥：python -c 'import secrets; print(secrets.token_urlsafe(24))'。",
    ),
    "server-origin": Text(
        "{origin!r} is not an origin.",
        "{origin!r} 不是合法的来源（origin）。",
        "Write scheme and host as in http://localhost:3000; there is no wildcard.",
        "请写出协议与主机，例如 http://localhost:3000；不支持通配符。",
    ),
    "server-allowed-host": Text(
        "{host!r} is not the name of a host.",
        "{host!r} 不是主机名。",
        "Write the name alone, as in phone.lan.",
        "请只写名称，例如 phone.lan。",
    ),
    "server-port-range": Text(
        "There is no port {port}.",
        "端口 {port} 不存在。",
        "Give a number from 1 to 65535, or 0 for any free one.",
        "请给出 1 到 65535 之间的数；0 表示任意空闲端口。",
    ),
    "server-host-unknown": Text(
        "The host {host!r} is not known.",
        "主机 {host!r} 未知。",
        "Give an address of this machine, as in 127.0.0.1 or 0.0.0.0.",
        "请给出本机的地址，例如 127.0.0.1 或 0.0.0.0。",
    ),
    "server-host-foreign": Text(
        "{host} is no address of this machine.",
        "{host} 不是本机的地址。",
        "Give one of its own, as in 127.0.0.1 or 0.0.0.0.",
        "请给出本机的地址，例如 127.0.0.1 或 0.0.0.0。",
    ),
    "server-port-taken": Text(
        "Another program listens on {host}, port {port}.",
        "另一个程序正在监听 {host} 的端口 {port}。",
        "Stop it, or give another port, as in --port 8081; 0 takes any free one.",
        "请停止该程序，或换用其他端口，例如 --port 8081；0 表示任意空闲端口。",
    ),
    "server-port-forbidden": Text(
        "You may not listen on {host}, port {port}.",
        "您无权监听 {host} 的端口 {port}。",
        "Give a port from 1024 up, as in --port 8080.",
        "请使用 1024 及以上的端口，例如 --port 8080。",
    ),
    "server-listen": Text(
        "The server cannot listen on {host}, port {port}: {reason}.",
        "服务器无法监听 {host} 的端口 {port}：{reason}。",
        "Give another --host or --port.",
        "请更换 --host 或 --port。",
    ),
    "server-start": Text(
        "The server did not start ({reason}).",
        "服务器未能启动（{reason}）。",
        "Start it again; please report it where that does not help.",
        "请重新启动；若仍失败，请反馈此问题。",
    ),
    # connections
    "server-connections": Text(
        "There are {limit} connections already.",
        "已有 {limit} 个连接。",
        "Close some, or ask again later.",
        "请关闭一些连接，或稍后再试。",
    ),
    "server-headers": Text(
        "The headers of the request are larger than {limit} bytes.",
        "请求头超过 {limit} 字节。",
        "Send fewer and shorter ones.",
        "请减少请求头的数量与长度。",
    ),
    "server-header-count": Text(
        "The request has more than {limit} headers.",
        "请求头超过 {limit} 个。",
        "Send fewer.",
        "请减少请求头的数量。",
    ),
    "server-not-http": Text(
        "What came is not HTTP.",
        "收到的内容不是 HTTP。",
        "Send HTTP/1.1 with one Host header, and its length or its chunks as the body has them.",
        "请发送 HTTP/1.1 请求，带有唯一的 Host 请求头，长度或分块须与请求体一致。",
    ),
    "server-slow": Text(
        "The request was not complete within {seconds} s.",
        "请求未在 {seconds} 秒内发送完毕。",
        "Send it in one go.",
        "请一次发送完毕。",
    ),
    # who asks, and how
    "request-framing": Text(
        "The request gives the length of its body in two ways.",
        "请求以两种方式给出了请求体的长度。",
        "Send either Content-Length or Transfer-Encoding: chunked, over HTTP/1.1.",
        "请通过 HTTP/1.1 只发送 Content-Length 或 Transfer-Encoding: chunked 之一。",
    ),
    "request-path": Text(
        "The path of the request is none of this server's.",
        "请求路径不属于本服务器。",
        "Send a path that begins with / and holds no .., backslash or control character.",
        "路径须以 / 开头，且不含 ..、反斜杠或控制字符。",
    ),
    "request-unknown-method": Text(
        "The method {method} is not taken here.",
        "此处不支持 {method} 方法。",
        "The Allow header says which are.",
        "Allow 响应头列出了支持的方法。",
    ),
    "request-content-type": Text(
        "The body is {found}, not application/json.",
        "请求体的类型为 {found}，而不是 application/json。",
        "Send JSON in UTF-8 with the header Content-Type: application/json.",
        "请发送 UTF-8 编码的 JSON，并带上请求头 Content-Type: application/json。",
    ),
    "request-encoding": Text(
        "The body is encoded as {found}.",
        "请求体以 {found} 编码。",
        "Send it as it is, without Content-Encoding.",
        "请直接发送，不使用 Content-Encoding。",
    ),
    "host-malformed": Text(
        "The Host header is missing, or is no host.",
        "缺少 Host 请求头，或其内容不是主机。",
        "Send one Host header with a name or an address.",
        "请发送唯一的 Host 请求头，内容为名称或地址。",
    ),
    "host-refused": Text(
        "The server does not answer to the name {host}.",
        "服务器不以 {host} 之名应答。",
        "Ask it as localhost or by its address, or start it with --allow-host {host}.",
        "请以 localhost 或其地址访问，或在启动时加上 --allow-host {host}。",
    ),
    "origin-refused": Text(
        "Pages of {origin} may not ask this server.",
        "来自 {origin} 的网页不得访问本服务器。",
        "Start it with --allow-origin {origin} if you trust them.",
        "若您信任这些网页，请在启动时加上 --allow-origin {origin}。",
    ),
    "site-refused": Text(
        "Pages of other sites may not ask this server.",
        "其他网站的网页不得访问本服务器。",
        "Open it in a tab of its own; --allow-origin lets a page in that you trust.",
        "请在独立的标签页中打开；--allow-origin 可允许您信任的网页。",
    ),
    "key-missing": Text(
        "The request brings no API key.",
        "请求未携带 API 密钥。",
        "Send the header Authorization: Bearer KEY.",
        "请发送请求头 Authorization: Bearer KEY。",
    ),
    "key-scheme": Text(
        "The Authorization header holds no key.",
        "Authorization 请求头中没有密钥。",
        "Send it once, as Authorization: Bearer KEY.",
        "请只发送一次：Authorization: Bearer KEY。",
    ),
    "key-wrong": Text(
        "The API key is wrong.",
        "API 密钥错误。",
        "Send the key that the server was started with.",
        "请发送服务器启动时设置的密钥。",
    ),
    "key-field": Text(
        "The key is missing.",
        "缺少密钥。",
        'Send {{"key": "KEY"}}.',
        '请发送 {{"key": "KEY"}}。',
    ),
    "key-attempts": Text(
        "There were too many wrong API keys.",
        "错误的 API 密钥次数过多。",
        "Try again in {retry_after} s.",
        "请在 {retry_after} 秒后重试。",
    ),
    # the body of a request
    "body-large": Text(
        "The body of the request is larger than {limit} bytes.",
        "请求体超过 {limit} 字节。",
        "Send less: shorter messages, or fewer of them.",
        "请减少内容：缩短消息或减少消息数量。",
    ),
    "body-room": Text(
        "Other requests' bodies take all the room there is for them now.",
        "其他请求的请求体已占满目前可用的空间。",
        "Ask again in a moment.",
        "请稍后再试。",
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
        "{where} 的数值 {value} 超出可表示的范围。",
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
