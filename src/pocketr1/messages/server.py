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
    "request-importing": Text(
        what_en="Another import is under way.",
        what_zh="另一次导入正在进行。",
        mend_en="Ask again when it is done.",
        mend_zh="请在其完成后再试。",
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
    "request-missing": Text(
        what_en="{where} is missing.",
        what_zh="缺少 {where}。",
        mend_en="Give it; /openapi.json describes the request.",
        mend_zh="请补上；请求格式见 /openapi.json。",
    ),
    "request-value": Text(
        what_en="{where} must be {wanted}, not {given}.",
        what_zh="{where} 应为{wanted}，而不是 {given}。",
        mend_en="Correct it; /openapi.json describes the request.",
        mend_zh="请更正；请求格式见 /openapi.json。",
    ),
    "request-wanted-string": Text("a string", "字符串"),
    "request-wanted-whole": Text("a whole number", "整数"),
    "request-wanted-number": Text("a number", "数字"),
    "request-wanted-bool": Text("true or false", "true 或 false"),
    "request-wanted-list": Text("a list", "列表"),
    "request-wanted-object": Text("an object", "对象"),
    "request-wanted-at-least": Text("at least {limit}", "至少为 {limit} 的值"),
    "request-wanted-above": Text("more than {limit}", "大于 {limit} 的值"),
    "request-wanted-at-most": Text("at most {limit}", "至多为 {limit} 的值"),
    "request-wanted-below": Text("less than {limit}", "小于 {limit} 的值"),
    "request-wanted-one-of": Text("one of {choices}", "以下之一：{choices}"),
    "request-wanted-short": Text(
        "at most {limit} characters long", "不超过 {limit} 个字符的字符串"
    ),
    "request-wanted-few": Text("a list of at most {limit}", "不超过 {limit} 项的列表"),
    "request-wanted-some": Text("at least {limit} long", "长度至少为 {limit} 的值"),
    "request-wanted-pattern": Text("of the form {limit}", "符合 {limit} 的值"),
    "request-wanted-or": Text("or", "或"),
    "request-wanted-other": Text("valid ({reason})", "有效值（{reason}）"),
    "request-model": Text(
        what_en="There is no model {name!r} here.",
        what_zh="这里没有模型 {name!r}。",
        mend_en="Ask for {known!r}, or leave model out.",
        mend_zh="请使用 {known!r}，或省略 model。",
    ),
    "request-limit": Text(
        what_en="{where} has more than {limit}, the most there may be.",
        what_zh="{where} 超过了上限 {limit}。",
        mend_en="Send less.",
        mend_zh="请减少数量。",
    ),
    "request-chars": Text(
        what_en="{where} is longer than {limit} characters, the most there may be.",
        what_zh="{where} 超过了 {limit} 个字符的上限。",
        mend_en="Send less.",
        mend_zh="请缩短内容。",
    ),
    "request-bytes": Text(
        what_en="{where} is longer than {limit} bytes, the most there may be.",
        what_zh="{where} 超过了 {limit} 字节的上限。",
        mend_en="Send less.",
        mend_zh="请缩短内容。",
    ),
    "request-stop": Text(
        what_en="A stop string is empty or longer than {limit} characters.",
        what_zh="停止字符串为空，或超过 {limit} 个字符。",
        mend_en="Give shorter ones, or none.",
        mend_zh="请使用更短的停止字符串，或不使用。",
    ),
    "request-penalty": Text(
        what_en="{where} is not supported; only 0 is taken.",
        what_zh="不支持 {where}，只接受 0。",
        mend_en="Leave it out, or use repetition_penalty.",
        mend_zh="请省略，或使用 repetition_penalty。",
    ),
    "request-logit-bias": Text(
        what_en="logit_bias is not supported.",
        what_zh="不支持 logit_bias。",
        mend_en="Leave it out; response_format can hold an answer to a form.",
        mend_zh="请省略；如需约束回答的形式，请使用 response_format。",
    ),
    "request-unsupported": Text(
        what_en="{where} is not supported.",
        what_zh="不支持 {where}。",
        mend_en="Leave it out; docs/guide/serve.md says which fields there are.",
        mend_zh="请省略；可用字段见 docs/zh/serve.md。",
    ),
    "request-max-tokens": Text(
        what_en="max_tokens and max_completion_tokens are given and differ.",
        what_zh="max_tokens 与 max_completion_tokens 同时给出且不一致。",
        mend_en="Give one of them: they mean the same.",
        mend_zh="两者含义相同，请只给出其中之一。",
    ),
    "request-top-logprobs": Text(
        what_en="top_logprobs is given without logprobs.",
        what_zh="给出了 top_logprobs，但没有 logprobs。",
        mend_en="Give logprobs: true as well.",
        mend_zh="请同时给出 logprobs: true。",
    ),
    "request-media": Text(
        what_en="{where} is of type {kind!r}; this model reads text alone. Nothing was fetched.",
        what_zh="{where} 的类型为 {kind!r}；此模型只能读取文本。未获取任何内容。",
        mend_en="Send parts of type text.",
        mend_zh="请只发送 text 类型的内容。",
    ),
    "request-tool-twice": Text(
        what_en="The function {name!r} is given twice.",
        what_zh="函数 {name!r} 重复给出。",
        mend_en="Give each function a name of its own.",
        mend_zh="请为每个函数使用不同的名称。",
    ),
    "request-tool-choice": Text(
        what_en="tool_choice asks for a call, but tools has no such function.",
        what_zh="tool_choice 要求调用函数，但 tools 中没有相应的函数。",
        mend_en="Name a function of tools, or choose auto.",
        mend_zh="请指定 tools 中的函数，或使用 auto。",
    ),
    "request-format-tools": Text(
        what_en="An answer held to response_format cannot call tools.",
        what_zh="受 response_format 约束的回答无法调用工具。",
        mend_en="Leave one of them out, or give tool_choice: none, required or a function's name.",
        mend_zh="请去掉其中之一，或将 tool_choice 设为 none、required 或指定函数。",
    ),
    "request-tool-result": Text(
        what_en="{where} is the result of a call that the messages before it do not make.",
        what_zh="{where} 是一次调用的结果，但前面的消息中没有这次调用。",
        mend_en="Put it behind the assistant's message with that tool_calls id.",
        mend_zh="请将其放在带有相应 tool_calls id 的 assistant 消息之后。",
    ),
    "request-prompt-empty": Text(
        what_en="prompt is empty.",
        what_zh="prompt 为空。",
        mend_en="Give a text, or token ids.",
        mend_zh="请给出文本或词元编号。",
    ),
    "token-id": Text(
        what_en="There is no token {value}.",
        what_zh="不存在词元 {value}。",
        mend_en="Give ids from 0 to {most}.",
        mend_zh="请给出 0 到 {most} 之间的编号。",
    ),
    "request-best-of": Text(
        what_en="best_of is not supported.",
        what_zh="不支持 best_of。",
        mend_en="Leave it out; n gives several replies.",
        mend_zh="请省略；如需多个回答，请使用 n。",
    ),
    "request-echo": Text(
        what_en="echo and logprobs do not go together: a prompt's log probabilities are not kept.",
        what_zh="echo 与 logprobs 不能同时使用：不保留提示的对数概率。",
        mend_en="Leave one of them out.",
        mend_zh="请去掉其中之一。",
    ),
    "request-one-of": Text(
        what_en="Exactly one of {names} is needed.",
        what_zh="须且只须给出 {names} 之一。",
        mend_en="Give one of them.",
        mend_zh="请给出其中之一。",
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
    # serve
    "server-extra": Text(
        what_en="The server needs starlette, uvicorn and pydantic, which are not installed here.",
        what_zh="服务器需要 starlette、uvicorn 和 pydantic，但此处未安装。",
        mend_en="Install them with pip install 'pocketr1[serve]'; with JSON answers, "
        "pip install 'pocketr1[serve,grammar]'.",
        mend_zh="请运行 pip install 'pocketr1[serve]' 安装；如需 JSON 输出，请运行 "
        "pip install 'pocketr1[serve,grammar]'。",
    ),
    "cli-serve": Text(
        "Serve a model to other programs over OpenAI's protocol, and a page to people.",
        "以 OpenAI 协议向其他程序提供模型，并向用户提供网页。",
        "It listens on this device alone unless --host says otherwise; then an API key is "
        "required. Ctrl-C lets the replies under way end, a second one does not. With --json one "
        "line of JSON (url, model, pid) is printed when it is ready.\n\n"
        "  pocketr1 serve tiny\n"
        "  POCKETR1_API_KEY=KEY pocketr1 serve r1-int4 --host 0.0.0.0",
        "默认只监听本机；若用 --host 指定其他地址，则必须设置 API 密钥。按 Ctrl-C 会等待进行中的"
        "回答结束，再按一次则立即退出。使用 --json 时，就绪后打印一行 JSON（url、model、pid）。\n\n"
        "  pocketr1 serve tiny\n"
        "  POCKETR1_API_KEY=KEY pocketr1 serve r1-int4 --host 0.0.0.0",
    ),
    "cli-option-host": Text("Address to listen on.", "监听的地址。"),
    "cli-option-port": Text("Port to listen on; 0 takes a free one.", "监听的端口；0 表示任选。"),
    "cli-option-api-key": Text(
        "Key that every request must bring, as OpenAI's clients send it; also POCKETR1_API_KEY, "
        "which other users of the device cannot see. Required off this device.",
        "每个请求都须携带的密钥，与 OpenAI 客户端的发送方式相同；也可用 POCKETR1_API_KEY 设置，"
        "本机其他用户看不到。对外监听时必须设置。",
    ),
    "cli-option-parallel": Text(
        "Most replies computed together; without it 16, or 8 within a memory budget.",
        "同时计算的回答数上限；省略时为 16，有内存预算时为 8。",
    ),
    "cli-option-queue": Text(
        "Most replies that wait for their turn; further requests get 429.",
        "排队等待的回答数上限；超出的请求得到 429。",
    ),
    "cli-option-allow-host": Text(
        "Another name by which the server may be asked (Host header); may be repeated.",
        "允许用于访问服务器的其他名称（Host 头）；可重复。",
    ),
    "cli-option-allow-origin": Text(
        "Another origin whose pages may ask the server, as http://localhost:3000; may be repeated.",
        "允许访问服务器的其他网页来源，例如 http://localhost:3000；可重复。",
    ),
    "cli-option-page": Text("Serve the page for people.", "提供网页。"),
    "cli-option-log-prompts": Text(
        "Write what is asked to the log, on stderr; without it no prompt is logged.",
        "将请求内容写入日志（标准错误）；省略时不记录任何提示。",
    ),
    "cli-serve-count": Text(
        what_en="{option} must be at least {least}, not {value}.",
        what_zh="{option} 应至少为 {least}，而不是 {value}。",
        mend_en="Give a larger number, or leave it out.",
        mend_zh="请给出更大的数，或省略该选项。",
    ),
    "cli-serve-ready": Text(
        "{name} is served at {url} (Ctrl-C ends it)", "{name} 已在 {url} 提供服务（按 Ctrl-C 结束）"
    ),
    "cli-serve-ask": Text(
        "  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' -d '{body}'",
        "  curl {url}/v1/chat/completions{key} -H 'Content-Type: application/json' -d '{body}'",
    ),
    "cli-serve-question": Text("What is 12 times 7?", "12乘7等于多少？"),
    "cli-serve-ended": Text("Ended.", "已结束。"),
    "server-closing": Text(
        what_en="The server is closing and takes no more requests.",
        what_zh="服务器正在关闭，不再接受请求。",
        mend_en="Ask again when it has been started anew.",
        mend_zh="请在服务器重新启动后再试。",
    ),
}
