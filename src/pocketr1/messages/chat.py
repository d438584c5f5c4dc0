"""Texts about tokenizers, templates and conversations."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "tokenizer-missing": Text(
        what_en="The model has no tokenizer: {where} does not exist.",
        what_zh="模型缺少分词器：{where} 不存在。",
        mend_en="Copy tokenizer.json (and tokenizer_config.json) of the original model into this "
        "directory.",
        mend_zh="请把原模型的 tokenizer.json（以及 tokenizer_config.json）复制到该目录。",
    ),
    "tokenizer-damaged": Text(
        what_en="The tokenizer file {where} cannot be read: {reason}.",
        what_zh="无法读取分词器文件 {where}：{reason}。",
        mend_en="Copy it again from the original model; it may have been cut short on the way.",
        mend_zh="请从原模型重新复制；文件可能在传输中被截断。",
    ),
    "tokenizer-too-large": Text(
        what_en="{where} is larger than {limit} MiB, more than any file of this kind needs.",
        what_zh="{where} 超过 {limit} MiB，远大于此类文件的正常大小。",
        mend_en="Check that the right file lies there, and copy it again from the original model.",
        mend_zh="请确认文件无误，并从原模型重新复制。",
    ),
    "chat-template-missing": Text(
        what_en="The model in {where} has no chat template, and its tokenizer is not R1's.",
        what_zh="{where} 中的模型没有对话模板，且其分词器不是 R1 的。",
        mend_en="Put the model's chat_template.jinja beside its tokenizer, or use the raw prompt "
        "(--raw).",
        mend_zh="请把该模型的 chat_template.jinja 放到分词器旁边，或使用原始提示（--raw）。",
    ),
    "chat-template-damaged": Text(
        what_en="The chat template {where} cannot be used: {reason}.",
        what_zh="对话模板 {where} 无法使用：{reason}。",
        mend_en="Copy it again from the original model.",
        mend_zh="请从原模型重新复制。",
    ),
    "chat-template-failed": Text(
        what_en="The chat template {where} failed on these messages: {reason}.",
        what_zh="对话模板 {where} 处理这些消息时出错：{reason}。",
        mend_en="Check that the messages have the form this model expects; otherwise copy the "
        "template again from the original model.",
        mend_zh="请检查消息是否符合该模型的格式；若无误，请从原模型重新复制模板。",
    ),
    "chat-template-refused": Text(
        what_en="The chat template {where} refuses these messages: {reason}.",
        what_zh="对话模板 {where} 拒绝了这些消息：{reason}。",
        mend_en="Change the messages as it says; the rule is the model's own.",
        mend_zh="请按其提示修改消息；这是模型自身的规则。",
    ),
    "chat-template-limit": Text(
        what_en="The chat template {where} was stopped: {reason}.",
        what_zh="对话模板 {where} 已被中止：{reason}。",
        mend_en="The template is broken or hostile: take it from the original model.",
        mend_zh="该模板已损坏或带有恶意：请使用原模型的模板。",
    ),
    "chat-template-untraceable": Text(
        what_en="The chat template {where} changes texts in a way that hides who wrote what, so a "
        "message could forge the model's tags.",
        what_zh="对话模板 {where} 改写文本的方式使来源无法辨认，消息可能伪造模型的标记。",
        mend_en="Take the template from the original model, or one that uses only common filters.",
        mend_zh="请使用原模型的模板，或只使用常见过滤器的模板。",
    ),
    "chat-message": Text(
        what_en="The messages cannot be used: {reason}.",
        what_zh="这些消息无法使用：{reason}。",
        mend_en="A message has a role (system, user, assistant, tool) and a text as its content.",
        mend_zh="每条消息须有角色（system、user、assistant、tool）和文本内容。",
    ),
    "chat-think-budget": Text(
        what_en="A thought cannot have {value!r} tokens.",
        what_zh="思考的词元数不能是 {value!r}。",
        mend_en="Use a whole number, 0 for no thought, or None (no --think-budget) for any length.",
        mend_zh="请使用整数：0 表示不思考；用 None（或不加 --think-budget）表示不限长度。",
    ),
    "chat-limit-value": Text(
        what_en="{name} cannot be {value!r}.",
        what_zh="{name} 不能是 {value!r}。",
        mend_en="Use a whole number of tokens, 1 or more, or None for no limit.",
        mend_zh="请使用不小于 1 的整数词元数，或用 None 表示不限。",
    ),
}
